#!/bin/sh
# A kernel of Debian's for an emulated machine (tests/machine), taken out of its package, which is not installed: this host's next start is
# none of the tests' business. Does nothing when the file is there.
# usage: get-kernel.sh FILE
set -eu
[ -s "$1" ] && exit 0
out=$(realpath "$1")
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
chmod 755 "$work"
package=$(apt-cache depends linux-image-cloud-amd64 | sed -n 's/^ *Depends: \(linux-image-.*\)$/\1/p' | head -n 1)
[ -n "$package" ] || { echo "linux-image-cloud-amd64 is not known to apt" >&2; exit 1; }
cd "$work"
apt-get download -qq "$package"
dpkg-deb -x ./*.deb files
cp files/boot/vmlinuz-* "$out.new"
mv "$out.new" "$out"
