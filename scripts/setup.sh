#!/usr/bin/env bash
# Installs the Debian packages that the tests and benchmarks need, if they are
# missing, and fetches the kernel that some tests run on. Building and the demo
# need none.
set -euo pipefail
cd "$(dirname "$0")/.."

# command and the package that has it
needs=(
	"gcc gcc"       # the race detector
	"nft nftables"  # tests look at what the kernel holds with other eyes,
	"ip iproute2"   # and break it as an operator could
	"tc iproute2"
	"iptables iptables" # benchmarks compare with it,
	"iperf3 iperf3"     # and send TCP with this
	"qemu-system-x86_64 qemu-system-x86" # test/vm runs tests on Debian 12's kernel,
	"depmod kmod"                        # which loads its modules by modprobe
	"xz xz-utils"
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
if [ ${#missing[@]} -gt 0 ]; then
	if ! command -v apt-get >/dev/null; then
		echo "setup: please install: ${missing[*]}" >&2
		exit 1
	fi
	echo "setup: installing ${missing[*]}"
	export DEBIAN_FRONTEND=noninteractive
	apt-get update -q
	# Somebody else may be installing something.
	apt-get install -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 "${missing[@]}"
fi

if command -v apt-get >/dev/null; then
	scripts/kernel.sh
else
	echo "setup: no apt-get to fetch Debian 12's kernel with; tests in a virtual machine are skipped" >&2
fi
