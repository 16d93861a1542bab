#!/bin/sh
# liburcu's tests with its libraries linked in. The package's files get one time, or make would look for automake.
set -eu
work=$SOURCES/build
rm -rf "$work"
mkdir "$work" && cd "$work"
find "$SOURCES"/liburcu-* -type f -exec touch -r "$SOURCES"/sources.list {} +
"$SOURCES"/liburcu-*/configure --quiet --disable-shared >log 2>&1
make -s CFLAGS="-O2 -w" >>log 2>&1
make -s -C tests check TESTS= CFLAGS="-O2 -w" >>log 2>&1
mkdir -p "$ROOT/opt/urcu"
find tests -type f -perm -100 \( -name 'test_urcu*' -o -name 'rcutorture_urcu*' \) ! -name '*.tap' ! -name '*.sh' -exec cp {} "$ROOT/opt/urcu" \;
