#!/usr/bin/env bash
# Installs the Debian packages that the tests and benchmarks need, if they are
# missing. Building and the demo need none.
set -euo pipefail

# command and the package that has it
needs=(
	"gcc gcc"       # the race detector
	"nft nftables"  # tests look at what the kernel holds with other eyes,
	"ip iproute2"   # and break it as an operator could
	"tc iproute2"
	"iptables iptables" # benchmarks compare with it,
	"iperf3 iperf3"     # and send TCP with this
)

missing=()
for need in "${needs[@]}"; do
	read -r command package <<<"$need"
	if ! PATH="$PATH:/usr/sbin:/sbin" command -v "$command" >/dev/null && [[ " ${missing[*]} " != *" $package "* ]]; then
		missing+=("$package")
	fi
done
# The race detector's C parts need the C library's headers as well.
if ! [ -e /usr/include/stdlib.h ]; then
	missing+=(libc6-dev)
fi
if [ ${#missing[@]} -eq 0 ]; then
	exit 0
fi
if ! command -v apt-get >/dev/null; then
	echo "setup: please install: ${missing[*]}" >&2
	exit 1
fi
echo "setup: installing ${missing[*]}"
export DEBIAN_FRONTEND=noninteractive
apt-get update -q
apt-get install -q -y --no-install-recommends "${missing[@]}"
