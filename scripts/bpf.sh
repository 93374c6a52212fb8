#!/usr/bin/env bash
# Compiles the BPF programs and generates their bindings: bpf.sh, or, with
# --check, says whether those that are committed are what comes of the sources,
# byte for byte. The compiler is that of bpf/bpf.go, on whatever machine.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}

if [ "${1-}" != --check ]; then
	exec "$go" generate ./bpf
fi
fresh=$(mktemp -d)
trap 'rm -rf "$fresh"' EXIT
BPF_OUTPUT=$fresh "$go" generate ./bpf
stale=()
for f in "$fresh"/*; do
	name=bpf/${f##*/}
	cmp -s "$f" "$name" || stale+=("$name")
done
# What no source makes any more is stale, too.
for name in bpf/*_bpfe[lb].*; do
	[ -e "$fresh/${name##*/}" ] || stale+=("$name")
done
if [ ${#stale[@]} -gt 0 ]; then
	echo "bpf: not what the C sources say; run make generate, and commit: ${stale[*]}" >&2
	exit 1
fi
