#!/usr/bin/env bash
# Draws docs/topology.svg by "sluicectl draw", from a lab that is brought up for it
# and goes again. With --check it compares, and changes nothing. Elastic IPs are
# drawn at random, so that the picture has the addresses of --anonymous.
set -euo pipefail
cd "$(dirname "$0")/.."
go=${GO:-go}
if [ "$(id -u)" -ne 0 ]; then
	echo "topology: docs/topology.svg is not looked at: a lab needs root" >&2
	exit 0
fi
work=$(mktemp -d)
export PATH="$work:$PATH" SLUICE_LAB=draw$$
trap 'sluicectl lab down; rm -rf "$work"' EXIT
CGO_ENABLED=0 $go build -o "$work/" ./cmd/sluiced ./cmd/sluicectl

call() { sluicectl call "$@"; }
vars=$(sluicectl lab up --env)
eval "$vars"
zone=$SLUICE_REGION-a
vpc=$(call CreateVpc --CidrBlock 10.0.0.0/16 --VpcName office --get VpcId)
apps=$(call CreateVSwitch --VpcId "$vpc" --CidrBlock 10.0.1.0/24 --VSwitchName apps --ZoneId "$zone" --get VSwitchId)
data=$(call CreateVSwitch --VpcId "$vpc" --CidrBlock 10.0.2.0/24 --VSwitchName data --ZoneId "$zone" --get VSwitchId)
nat=$(call CreateNatGateway --VpcId "$vpc" --Name nat --get NatGatewayId)
address() {
	local id
	id=$(call AllocateEipAddress --get AllocationId)
	call AssociateEipAddress --AllocationId "$id" --InstanceType Nat --InstanceId "$nat" >/dev/null
	call DescribeEipAddresses --AllocationId "$id" --get EipAddresses.EipAddress.0.IpAddress
}
out=$(address)
in=$(address)
table() { call DescribeNatGateways --NatGatewayId "$nat" --get "NatGateways.NatGateway.0.$1TableIds.$1TableId.0"; }
call CreateSnatEntry --SnatTableId "$(table Snat)" --SourceVSwitchId "$apps" --SnatIp "$out" >/dev/null
call CreateForwardEntry --ForwardTableId "$(table Forward)" --ExternalIp "$in" --ExternalPort 443 --InternalIp 10.0.1.10 --InternalPort 8443 --IpProtocol TCP >/dev/null
vpn=$(call CreateVpnGateway --VpcId "$vpc" --Name vpn --Bandwidth 100 --get VpnGatewayId)
site=$(call CreateCustomerGateway --IpAddress 198.51.100.7 --get CustomerGatewayId)
call CreateVpnConnection --VpnGatewayId "$vpn" --CustomerGatewayId "$site" --LocalSubnet 10.0.0.0/16 --RemoteSubnet 192.168.0.0/24 >/dev/null
sluicectl lab host add web --vswitch "$apps" --ip 10.0.1.10 >/dev/null
sluicectl lab host add worker --vswitch "$apps" --ip 10.0.1.11 >/dev/null
sluicectl lab host add db --vswitch "$data" --ip 10.0.2.10 >/dev/null

sluicectl draw --anonymous >"$work/topology.svg"
if [ "${1-}" != --check ]; then
	cp "$work/topology.svg" docs/topology.svg
elif ! cmp -s "$work/topology.svg" docs/topology.svg; then
	echo "topology: docs/topology.svg is not what is drawn now: make generate" >&2
	exit 1
fi
