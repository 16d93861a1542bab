#!/bin/sh
set -eu
mkdir -p "$ROOT/opt"
for compiler in gcc clang-19; do
    for level in 0 2 s; do
        $compiler -w -O$level -o "$ROOT/opt/interpreters-$compiler-O$level" interpreters.c
        $compiler -w -O$level -o "$ROOT/opt/stacks-$compiler-O$level" stacks.c
    done
done
gcc -w -O2 -fno-gcse -fno-pie -no-pie -o "$ROOT/opt/interpreters-non-pie" interpreters.c
gcc -w -O2 -fcf-protection=full -o "$ROOT/opt/stacks-cet" stacks.c
gcc -w -O2 -static -s -fno-asynchronous-unwind-tables -o "$ROOT/opt/stacks-static" stacks.c
