#!/usr/bin/env bash
# Makes the Debian package build/sluice_<version>_<arch>.deb, or the one that is
# named: deb.sh [FILE]. The same commit makes the same bytes: times are
# SOURCE_DATE_EPOCH, by default that of the commit.
#
# VERSION is by default that of git: "git describe" where there is a tag, or
# 0.0.0 and the number of commits. dpkg's versions begin with a digit and have no
# hyphen but before a revision.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
export TZ=UTC LC_ALL=C

describe() {
	local tag count commit dirty=
	commit=$(git rev-parse --short=12 HEAD)
	[ -z "$(git status --porcelain --untracked-files=no)" ] || dirty=.dirty
	if tag=$(git describe --tags --abbrev=0 --match 'v[0-9]*' 2>/dev/null); then
		count=$(git rev-list --count "$tag..HEAD")
		tag=${tag#v}
		if [ "$count" -eq 0 ] && [ -z "$dirty" ]; then
			echo "${tag//-/\~}"
			return
		fi
		echo "${tag//-/\~}+$count.g$commit$dirty"
	else
		echo "0.0.0+$(git rev-list --count HEAD).g$commit$dirty"
	fi
}

VERSION=${VERSION:-$(describe)}
SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct)}
ARCH=$($go env GOARCH)
export VERSION SOURCE_DATE_EPOCH ARCH
file=${1:-build/sluice_${VERSION}_$ARCH.deb}

root=build/deb/root
rm -rf build/deb
mkdir -p $root/usr/bin $root/usr/share/man/man5 $root/usr/share/man/man8 $root/usr/share/doc/sluice/examples \
	$root/usr/share/bash-completion/completions $root/usr/share/zsh/vendor-completions $root/usr/share/fish/vendor_completions.d

# Programs, without the tables for debuggers.
CGO_ENABLED=0 $go build -trimpath -buildvcs=false -ldflags "-s -w -X main.version=$VERSION" -o $root/usr/bin/ ./cmd/sluiced ./cmd/sluicectl

# What sluicectl writes about itself. Its environment must not be among the defaults.
sluicectl() { env -i PATH="$PATH" HOME=/root SOURCE_DATE_EPOCH="$SOURCE_DATE_EPOCH" $root/usr/bin/sluicectl "$@"; }
sluicectl completion bash >$root/usr/share/bash-completion/completions/sluicectl
sluicectl completion zsh >$root/usr/share/zsh/vendor-completions/_sluicectl
sluicectl completion fish >$root/usr/share/fish/vendor_completions.d/sluicectl.fish
sluicectl man $root/usr/share/man/man8

# The other pages are Markdown. That of the configuration is docs/configuration.md,
# with its headings a level higher, below a page's own first ones, and with lists in
# place of tables, which are wider than a terminal.
page() { $go tool go-md2man -in /dev/stdin -out "$1"; }
date=$(date -d "@$SOURCE_DATE_EPOCH" +%F)
sed "1s/\"\"/\"$date\"/" deploy/package/sluiced.8.md | page $root/usr/share/man/man8/sluiced.8
{
	printf 'sluiced.yaml 5 "%s" "Sluice"\n====\n\n# NAME\n\nsluiced.yaml - configuration of sluiced\n\n# DESCRIPTION\n' "$date"
	sed -e '/^## Installing/,$d' -e 1d -e 's/^##/#/' -e 's/\[\([^]]*\)\](\([^)]*\))/\1/g' docs/configuration.md | awk -F ' *[|] *' '
		/^[|] ---/ { next }
		/^[|]/ && !table { table = 1; for (i = 2; i < NF; i++) title[i] = $i; next }
		/^[|]/ {
			line = "**" $2 "**"; gsub(/`/, "", line)
			for (i = 3; i < NF - 1; i++) line = line " (" title[i] ": " $i ")"
			print line "\n: " $(NF - 1) "\n"; next
		}
		{ table = 0; print }'
	printf '\n# SEE ALSO\n\n**sluiced**(8), **sluicectl**(8)\n'
} | page $root/usr/share/man/man5/sluiced.yaml.5

cp docs/*.md docs/*.svg $root/usr/share/doc/sluice/
cp deploy/sluiced.example.yaml deploy/prometheus/prometheus.yml deploy/prometheus/rules.yml deploy/dashboards/gateway.json $root/usr/share/doc/sluice/examples/

gzip -9n $root/usr/share/man/man?/*
find $root -exec touch -h -d "@$SOURCE_DATE_EPOCH" {} +
mkdir -p "$(dirname "$file")"
$go tool -modfile=scripts/nfpm.mod nfpm package --config deploy/package/nfpm.yaml --packager deb --target "$file"
