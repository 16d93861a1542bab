#!/bin/sh
# An ingot that was built without LLVM (meson's -Dllvm=disabled): it builds by rewriting and writes megabinaries; asked for the backend
# wasm it says what is missing.
# usage: without_llvm.sh INGOT
set -eu
ingot=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/tree"
echo 'int main(void) { return 42; }' | cc -static -O1 -x c -o "$work/tree/answer" -
if ldd "$ingot-build" | grep LLVM; then exit 1; fi
"$ingot" build -q --cache "$work/cache" "$work/tree" -o "$work/out"
status=0
"$work/out" /answer || status=$?
[ "$status" = 42 ]
"$ingot" build -q --emit=wasm --cache "$work/cache" "$work/tree" -o "$work/out.wasm"
[ "$(head -c 4 "$work/out.wasm" | tr -d '\0')" = asm ]
rm "$work/out"
status=0
"$ingot" build -q --backend wasm --cache "$work/cache" "$work/tree" -o "$work/out" 2>"$work/said" || status=$?
[ "$status" = 2 ] && grep -q '^ingot: this ingot was built without LLVM' "$work/said" && [ ! -e "$work/out" ]
