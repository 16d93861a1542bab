#!/bin/sh
# jemalloc's own tests of what threads do at the same time, and of its interface; those that need no configuration.
set -eu
work=$SOURCES/build-jemalloc
rm -rf "$work"
cp -r "$SOURCES"/jemalloc-* "$work" && cd "$work"
units="arena_reset atomic background_thread ckh decay edata_cache fork hpa mallctl mpsc_queue mq mtx retained rtree sec stats thread_event ticker tsd"
./configure --quiet --disable-cxx --with-version=5.3.0-0-g0 >log 2>&1
for unit in $units; do set -- "$@" "test/unit/$unit"; done
make -s -j2 EXTRA_CFLAGS="-w -O2" tests_integration "$@" >>log 2>&1
mkdir -p "$ROOT/opt/jemalloc"
rm test/integration/slab_sizes # it needs a configuration
find test/integration -maxdepth 1 -type f -perm -100 ! -name '*.so' -exec cp {} "$ROOT/opt/jemalloc" \;
cp "$@" lib/libjemalloc.so.2 "$ROOT/opt/jemalloc"
