#!/bin/sh
set -eu
work=$SOURCES/build
rm -rf "$work"
mkdir "$work" && cd "$work"
"$SOURCES"/libffi-*/configure --quiet --prefix=/usr --enable-exec-static-tramp --disable-docs --disable-static \
    --disable-multi-os-directory >log 2>&1
make -s >>log 2>&1
grep -q '^#define FFI_EXEC_STATIC_TRAMP 1' fficonfig.h
make -s install DESTDIR="$work/installed" >>log 2>&1
mkdir -p "$ROOT/usr/lib/x86_64-linux-gnu"
cp -a installed/usr/lib/libffi.so.8* "$ROOT/usr/lib/x86_64-linux-gnu/"
gcc -w -O2 -pthread -I installed/usr/include -o "$ROOT/usr/bin/ffi" "$OLDPWD/../closures/ffi.c" -L installed/usr/lib -lffi
