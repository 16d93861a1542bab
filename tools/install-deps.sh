#!/bin/sh
# Installs what building and testing ingot needs, from Debian's packages by name. Does nothing when all is there.
set -eu
build="gcc libc6-dev make meson ninja-build pkg-config python3 llvm-19-dev lld-19 libelf-dev libarchive-dev libjansson-dev
 libssl-dev zlib1g-dev libzstd-dev"
test="clang-19 libclang-rt-19-dev libcmocka-dev libzydis-dev wabt nodejs mmdebstrap umoci qemu-user iproute2 g++ musl-tools
 dpkg-dev openssl podman crun bubblewrap python3-protobuf aom-tools libffi-dev libgmp-dev nettle-dev
 rustc golang-go gnat gfortran ocaml-nox"
missing=
for p in $build $test; do
    # Node may come from elsewhere than the package.
    if [ "$p" = nodejs ] && command -v node >/dev/null; then continue; fi
    [ "$(dpkg-query -W -f='${Status}' "$p" 2>/dev/null)" = "install ok installed" ] || missing="$missing $p"
done
[ -n "$missing" ] || exit 0
echo "installing:$missing"
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086
apt-get install -y -qq --no-install-recommends $missing >/dev/null
