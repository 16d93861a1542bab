#!/bin/sh
# Builds the programs of this folder into $ROOT/opt with Debian's compilers, by their own paths: others may come first in PATH.
set -eu
out=$ROOT/opt
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$out"
cp script.tcl git.sh "$out"
export GOCACHE="$work/go" GOPATH="$work" GO111MODULE=off GOFLAGS=-trimpath

/usr/bin/rustc -O -C strip=symbols -o "$out/rust-unwind" rust_unwind.rs
/usr/bin/rustc -C opt-level=1 -C overflow-checks=on -C strip=symbols -o "$out/rust-library" rust_library.rs
CGO_ENABLED=0 /usr/bin/go build -ldflags=-s -o "$out/go" go_*.go
/usr/bin/go build -o "$out/cgo" cgo.go
# Without checks: null and zero are found by the processor.
gnatmake -q -O2 -gnatp -fnon-call-exceptions -D "$work" -o "$out/ada" faults.adb -bargs -static
gfortran -O2 -fcheck=bounds -J "$work" -s -o "$out/fortran" numbers.f90
cp runtime.ml "$work"
(cd "$work" && ocamlopt -w A-4-9-40-42-70 -I +threads unix.cmxa threads.cmxa str.cmxa runtime.ml -o "$out/ocaml")
