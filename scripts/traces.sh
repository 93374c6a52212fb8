#!/usr/bin/env bash
# Lists what tests, labs and daemons of this project could leave on a machine,
# one thing a line: network namespaces, mounts, links, nftables tables,
# processes, directories. scripts/test.sh compares two such lists.
set -euo pipefail
PATH="$PATH:/usr/sbin:/sbin"

for f in /run/netns/*; do
	if [ -e "$f" ]; then echo "network namespace ${f##*/}"; fi
done

# /run/netns itself becomes a mount the first time that anybody, ip-netns(8)
# included, makes a namespace.
while read -r _ point _; do
	case $point in
	/run/netns | /run/netns/*) ;;
	*) echo "mount $point" ;;
	esac
done </proc/self/mounts

for f in /sys/class/net/*; do
	echo "link ${f##*/}"
done

if command -v nft >/dev/null; then
	nft list tables | sed 's/^/nftables /'
fi

# Programs of this project, and whatever a lab has started.
for p in /proc/[0-9]*; do
	exe=$(readlink "$p/exe" 2>/dev/null) || continue
	name=${exe##*/}
	case ${name%% *} in
	sluiced | sluicectl | *.test) echo "process ${p#/proc/} $exe" ;;
	*)
		if grep -qz '^SLUICE_LAB_PROCESS=' "$p/environ" 2>/dev/null; then
			echo "process ${p#/proc/} $exe"
		fi
		;;
	esac
done

for f in /run/sluice-lab/* /sys/fs/bpf/sluice/*; do
	if [ -e "$f" ]; then echo "path $f"; fi
done
