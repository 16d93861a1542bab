#!/bin/sh
# Packs the executor onto the vkernel with the fuzzer's server and runs the driver on it.
# usage: run.sh SANITIZED-BUILD OPTION... (main.c has them; the vkernel is added)
set -e
build=$(realpath "$1")
shift
here=$(dirname "$0")
ninja -C "$build" fuzz/syscalls/vk-fuzz fuzz/syscalls/executor fuzz/syscalls/fuzz_syscalls >"$build/fuzz-syscalls.log" || {
    tail -n 30 "$build/fuzz-syscalls.log"
    exit 1
}
root=$build/fuzz/syscalls/root
rm -rf "$root"
mkdir -p "$root/bin" "$root/etc" "$root/tmp" "$root/proc" "$root/dev"
chmod 1777 "$root/tmp"
cp "$build/fuzz/syscalls/executor" "$root/bin/executor"
printf '#!/bin/executor exit\n' >"$root/bin/script"
chmod 755 "$root/bin/script"
"$here/../../tools/mkpayload.py" "$build/fuzz/syscalls/vk-fuzz" "$root" "$build/fuzz/syscalls/fuzzed" /bin/executor
exec "$build/fuzz/syscalls/fuzz_syscalls" "$@" "$build/fuzz/syscalls/fuzzed"
