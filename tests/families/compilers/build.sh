#!/bin/sh
# Builds torture.c into $ROOT/opt, a program per compiler and set of options.
set -eu
mkdir -p "$ROOT/opt"

build() { # NAME COMMAND...
    name=$1
    shift
    "$@" -w -o "$ROOT/opt/$name" torture.c -lm
}

naked() { # NAME COMMAND...: neither unwind tables nor symbols nor section headers
    build "$@" -fno-asynchronous-unwind-tables -fno-unwind-tables
    strip "$ROOT/opt/$1"
    python3 drop_sections.py "$ROOT/opt/$1"
}

for compiler in gcc clang-19; do
    for level in 0 1 2 3 s fast; do
        build $compiler-O$level $compiler -O$level
    done
    build $compiler-no-fdes $compiler -O2 -fno-asynchronous-unwind-tables -fno-unwind-tables
    build $compiler-stripped $compiler -O2 -s
    naked $compiler-naked $compiler -O2
    build $compiler-non-pie $compiler -O2 -fno-pie -no-pie
    build $compiler-large $compiler -O1 -fno-pie -no-pie -mcmodel=large
    build $compiler-cet $compiler -O2 -fcf-protection=full
    build $compiler-no-red-zone $compiler -O2 -mno-red-zone -fno-omit-frame-pointer
    build $compiler-hardened $compiler -O2 -fstack-protector-all -D_FORTIFY_SOURCE=2 -fno-plt -Wl,-z,now
    build $compiler-sections $compiler -Os -ffunction-sections -Wl,--gc-sections
    build $compiler-no-jump-tables $compiler -O2 -fno-jump-tables
    build $compiler-v2 $compiler -O3 -march=x86-64-v2
done
build gcc-x87 gcc -O2 -mfpmath=387
build gcc-lto gcc -O2 -flto
build clang-lld clang-19 -O2 -flto -fuse-ld=lld-19 -Wl,--icf=all
build gcc-static gcc -O2 -static
build clang-static-pie clang-19 -O2 -static-pie
naked gcc-naked-static gcc -O2 -static -fno-pie
for level in 0 2 s; do
    build musl-O$level musl-gcc -O$level -static
done
naked musl-naked musl-gcc -O2 -static
build musl-static-pie musl-gcc -O2 -static-pie -fPIE
