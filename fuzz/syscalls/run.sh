#!/bin/sh
# Packs the executor onto the vkernel with the fuzzer's server and runs the driver on it.
# usage: run.sh SANITIZED-BUILD OPTION... (main.c has them; the vkernel is added)
set -e
build=$(realpath "$1")
shift
here=$(dirname "$0")
ninja -C "$build" fuzz/syscalls/vk-fuzz fuzz/syscalls/executor fuzz/syscalls/executor-pie fuzz/syscalls/executor-dynamic fuzz/syscalls/fuzz_syscalls >"$build/fuzz-syscalls.log" || {
    tail -n 30 "$build/fuzz-syscalls.log"
    exit 1
}
root=$build/fuzz/syscalls/root
"$here/root.sh" "$build/fuzz/syscalls" "$root"
"$here/../../tools/mkpayload.py" "$build/fuzz/syscalls/vk-fuzz" "$root" "$build/fuzz/syscalls/fuzzed" /bin/executor
exec "$build/fuzz/syscalls/fuzz_syscalls" "$@" "$build/fuzz/syscalls/fuzzed"
