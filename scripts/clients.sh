#!/usr/bin/env bash
# Fetches the public clients for Node.js that tests call the API by, into build/clients, in
# the versions that test/clients/package-lock.json has. Nothing of them is run.
set -euo pipefail
cd "$(dirname "$0")/.."
if ! command -v npm >/dev/null; then
	echo "clients: no npm; the tests by the clients for Node.js are skipped (Debian: apt-get install nodejs npm)" >&2
	exit 0
fi
dir=build/clients
if cmp -s test/clients/package-lock.json "$dir/fetched.json"; then
	exit 0
fi
mkdir -p "$dir"
cp test/clients/package.json test/clients/package-lock.json "$dir"
npm ci --prefix "$dir" --ignore-scripts --no-audit --no-fund --loglevel=error
cp test/clients/package-lock.json "$dir/fetched.json"
