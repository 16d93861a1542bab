#!/bin/sh
# clang's analyzer over what serves guests (the vkernel, the platform, the evaluator) and what they stand on: no finding is allowed.
# It does not see that what was taken off a list is not found there again, nor that a count keeps an object: no unix.Malloc where it
# guesses so.
# usage: analyze.sh BUILD [FILE.c...]; ends with "N passed, N failed", a file each
build=$(realpath "$1")
shift
cd "$(dirname "$0")/.." || exit 1
[ $# -gt 0 ] || set -- $(find src/base src/vkernel src/platform src/eval -name '*.c' | sort)
log=$(mktemp -d)
trap 'rm -rf "$log"' EXIT
printf '%s\n' "$@" | xargs -P 2 -I {} sh -c '
    lists=
    case $2 in
    src/vkernel/vfs/locks.c | src/vkernel/net/socket.c) lists="-Xclang -analyzer-disable-checker=unix.Malloc" ;;
    esac
    out=$(clang-19 --analyze $lists -Xclang -analyzer-output=text -std=gnu17 -O2 -msse4.2 -fno-strict-aliasing -D_GNU_SOURCE -DDEBUG_CHECKS=0 \
        -Isrc -I"$1"/src -I"$1"/src/x86 -I"$1"/src/ir "$2" 2>&1)
    [ -z "$out" ] || { printf "FAIL %s\n%s\n" "$2" "$out"; echo "$2" >>"$3/failed"; }' sh "$build" {} "$log"
failed=$(sort -u "$log/failed" 2>/dev/null | wc -l)
echo "$(($# - failed)) passed, $failed failed"
[ "$failed" = 0 ]
