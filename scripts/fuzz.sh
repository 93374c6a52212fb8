#!/usr/bin/env bash
# Fuzzes every fuzz target of the module for a while: fuzz.sh [TIME], default 10s.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
time=${1:-10s}

# Looking into the sources is quicker than building every test to ask it.
count=0
while IFS=: read -r file target; do
	package=./$(dirname "$file")
	target=${target#func }
	echo "fuzz: $package $target"
	$go test -run '^$' -fuzz "^$target\$" -fuzztime "$time" "$package"
	count=$((count + 1))
done < <(git ls-files --cached --others --exclude-standard '*_test.go' | xargs grep -HoE '^func Fuzz[A-Za-z0-9_]+')
echo "fuzz: $count targets"
