#!/bin/sh
# Installs what ingot needs, from Debian's packages by name. Does nothing when all is there.
# usage: install-deps.sh demo|check|check-long
# demo: what building ingot and `make demo` need: a C compiler with its linker, no LLVM. check: that, the backend wasm (LLVM, lld) and
# what the tests need. check-long: that, and what an emulated machine needs (tests/machine).
set -eu
demo="gcc libc6-dev binutils make meson ninja-build pkg-config python3 libarchive-dev libjansson-dev libssl-dev mmdebstrap"
check="llvm-19-dev lld-19 clang-19 clang-format-19 libclang-rt-19-dev libcmocka-dev libzydis-dev wabt nodejs umoci qemu-user iproute2 g++ musl-tools
 dpkg-dev openssl podman crun bubblewrap python3-protobuf aom-tools libffi-dev libgmp-dev nettle-dev zlib1g-dev libzstd-dev
 rustc golang-go gnat gfortran ocaml-nox"
machine="qemu-system-x86 busybox-static cpio e2fsprogs"
case ${1-} in
demo) wanted=$demo ;;
check) wanted="$demo $check" ;;
check-long) wanted="$demo $check $machine" ;;
*)
    sed -n '/^# usage:/s/^# //p' "$0" >&2
    exit 2
    ;;
esac
missing=
for p in $wanted; do
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
