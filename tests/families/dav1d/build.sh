#!/bin/sh
# Encodes videos that use many of the format's tools into $ROOT/opt.
set -eu
mkdir -p "$ROOT/opt"

encode() { # NAME BITS OPTIONS...
    name=$1 bits=$2
    shift 2
    python3 video.py 208 160 6 "$bits" >"$ROOT/opt/$name.y4m"
    aomenc -q --ivf --passes=1 --end-usage=q "$@" -o "$ROOT/opt/$name.ivf" "$ROOT/opt/$name.y4m"
    rm "$ROOT/opt/$name.y4m"
}

encode plain 8 --cpu-used=2 --cq-level=25
encode ten 10 --cpu-used=4 --cq-level=20 --bit-depth=10
encode grain 8 --cpu-used=5 --cq-level=35 --film-grain-test=3 --tile-columns=1 --superres-mode=1 --superres-denominator=12
encode screen 8 --cpu-used=4 --cq-level=40 --tune-content=screen
encode lossless 8 --cpu-used=6 --lossless=1
