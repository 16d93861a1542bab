#!/bin/sh
set -eu
mkdir -p "$ROOT/opt"
gcc -w -O2 -fPIC -shared -o "$ROOT/opt/plugin.so" plugin.c
gcc -w -O2 -fPIC -shared -mtls-dialect=gnu2 -o "$ROOT/opt/descriptors.so" plugin.c
gcc -w -O2 -pthread -rdynamic -o "$ROOT/opt/threads" threads.c
gcc -w -O2 -pthread -fPIC -ftls-model=global-dynamic -mtls-dialect=gnu2 -o "$ROOT/opt/descriptors" threads.c
clang-19 -w -O1 -pthread -o "$ROOT/opt/clang" threads.c
musl-gcc -w -O2 -static -pthread -o "$ROOT/opt/musl" threads.c
gcc -w -O2 -pthread -static -o "$ROOT/opt/static" threads.c
