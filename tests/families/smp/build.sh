#!/bin/sh
# The programs of tests/smp, which check themselves and print the same wherever all is right.
set -eu
mkdir -p "$ROOT/opt"
sources=../../smp
warnings="-Wall -Wextra -Wno-unused-function -Werror"
for name in litmus lockfree locks futexes siblings alloc membarrier; do
    gcc $warnings -O2 -pthread -o "$ROOT/opt/$name" $sources/$name.c
    gcc $warnings -O2 -pthread -static -o "$ROOT/opt/$name-static" $sources/$name.c
done
for name in lockfree futexes siblings; do
    musl-gcc -w -O1 -static -pthread -idirafter /usr/include -idirafter /usr/include/x86_64-linux-gnu -o "$ROOT/opt/$name-musl" $sources/$name.c
done
clang-19 -w -O3 -pthread -o "$ROOT/opt/lockfree-clang" $sources/lockfree.c
