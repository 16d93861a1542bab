#!/bin/sh
# Makes the Debian test image: a root filesystem from Debian's packages, as a folder.
# usage: make-image.sh OUT
set -eu
out=$1
packages=bash,dash,coreutils,grep,sed,mawk,findutils,diffutils,tar,gzip,xz-utils,bc,less,procps,perl-base,lua5.4,sqlite3
packages=$packages,python3-minimal,libpython3.11-stdlib,busybox-static
[ ! -e "$out/etc/debian_version" ] || exit 0
rm -rf "$out" "$out.tmp"
mkdir -p "$(dirname "$out")"
# /usr merged from the start, as in Debian's own container images: the package that would merge it brings all of perl.
mmdebstrap --quiet --variant=essential --include="$packages" --hook-dir=/usr/share/mmdebstrap/hooks/merged-usr \
    --setup-hook='printf "Package: usrmerge\nPin: release *\nPin-Priority: -1\n" >"$1/etc/apt/preferences.d/merged"' \
    --customize-hook='rm "$1/etc/apt/preferences.d/merged"' bookworm "$out.tmp"
rm -rf "$out.tmp/var/cache/apt" "$out.tmp/var/lib/apt/lists" "$out.tmp/usr/share/doc" "$out.tmp/usr/share/man"
mv "$out.tmp" "$out"
