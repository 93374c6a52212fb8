#!/usr/bin/env bash
# Runs the tests, with the race detector, and checks that they leave nothing
# behind, also when they fail, run out of time or are interrupted. Arguments go
# to go test; without any, everything is tested but the long tests and those in
# a virtual machine, and with --all these, too. The last lines say what was
# skipped, and why; build/test.json has all events, and build/test-vm.json those of
# the tests in a virtual machine. The exit code is that of the
# tests, or 1 if they left something.
#
# The tests have process ids, a /run/netns and a temporary directory of their
# own. So whatever becomes of them, their processes end with them, and with the
# processes and the mounts the network namespaces go.
set -uo pipefail
cd "$(dirname "$0")/.."

# run runs go test with its arguments but the first, the file for all events, and sums up.
run() {
	mkdir -p build
	go tool gotestsum --format standard-quiet --jsonfile "$1" -- "${@:2}"
}

tests() {
	mount -t tmpfs -o mode=755 sluice-test /run/netns || return
	# What takes the longest is begun before the rest, so that nothing waits for it
	# alone at the end. Tests that may run beside each other wait most of the time:
	# more of them do than there are processors, and so do packages. "make lint" vets.
	if [ $# -eq 0 ]; then
		# What they sync need not get to a disk. What Go builds is large, and stays there.
		export GOTMPDIR=$TMPDIR.go
		mkdir "$GOTMPDIR" && mount -t tmpfs -o mode=700 sluice-test "$TMPDIR" || return
		# What two packages test, without what only debuggers read.
		export E2E_PROGRAMS=$GOTMPDIR/programs
		go build -ldflags=-w -o "$E2E_PROGRAMS/" ./cmd/sluiced ./cmd/sluicectl || return
		run build/test.json -race -short -vet=off -ldflags=-w -count=1 -p 4 -parallel 4 -timeout 15m \
			./dataplane/engine ./test/e2e ./dataplane/ipsec ./dataplane/session ./dataplane/openvpn ./test/lab ./test/sequence ./dataplane/bgp ./dataplane/nft ./api/aliyun ./...
	elif [ "$*" = --all ]; then
		# What needs no race detector comes first and fails fast: it compiles. The virtual
		# machine has a processor to itself, which is slow enough in there.
		go build ./... || return
		local result=0
		run build/test-vm.json -race -vet=off -ldflags=-w -count=1 -timeout 30m ./test/vm || result=$?
		run build/test.json -race -vet=off -ldflags=-w -count=1 -p 2 -timeout 30m \
			./dataplane/ipsec ./test/e2e ./dataplane/engine $(go list ./... | grep -v '/test/vm$') || result=$?
		return "$result"
	else
		go test "$@"
	fi
}

if [ "${1-}" = --inside ]; then
	shift
	tests "$@"
	exit # not exec: this shell takes in the processes that others leave
fi

if [ "$(id -u)" -ne 0 ]; then
	echo "test: the tests make network namespaces, which only root may do" >&2
	exit 1
fi

before=$(scripts/traces.sh | sort)

result=0
mkdir -p /run/netns
TMPDIR=$(mktemp -d) || exit
export TMPDIR
# A program with the race detector waits a second before it ends, for what goroutines
# may still report: there are some hundred of them.
export GORACE=atexit_sleep_ms=50
# What tests allocate lives as long as they do: the collector would go over it again and again.
export GOGC=1600 GOMEMLIMIT=1500MiB
trap 'rm -rf "$TMPDIR" "$TMPDIR.go"' EXIT
trap : INT TERM # the tests get them too, and end
unshare --mount --pid --fork --kill-child --mount-proc --propagation private scripts/test.sh --inside "$@" || result=$?

# The kernel takes namespaces down in its own time.
left=
for _ in $(seq 50); do
	left=$(comm -13 <(echo "$before") <(scripts/traces.sh | sort))
	[ -z "$left" ] && break
	sleep 0.1
done
if [ -n "$left" ]; then
	echo "test: left behind:" >&2
	echo "$left" | sed 's/^/  /' >&2
	[ "$result" -eq 0 ] && result=1
else
	echo "test: nothing left behind"
fi
exit "$result"
