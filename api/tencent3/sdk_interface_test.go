package tencent3

import (
	"net/netip"
	"strings"
	"testing"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// TestSDKInterfaces: the public client makes, attaches, moves and deletes network interfaces
// and their addresses, and binds elastic IPs to each of these.
func TestSDKInterfaces(t *testing.T) {
	w := newWorld(t)
	c := w.client("AKIDalice", "POST", "TC3-HMAC-SHA256")
	vpc := w.VPC(planetest.Alice, "10.8.0.0/16").VPC
	subnet := w.VSwitch(planetest.Alice, vpc, "10.8.1.0/24")
	first, second := w.Instance(subnet, "10.8.1.10", resource.Host), w.Instance(subnet, "10.8.1.11", resource.Host)

	create := vpcsdk.NewCreateNetworkInterfaceRequest()
	create.VpcId, create.SubnetId, create.NetworkInterfaceName, create.NetworkInterfaceDescription = &vpc, &subnet, ptr("网卡"), ptr("text")
	create.SecondaryPrivateIpAddressCount = ptr(uint64(1))
	create.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{
		{PrivateIpAddress: ptr("10.8.1.21"), Description: ptr("b")}, {PrivateIpAddress: ptr("10.8.1.20"), Primary: ptr(true), Description: ptr("a")}}
	made := must[*vpcsdk.CreateNetworkInterfaceResponse](t)(c.CreateNetworkInterface(create)).Response.NetworkInterface
	if got := privateOf(made); got != "*10.8.1.20 10.8.1.21 10.8.1.1" || *made.NetworkInterfaceName != "网卡" || *made.Primary || *made.State != "AVAILABLE" ||
		!strings.HasPrefix(*made.NetworkInterfaceId, "eni-") || len(*made.NetworkInterfaceId) != 12 || *made.PrivateIpAddressSet[0].Description != "a" || *made.MacAddress == "" {
		t.Errorf("made was %s: %+v", got, made)
	}
	id := made.NetworkInterfaceId
	shown := func() *vpcsdk.NetworkInterface {
		t.Helper()
		r := vpcsdk.NewDescribeNetworkInterfacesRequest()
		r.NetworkInterfaceIds = []*string{id}
		return must[*vpcsdk.DescribeNetworkInterfacesResponse](t)(c.DescribeNetworkInterfaces(r)).Response.NetworkInterfaceSet[0]
	}

	attach := vpcsdk.NewAttachNetworkInterfaceRequest()
	attach.NetworkInterfaceId, attach.InstanceId = id, &first
	must[*vpcsdk.AttachNetworkInterfaceResponse](t)(c.AttachNetworkInterface(attach))
	if n := shown(); *n.Attachment.InstanceId != first || *n.Attachment.DeviceIndex != 1 {
		t.Errorf("attached: %+v", n.Attachment)
	}
	list := vpcsdk.NewDescribeNetworkInterfacesRequest()
	list.Filters = []*vpcsdk.Filter{{Name: ptr("attachment.instance-id"), Values: []*string{&first}}}
	all := must[*vpcsdk.DescribeNetworkInterfacesResponse](t)(c.DescribeNetworkInterfaces(list)).Response
	if *all.TotalCount != 2 || !*all.NetworkInterfaceSet[0].Primary || privateOf(all.NetworkInterfaceSet[0]) != "*10.8.1.10" {
		t.Errorf("of the instance: %+v", all)
	}
	primary := all.NetworkInterfaceSet[0].NetworkInterfaceId

	assign := vpcsdk.NewAssignPrivateIpAddressesRequest()
	assign.NetworkInterfaceId, assign.SecondaryPrivateIpAddressCount = primary, ptr(uint64(2))
	got := must[*vpcsdk.AssignPrivateIpAddressesResponse](t)(c.AssignPrivateIpAddresses(assign)).Response.PrivateIpAddressSet
	if len(got) != 2 || *got[0].PrivateIpAddress != "10.8.1.2" || *got[1].PrivateIpAddress != "10.8.1.3" {
		t.Errorf("assigned: %+v", got)
	}
	give := vpcsdk.NewUnassignPrivateIpAddressesRequest()
	give.NetworkInterfaceId, give.PrivateIpAddresses = primary, []*vpcsdk.PrivateIpAddressSpecification{{PrivateIpAddress: ptr("10.8.1.2")}}
	must[*vpcsdk.UnassignPrivateIpAddressesResponse](t)(c.UnassignPrivateIpAddresses(give))

	// An elastic IP for the instance, and one for each of two addresses of the interface.
	allocate := vpcsdk.NewAllocateAddressesRequest()
	allocate.AddressCount = ptr(int64(3))
	ids := must[*vpcsdk.AllocateAddressesResponse](t)(c.AllocateAddresses(allocate)).Response.AddressSet
	if len(ids) != 3 || len(*ids[0]) != len("eip-m44ku5d2") {
		t.Fatalf("allocated %v", ids)
	}
	bind := vpcsdk.NewAssociateAddressRequest()
	bind.AddressId, bind.NetworkInterfaceId, bind.PrivateIpAddress = ids[0], primary, ptr("10.8.1.10")
	must[*vpcsdk.AssociateAddressResponse](t)(c.AssociateAddress(bind))
	for i, a := range []string{"10.8.1.20", "10.8.1.21"} {
		bind.AddressId, bind.NetworkInterfaceId, bind.PrivateIpAddress = ids[i+1], id, &a
		must[*vpcsdk.AssociateAddressResponse](t)(c.AssociateAddress(bind))
	}
	addresses := func(filter, value string) []*vpcsdk.Address {
		t.Helper()
		r := vpcsdk.NewDescribeAddressesRequest()
		r.Filters = []*vpcsdk.Filter{{Name: &filter, Values: []*string{&value}}}
		return must[*vpcsdk.DescribeAddressesResponse](t)(c.DescribeAddresses(r)).Response.AddressSet
	}
	if l := addresses("instance-id", first); len(l) != 3 {
		t.Errorf("of the instance: %+v", l)
	}
	if l := addresses("address-id", *ids[0]); len(l) != 1 || *l[0].PrivateAddressIp != "10.8.1.10" || *l[0].NetworkInterfaceId != *primary || *l[0].AddressStatus != "BIND" {
		t.Errorf("of the instance's own address: %+v", l)
	}
	if l := addresses("private-ip-address", "10.8.1.21"); len(l) != 1 || *l[0].AddressId != *ids[2] || *l[0].InstanceId != first {
		t.Errorf("of the address: %+v", l)
	}

	// The interface moves with its elastic IPs; then one address moves on, with its own.
	move := vpcsdk.NewMigrateNetworkInterfaceRequest()
	move.NetworkInterfaceId, move.SourceInstanceId, move.DestinationInstanceId = id, &first, &second
	must[*vpcsdk.MigrateNetworkInterfaceResponse](t)(c.MigrateNetworkInterface(move))
	if l := addresses("instance-id", second); len(l) != 2 {
		t.Errorf("after the move: %+v", l)
	}
	one := vpcsdk.NewMigratePrivateIpAddressRequest()
	one.SourceNetworkInterfaceId, one.DestinationNetworkInterfaceId, one.PrivateIpAddress = id, primary, ptr("10.8.1.21")
	must[*vpcsdk.MigratePrivateIpAddressResponse](t)(c.MigratePrivateIpAddress(one))
	if l := addresses("address-id", *ids[2]); len(addresses("network-interface-id", *primary)) != 2 || *l[0].NetworkInterfaceId != *primary || *l[0].InstanceId != first || *l[0].PrivateAddressIp != "10.8.1.21" {
		t.Errorf("after the address has moved: %+v", l)
	}
	text := vpcsdk.NewModifyPrivateIpAddressesAttributeRequest()
	text.NetworkInterfaceId, text.PrivateIpAddresses = primary, []*vpcsdk.PrivateIpAddressSpecification{{PrivateIpAddress: ptr("10.8.1.21"), Description: ptr("moved")}}
	must[*vpcsdk.ModifyPrivateIpAddressesAttributeResponse](t)(c.ModifyPrivateIpAddressesAttribute(text))
	rename := vpcsdk.NewModifyNetworkInterfaceAttributeRequest()
	rename.NetworkInterfaceId, rename.NetworkInterfaceName = id, ptr("other")
	must[*vpcsdk.ModifyNetworkInterfaceAttributeResponse](t)(c.ModifyNetworkInterfaceAttribute(rename))

	detach := vpcsdk.NewDetachNetworkInterfaceRequest()
	detach.NetworkInterfaceId, detach.InstanceId = id, &second
	must[*vpcsdk.DetachNetworkInterfaceResponse](t)(c.DetachNetworkInterface(detach))
	if l := addresses("address-status", "BIND_ENI"); len(l) != 1 || *l[0].AddressId != *ids[1] || *shown().NetworkInterfaceName != "other" {
		t.Errorf("of an interface at no instance: %+v", l)
	}
	gone := vpcsdk.NewDeleteNetworkInterfaceRequest()
	gone.NetworkInterfaceId = id
	if _, err := c.DeleteNetworkInterface(gone); !refusedWith(err, "ResourceInUse") {
		t.Errorf("an interface with an elastic IP: %v", err)
	}
	free := vpcsdk.NewDisassociateAddressRequest()
	for _, e := range ids[1:] {
		free.AddressId = e
		must[*vpcsdk.DisassociateAddressResponse](t)(c.DisassociateAddress(free))
	}
	must[*vpcsdk.DeleteNetworkInterfaceResponse](t)(c.DeleteNetworkInterface(gone))
	w.ordinary(c, first, ids)
}

// ordinary has an instance's elastic IP replaced by an ordinary public address, and that made
// an elastic IP again.
func (w *world) ordinary(c *vpcsdk.Client, instance string, ids []*string) {
	t := w.t
	t.Helper()
	free := vpcsdk.NewDisassociateAddressRequest()
	free.AddressId, free.ReallocateNormalPublicIp = ids[0], ptr(true)
	must[*vpcsdk.DisassociateAddressResponse](t)(c.DisassociateAddress(free))
	release := vpcsdk.NewReleaseAddressesRequest()
	release.AddressIds = ids
	must[*vpcsdk.ReleaseAddressesResponse](t)(c.ReleaseAddresses(release))
	all := func() []*vpcsdk.Address {
		t.Helper()
		return must[*vpcsdk.DescribeAddressesResponse](t)(c.DescribeAddresses(vpcsdk.NewDescribeAddressesRequest())).Response.AddressSet
	}
	if l := all(); len(l) != 0 {
		t.Errorf("an ordinary public address is listed: %+v", l)
	}
	interfaces := w.Inventory.Interfaces(instance)
	public := interfaces[0].Public[netip.MustParseAddr("10.8.1.10")]
	if !public.IsValid() {
		t.Fatalf("the instance has no ordinary public address: %+v", interfaces)
	}
	transform := vpcsdk.NewTransformAddressRequest()
	transform.InstanceId = &instance
	must[*vpcsdk.TransformAddressResponse](t)(c.TransformAddress(transform))
	if l := all(); len(l) != 1 || *l[0].AddressIp != public.String() || *l[0].InstanceId != instance || *l[0].AddressStatus != "BIND" {
		t.Errorf("transformed: %+v", l)
	}
	name := vpcsdk.NewModifyAddressAttributeRequest()
	name.AddressId, name.AddressName = all()[0].AddressId, ptr("front")
	must[*vpcsdk.ModifyAddressAttributeResponse](t)(c.ModifyAddressAttribute(name))
	w.Restart()
	want := map[string][2]int64{"TOTAL_EIP_QUOTA": {1, 20}, "DAILY_EIP_APPLY": {4, 40}, "DAILY_PUBLIC_IP_ASSIGN": {1, 10}}
	for _, q := range must[*vpcsdk.DescribeAddressQuotaResponse](t)(c.DescribeAddressQuota(vpcsdk.NewDescribeAddressQuotaRequest())).Response.QuotaSet {
		if got := [2]int64{int64(*q.QuotaCurrent), int64(*q.QuotaLimit)}; got != want[*q.QuotaId] {
			t.Errorf("%s: %v, want %v", *q.QuotaId, got, want[*q.QuotaId])
		}
	}
}

// privateOf are the addresses of an interface; a star stands before a primary one.
func privateOf(n *vpcsdk.NetworkInterface) string {
	var list []string
	for _, a := range n.PrivateIpAddressSet {
		star := ""
		if *a.Primary {
			star = "*"
		}
		list = append(list, star+*a.PrivateIpAddress)
	}
	return strings.Join(list, " ")
}
