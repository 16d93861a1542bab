#!/bin/sh
# Builds, per compiler and set of options, the program, its two libraries and the plug-in into a folder of their own.
set -eu

build() { # NAME COMPILER OPTIONS...
    folder=$ROOT/opt/$1
    shift
    mkdir -p "$folder"
    "$@" -w -std=c++17 -fPIC -shared -o "$folder/libthrower.so" thrower.cc
    "$@" -w -std=c++17 -fPIC -shared -o "$folder/libmiddle.so" middle.cc
    "$@" -w -std=c++17 -fPIC -shared -o "$folder/plugin.so" plugin.cc -L"$folder" -lthrower -Wl,-rpath,"\$ORIGIN"
    "$@" -w -std=c++17 -pthread -o "$folder/main" main.cc -L"$folder" -lmiddle -lthrower -ldl -Wl,-rpath,"\$ORIGIN"
}

build gcc-O2 g++ -O2
build gcc-O0 g++ -O0
build clang-Os clang++-19 -Os
build gcc-sized g++ -Os -s -fno-plt -fcf-protection=full
