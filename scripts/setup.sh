#!/usr/bin/env bash
# Installs the Debian packages that are missing: setup.sh FOR..., where FOR is
# test (tests and benchmarks) or lint (also generating). Building and the demo
# need none.
set -euo pipefail

# for what, command or file, and the package that has it
needs=(
	"test gcc gcc"                         # the race detector,
	"test /usr/include/stdlib.h libc6-dev" # with the C library's headers
	"test nft nftables"                    # tests look at what the kernel holds with other eyes,
	"test ip iproute2"                     # and break it as an operator could
	"test tc iproute2"
	"test iptables iptables"                # benchmarks compare with it,
	"test iperf3 iperf3"                    # and send TCP with this
	# The version of the compiler is pinned: another makes other objects.
	"lint clang-14 clang-14"
	"lint llvm-strip-14 llvm-14"
	"lint /usr/include/bpf/bpf_helpers.h libbpf-dev"
	"lint /usr/include/linux/bpf.h linux-libc-dev"
)

if [ $# -eq 0 ]; then
	echo "usage: setup.sh test|lint..." >&2
	exit 2
fi
missing=()
for need in "${needs[@]}"; do
	read -r purpose what package <<<"$need"
	if [[ " $* " != *" $purpose "* || " ${missing[*]} " == *" $package "* ]]; then
		continue
	fi
	case $what in
	/*) [ -e "$what" ] ;;
	*) PATH="$PATH:/usr/sbin:/sbin" command -v "$what" >/dev/null ;;
	esac || missing+=("$package")
done
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
