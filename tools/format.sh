#!/bin/sh
# Lays out every C file that git knows as .clang-format says. Headers that the build makes are not in git and so not touched.
# usage: format.sh [--check]
# --check: changes nothing, names the files that are laid out otherwise, with the first lines of what would change; exit
# status 1 when there is one.
set -eu
tool=clang-format-19 # versions differ in what they make of the same file
lines=12             # of each file's difference that --check shows
case $#${1-} in
0) check=no ;;
1--check) check=yes ;;
*)
    sed -n '/^# usage:/s/^# //p' "$0" >&2
    exit 2
    ;;
esac
cd "$(dirname "$0")/.."
command -v $tool >/dev/null || {
    echo "format.sh: $tool is missing; tools/install-deps.sh check installs it (Debian's package clang-format-19)" >&2
    exit 2
}
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A file that is deleted but not yet committed is still listed, and one that is a link is laid out where it lies.
git ls-files -z '*.c' '*.h' | xargs -0 sh -c 'for f; do [ ! -f "$f" ] || [ -L "$f" ] || printf "%s\\0" "$f"; done' sh >"$work/files"
[ -s "$work/files" ] || {
    echo "format.sh: git lists no C files here" >&2
    exit 2
}
if [ $check = no ]; then
    xargs -0 -n 40 -P 2 $tool -i <"$work/files"
    exit
fi
# clang-format names a file once for each place, so that the names are made unique.
status=0
xargs -0 -n 40 -P 2 $tool --dry-run -Werror <"$work/files" 2>"$work/messages" || status=$?
[ $status != 0 ] || exit 0
sed -n 's/^\(.*\.[ch]\):[0-9]*:[0-9]*: error: code should be clang-formatted.*/\1/p' "$work/messages" | sort -u >"$work/wrong"
if [ ! -s "$work/wrong" ]; then
    cat "$work/messages" >&2
    echo "format.sh: $tool failed" >&2
    exit 2
fi
while IFS= read -r file; do
    echo "$file"
    $tool "$file" | diff -u --label "$file" --label "$file, formatted" "$file" - | head -n $lines || true
done <"$work/wrong"
echo "format.sh: $(wc -l <"$work/wrong") files are not laid out as .clang-format says; tools/format.sh does it" >&2
exit 1
