#!/bin/sh
# The executor recompiled, with the vkernel as it is shipped and the fuzzer's server: full speed, no sanitizers, no coverage.
# usage: [BACKEND=direct|wasm] recompiled.sh BUILD OPTION... (main.c has them)
set -e
build=$(realpath "$1")
shift
work=$build/fuzz/syscalls/recompiled
ninja -C "$build" fuzz/syscalls/executor fuzz/syscalls/executor-pie fuzz/syscalls/executor-dynamic fuzz/syscalls/libfuzz_server.a src/runtime/libvkernel.a src/cli/ingot src/cli/ingot-build fuzz/syscalls/fuzz_syscalls >/dev/null
rm -rf "$work"
mkdir -p "$work/runtime"
cp "$build"/src/runtime/*.o "$build"/src/runtime/*.a "$work/runtime"
rm "$work/runtime/libvkernel.a"
wraps=
while read -r name; do
    wraps="$wraps --wrap=$name"
done <"$(dirname "$0")/wrapped.list"
# shellcheck disable=SC2086
ld -r $wraps -o "$work/fuzzed.o" --whole-archive "$build/src/runtime/libvkernel.a" "$build/fuzz/syscalls/libfuzz_server.a"
ar rcs "$work/runtime/libvkernel.a" "$work/fuzzed.o"
"$(dirname "$0")/root.sh" "$build/fuzz/syscalls" "$work/root"
INGOT_RUNTIME=$work/runtime "$build/src/cli/ingot" build -q --backend "${BACKEND:-direct}" --cache "$build/cache" "$work/root" -o "$work/fuzzed"
exec "$build/fuzz/syscalls/fuzz_syscalls" "$@" "$work/fuzzed"
