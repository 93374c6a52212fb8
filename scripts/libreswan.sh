#!/usr/bin/env bash
# Fetches libreswan, an IPsec implementation that tests of VPN gateways speak
# with. Its package conflicts with strongSwan's, which is what VPN gateways run:
# so it is unpacked, not installed, into $XDG_CACHE_HOME/sluice/libreswan/VERSION,
# or ~/.cache/sluice/libreswan/VERSION, and only the libraries that it needs are
# installed. If one is there, it is kept; to get a newer one, remove it.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"
export DEBIAN_FRONTEND=noninteractive
cache=${XDG_CACHE_HOME:-$HOME/.cache}/sluice/libreswan

# runs reports whether a libreswan is there that finds all that it needs.
runs() {
	local pluto
	for pluto in "$cache"/[0-9]*/usr/libexec/ipsec/pluto; do
		[ -x "$pluto" ] && command -v certutil >/dev/null && "$pluto" --version >/dev/null 2>&1 && return
	done
	return 1
}

if runs; then exit 0; fi

# Whoever has the lists locked is updating them.
apt-get update -q || echo "libreswan: going on with the package lists as they are" >&2
if [ -z "$(apt-cache madison libreswan 2>/dev/null)" ]; then
	echo "libreswan: there is no package of that name; tests with it are skipped" >&2
	exit 0
fi
# Its tools for DNS and firewalls are not used.
mapfile -t libraries < <(apt-cache depends libreswan | sed -n 's/^ *Depends: \(lib[^ ]*\)$/\1/p')
echo "libreswan: fetching it, and installing ${libraries[*]}"
# Somebody else may be installing something.
apt-get install -q -y --no-install-recommends --no-upgrade -o DPkg::Lock::Timeout=300 "${libraries[@]}"

mkdir -p "$cache"
work=$(mktemp -d "$cache/.new-XXXXXX")
trap 'rm -rf "$work"' EXIT
# Downloading as root spares a warning: apt's own user may not enter $work.
(cd "$work" && apt-get download -q -o APT::Sandbox::User=root libreswan)
version=$(dpkg-deb -f "$work"/*.deb Version)
dpkg-deb -x "$work"/*.deb "$work/files"
chmod 755 "$work/files"

# It was there and only lacked a library, or somebody else has been quicker.
mv -T "$work/files" "$cache/$version" 2>/dev/null || [ -e "$cache/$version" ]
runs || { echo "libreswan: $cache/$version does not run" >&2; exit 1; }
