#!/bin/sh
# test.sh EMIT RANDOM RUN.mjs: the code generator's cases through wasm-validate and V8.
set -e
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
"$1" "$dir"
for seed in 1 2 3 14; do
    "$2" "$dir" "$seed" 300
    for module in "$dir"/*.wasm; do
        wasm-validate --enable-tail-call "$module"
    done
    "$(dirname "$0")/../node.sh" "$3" "$dir"
done
