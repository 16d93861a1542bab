#!/bin/sh
# Makes the Debian test image: a root filesystem from Debian's packages, as a folder.
# usage: make-image.sh OUT
set -eu
out=$1
packages=bash,dash,coreutils,grep,sed,mawk,findutils,diffutils,tar,gzip,xz-utils,bc,less,procps,perl-base,lua5.4,sqlite3
packages=$packages,python3-minimal,busybox-static
[ ! -e "$out/etc/debian_version" ] || exit 0
rm -rf "$out" "$out.tmp"
mkdir -p "$(dirname "$out")"
mmdebstrap --quiet --variant=essential --include="$packages" bookworm "$out.tmp"
rm -rf "$out.tmp/var/cache/apt" "$out.tmp/var/lib/apt/lists" "$out.tmp/usr/share/doc" "$out.tmp/usr/share/man"
mv "$out.tmp" "$out"
