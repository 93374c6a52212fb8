#!/usr/bin/env bash
# Runs a command on Debian 12's kernel (Linux 6.1) in a virtual machine that
# sees this machine's files: vm.sh [FLAGS] COMMAND [ARG...]. What the command
# writes to files ends with the machine. Tests run there with
#
#     go test -exec "$PWD/scripts/vm.sh" ./dataplane/egressfilter
set -euo pipefail
root=$(cd "$(dirname "$0")/.." && pwd)
"$root"/scripts/setup.sh test >&2
# Without the C library: the program is in the initramfs as well.
CGO_ENABLED=0 go build -C "$root" -buildvcs=false -o build/vm ./test/vm
exec "$root"/build/vm "$@"
