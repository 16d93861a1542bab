#!/bin/sh
# Go's tests of its own packages, from Debian's Go, each package's as one static program.
set -eu
out=$ROOT/opt
export GOCACHE=$ROOT/../go-cache CGO_ENABLED=0
mkdir -p "$out"
for package in sync sync/atomic runtime; do
    /usr/bin/go test -c -vet=off -ldflags=-s -o "$out/$(echo $package | tr / -).test" $package
done
rm -rf "$GOCACHE"
