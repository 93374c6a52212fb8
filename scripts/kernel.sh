#!/usr/bin/env bash
# Fetches the kernel of Debian 12 (Linux 6.1), the oldest that Sluice supports,
# for the virtual machine of test/vm. It is unpacked, not installed, into
# $XDG_CACHE_HOME/sluice/kernel/VERSION, or ~/.cache/sluice/kernel/VERSION. If
# one is there, nothing is done; to get a newer one, remove it.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/kernel

for dir in "$cache"/6.1.*; do
	if [ -e "$dir" ]; then exit 0; fi
done

# Whoever has the lists locked is updating them.
apt-get update -q || echo "kernel: going on with the package lists as they are" >&2
# linux-image-amd64 only names the package that has the kernel. The flavour
# -cloud will not do: it lacks 9p, by which the machine sees this one's files.
package=$(apt-cache depends linux-image-amd64 2>/dev/null | sed -n 's/^ *Depends: \(linux-image-6\.1\.[^ ]*-amd64\)$/\1/p')
if [ -z "$package" ]; then
	echo "kernel: this Debian has no Linux 6.1; tests in a virtual machine are skipped" >&2
	exit 0
fi
echo "kernel: fetching $package"
mkdir -p "$cache"
work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT
# Downloading as root spares a warning: apt's own user may not enter $work.
(cd "$work" && apt-get download -q -o APT::Sandbox::User=root "$package")
version=${package#linux-image-}
mkdir "$work/kernel"
# Drivers of hardware that the machine has not are most of it.
dpkg-deb --fsys-tarfile "$work"/*.deb | tar -x -C "$work/kernel" --wildcards \
	--exclude '*/net/ethernet/*' --exclude '*/net/wireless/*' \
	'./boot/*' './lib/modules/*/modules.*' \
	"./lib/modules/*/kernel/"{arch,crypto,fs,lib,net}'/*' "./lib/modules/*/kernel/drivers/"{char,net,virtio}'/*'
depmod -b "$work/kernel" "$version"

# The kernel unpacks itself at every start, which takes an emulated processor
# longer than the start: boot what is in it, if that can be found
# (Documentation/x86/boot.rst: setup_sects, payload_offset, payload_length).
number() { od -An -v "-tu$2" -j "$3" -N "$2" "$1" | tr -d ' '; }
packed=$work/kernel/boot/vmlinuz-$version
image=$work/kernel/boot/vmlinux-$version
offset=$((($(number "$packed" 1 0x1f1) + 1) * 512 + $(number "$packed" 4 0x248)))
length=$(number "$packed" 4 0x24c)
# The last four bytes are the size and not part of the stream.
if head -c "$((offset + length - 4))" "$packed" | tail -c "$((length - 4))" | xz -dc >"$image" 2>/dev/null; then
	rm "$packed"
else
	rm "$image"
fi

# Somebody else may have been quicker.
mv -T "$work/kernel" "$cache/$version" 2>/dev/null || [ -e "$cache/$version" ]
