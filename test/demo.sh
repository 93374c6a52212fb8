#!/usr/bin/env bash
# Shows the gateway at work: a private lab of network namespaces, driven through
# the signed API, with traffic passing both ways. Nothing of the machine's own
# network is touched, and nothing remains. Run it with: make demo
set -euo pipefail
cd "$(dirname "$0")/.."
export PATH="$PWD/bin:$PATH"
export SLUICE_LAB=sluice-demo

if [ "$(id -u)" -ne 0 ]; then
	echo "demo: needs root, since it makes network namespaces" >&2
	exit 1
fi

failed=0
step() { printf '\n\033[1m%s\033[0m\n' "$*"; }
see() { printf '  %s\n' "$*"; }

# check WHAT EXPECTED SEEN: EXPECTED is a pattern.
check() {
	# shellcheck disable=SC2053 # a pattern is meant
	if [[ $3 == $2 ]]; then
		printf '  ok    %s: %s\n' "$1" "$3"
	else
		printf '  WRONG %s: expected %s, saw %s\n' "$1" "$2" "${3:-nothing}"
		failed=1
	fi
}

finish() {
	code=$?
	trap - EXIT
	step "Cleaning up"
	sluicectl lab down || code=1
	left=$({
		ls /run/netns /run/sluice-lab 2>/dev/null | grep -e "^$SLUICE_LAB" -e "^sluice-${vpc:-none}\$"
		grep -lsz "^SLUICE_LAB_PROCESS=/run/sluice-lab/$SLUICE_LAB\$" /proc/[0-9]*/environ
	} || true)
	check "what is left of the lab" "" "$left"
	if [ "$code" -ne 0 ] || [ "$failed" -ne 0 ]; then
		echo
		echo "demo: FAILED" >&2
		exit 1
	fi
	echo
	echo "demo: everything worked"
}
trap finish EXIT
trap 'exit 130' INT TERM

# call ACTION ... prints the call; what it gives back is in the variable answer.
answer=
call() {
	printf '  sluicectl call %s\n' "$*"
	answer=$(sluicectl call "$@")
}

# await WHAT COMMAND...: until the command prints WHAT.
await() {
	want=$1
	shift
	for _ in $(seq 100); do
		got=$("$@" 2>&1 || true)
		[ "$got" = "$want" ] && return
		sleep 0.1
	done
	echo "  WRONG: waited 10 s for $want from: $*; saw $got"
	exit 1
}

step "A lab: a private sluiced, and an Internet at 203.0.113.0/24"
sluicectl lab down
eval "$(sluicectl lab up --env)"
see "API at $SLUICE_ENDPOINT, access key $SLUICE_ACCESS_KEY_ID"

step "A VPC with a VSwitch, a NAT gateway, and two elastic IPs"
call CreateVpc --CidrBlock 10.0.0.0/16 --VpcName demo --get VpcId
vpc=$answer
await Available sluicectl call DescribeVpcs --VpcId "$vpc" --get Vpcs.Vpc.0.Status
call CreateVSwitch --VpcId "$vpc" --CidrBlock 10.0.1.0/24 --ZoneId "$SLUICE_REGION-a" --get VSwitchId
vswitch=$answer
await Available sluicectl call DescribeVSwitches --VpcId "$vpc" --VSwitchId "$vswitch" --get VSwitches.VSwitch.0.Status
call CreateNatGateway --VpcId "$vpc" --Spec Small --Name demo --get NatGatewayId
gateway=$answer
await Available sluicectl call DescribeNatGateways --NatGatewayId "$gateway" --get NatGateways.NatGateway.0.Status
tables=NatGateways.NatGateway.0
forward=$(sluicectl call DescribeNatGateways --NatGatewayId "$gateway" --get $tables.ForwardTableIds.ForwardTableId.0)
snat=$(sluicectl call DescribeNatGateways --NatGatewayId "$gateway" --get $tables.SnatTableIds.SnatTableId.0)
addresses=()
for _ in 1 2; do
	call AllocateEipAddress --Bandwidth 5 --get AllocationId
	eip=$answer
	call AssociateEipAddress --AllocationId "$eip" --InstanceId "$gateway" --InstanceType Nat --get RequestId
	await InUse sluicectl call DescribeEipAddresses --AllocationId "$eip" --get EipAddresses.EipAddress.0.Status
	addresses+=("$(sluicectl call DescribeEipAddresses --AllocationId "$eip" --get EipAddresses.EipAddress.0.IpAddress)")
done
out=${addresses[0]} in=${addresses[1]}
see "$gateway: SNAT will use $out, DNAT $in"

step "Two hosts in the VSwitch"
sluicectl lab host add web --vswitch "$vswitch" --ip 10.0.1.10 --serve | sed 's/^/  /'
sluicectl lab host add worker --vswitch "$vswitch" --ip 10.0.1.11 | sed 's/^/  /'

step "Before there is any SNAT entry, nothing gets out"
seen=$(sluicectl lab exec worker -- sluicectl lab get --timeout 1s http://203.0.113.1/ 2>/dev/null || echo "no answer")
check "worker to the Internet" "no answer" "$seen"

step "An SNAT entry for the VSwitch, a DNAT entry for web"
call CreateSnatEntry --SnatTableId "$snat" --SourceVSwitchId "$vswitch" --SnatIp "$out" --get SnatEntryId
entry=$answer
await Available sluicectl call DescribeSnatTableEntries --SnatTableId "$snat" --SnatEntryId "$entry" --get SnatTableEntries.SnatTableEntry.0.Status
call CreateForwardEntry --ForwardTableId "$forward" --ExternalIp "$in" --ExternalPort 8080 \
	--InternalIp 10.0.1.10 --InternalPort 80 --IpProtocol TCP --get ForwardEntryId
entry=$answer
await Available sluicectl call DescribeForwardTableEntries --ForwardTableId "$forward" --ForwardEntryId "$entry" --get ForwardTableEntries.ForwardTableEntry.0.Status

step "From the inside out: the Internet's server says who it sees"
for host in web worker; do
	seen=$(sluicectl lab exec $host -- sluicectl lab get http://203.0.113.1/ || true)
	check "$host is seen as" "$out:*" "$seen"
done

step "From the outside in: $in port 8080 leads to web, which sees the real client"
seen=$(sluicectl lab exec internet -- sluicectl lab get --verbose "http://$in:8080/" 2>&1 | paste -sd' ' || true)
check "asked from 203.0.113.1" "answered by web 203.0.113.1:*" "$seen"

step "Hairpin: worker reaches web by the public address"
seen=$(sluicectl lab exec worker -- sluicectl lab get --verbose "http://$in:8080/" 2>&1 | paste -sd' ' || true)
check "asked from worker" "answered by web *" "$seen"

step "What the kernel has of it"
sluicectl status | sed 's/^/  /'
