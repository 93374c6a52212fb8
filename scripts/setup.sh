#!/usr/bin/env bash
# Installs the Debian packages that are missing: setup.sh FOR..., where FOR is
# test (tests and benchmarks; fetches the kernel that some tests run on, too),
# clients (the public clients for Node.js, for tests) or lint (also generating).
# Building and the demo need none.
set -euo pipefail
cd "$(dirname "$0")/.."

# for what, command or file, and the package that has it
needs=(
	"test gcc gcc"                             # the race detector,
	"test /usr/include/stdlib.h libc6-dev"     # with the C library's headers
	"test nft nftables"                        # tests look at what the kernel holds with other eyes,
	"test ip iproute2"                         # and break it as an operator could
	"test tc iproute2"
	"test iptables iptables"                   # benchmarks compare with it,
	"test iperf3 iperf3"                       # and send TCP with this
	"test /usr/lib/frr/bgpd frr"               # BGP is spoken with a router of others
	"test qemu-system-x86_64 qemu-system-x86"  # test/vm runs tests on Debian 12's kernel,
	"test debootstrap debootstrap"             # test/deb installs the package in a Debian 12 of its own
	"test depmod kmod"                         # which loads its modules by modprobe
	"test xz xz-utils"
	"test charon-systemd charon-systemd"       # IPsec: strongSwan,
	"test swanctl strongswan-swanctl"          # by which tests see what the peer has,
	"test /usr/lib/ipsec/plugins/libstrongswan-openssl.so libstrongswan-standard-plugins"
	"test /usr/lib/ipsec/plugins/libstrongswan-gcrypt.so libstrongswan-extra-plugins"
	"test /usr/lib/ipsec/plugins/libstrongswan-kernel-libipsec.so libcharon-extra-plugins" # ESP where the kernel has none
	"test openvpn openvpn"                     # SSL-VPN
	"test udhcpc udhcpc"                       # hosts that ask for their address by DHCP
	"test keepalived keepalived"               # HaVips that move between hosts
	"test promtool prometheus"                 # alerting rules and dashboards are tried by a real one
	"clients node nodejs"                      # runs public clients,
	"clients npm npm"                          # and fetches them
	"lint clang-14 clang-14"                   # pinned: another version makes other objects
	"lint llvm-strip-14 llvm-14"
	"lint /usr/include/bpf/bpf_helpers.h libbpf-dev"
	"lint /usr/include/linux/bpf.h linux-libc-dev"
)

if [ $# -eq 0 ]; then
	echo "usage: setup.sh test|clients|lint..." >&2
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
	if [[ " ${missing[*]} " == *" openvpn "* ]] && [ -d /run/systemd/system ]; then
		# Its own service would run what is in /etc/openvpn; tests run theirs themselves.
		systemctl disable --now -q openvpn.service || true
	fi
fi

if [[ " $* " != *" test "* ]]; then
	exit 0
fi
if command -v apt-get >/dev/null; then
	scripts/kernel.sh
else
	echo "setup: no apt-get to fetch Debian 12's kernel with; tests in a virtual machine are skipped" >&2
fi
