#!/bin/sh
# The executor recompiled, with the vkernel as it is shipped and the fuzzer's server: full speed, no sanitizers, no coverage.
# usage: recompiled.sh BUILD OPTION... (main.c has them)
set -e
build=$(realpath "$1")
shift
work=$build/fuzz/syscalls/recompiled
ninja -C "$build" fuzz/syscalls/executor fuzz/syscalls/libfuzz_server.a src/runtime/libvkernel.a src/cli/ingot src/cli/ingot-build fuzz/syscalls/fuzz_syscalls >/dev/null
rm -rf "$work"
mkdir -p "$work/runtime" "$work/root/bin" "$work/root/etc" "$work/root/tmp" "$work/root/proc" "$work/root/dev"
chmod 1777 "$work/root/tmp"
cp "$build"/src/runtime/*.o "$build"/src/runtime/*.a "$work/runtime"
rm "$work/runtime/libvkernel.a"
wraps=
while read -r name; do
    wraps="$wraps --wrap=$name"
done <"$(dirname "$0")/wrapped.list"
# shellcheck disable=SC2086
ld -r $wraps -o "$work/fuzzed.o" --whole-archive "$build/src/runtime/libvkernel.a" "$build/fuzz/syscalls/libfuzz_server.a"
ar rcs "$work/runtime/libvkernel.a" "$work/fuzzed.o"
cp "$build/fuzz/syscalls/executor" "$work/root/bin/executor"
printf '#!/bin/executor exit\n' >"$work/root/bin/script"
chmod 755 "$work/root/bin/script"
INGOT_RUNTIME=$work/runtime "$build/src/cli/ingot" build -q --cache "$build/cache" "$work/root" -o "$work/fuzzed"
exec "$build/fuzz/syscalls/fuzz_syscalls" "$@" "$work/fuzzed"
