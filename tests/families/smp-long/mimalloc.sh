#!/bin/sh
# mimalloc's own tests, with the library linked in.
set -eu
source=$(echo "$SOURCES"/mimalloc-*/)
mkdir -p "$ROOT/opt/mimalloc"
for test in test-api test-api-fill test-stress; do
    gcc -O2 -w -pthread -I"$source/include" -o "$ROOT/opt/mimalloc/$test" "$source/src/static.c" "$source/test/$test.c"
done
