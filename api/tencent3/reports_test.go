package tencent3

import (
	"fmt"
	"testing"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
)

// TestReports: what has been reported of public clients and of programs that go by this cloud's
// actions, with inputs of our own.
func TestReports(t *testing.T) {
	for _, r := range []struct {
		report string
		try    func(*provider)
	}{
		{"an association is destroyed after its instance (terraform-provider-tencentcloud 60)", (*provider).boundInstance},
		{"an association is told of as done before it is (terraform-provider-tencentcloud 67)", (*provider).slowBinding},
		{"routes of two tables have one id (bk-hcm 288)", (*provider).oneDestination},
		{"a listing by VPC lacks some (tencentcloud-sdk-go 17), or has some twice", (*provider).pages},
		{"a set of rules is changed piece by piece (terraform-provider-tencentcloudenterprise 27)", (*provider).piecewise},
		{"groups that name each other, or themselves, stay for ever (cloud-nuke 726)", (*provider).mutual},
	} {
		t.Run(r.report, func(t *testing.T) { r.try(newProvider(t)) })
	}
}

func (p *provider) bind(address, instance string) {
	p.t.Helper()
	r := vpcsdk.NewAssociateAddressRequest()
	r.AddressId, r.InstanceId = &address, &instance
	must[*vpcsdk.AssociateAddressResponse](p.t)(p.c.AssociateAddress(r))
}

// boundInstance: an instance with an elastic IP does not go; the address never names one that
// is not there.
func (p *provider) boundInstance() {
	id := p.newAddress()
	p.bind(id, p.host)
	planetest.Refused(p.t, p.Inventory.Remove(ctx, p.host), fault.InstanceHasDependents)
	if s := p.state(p.address(id).AddressStatus, p.address(id).InstanceId); s != "BIND "+p.host {
		p.t.Errorf("the address is %s", s)
	}
	p.unbind(id)
	if err := p.Inventory.Remove(ctx, p.host); err != nil {
		p.t.Fatal(err)
	}
	p.release(id)
	if p.address(id) != nil {
		p.t.Error("the address is there after it was released")
	}
}

// slowBinding: an address is not BIND before the gateway has it.
func (p *provider) slowBinding() {
	id := p.newAddress()
	p.Stalled(func() {
		p.bind(id, p.host)
		if s := *p.address(id).AddressStatus; s != "BINDING" {
			p.t.Errorf("before the gateway has it, the address is %s", s)
		}
	})
	if s := *p.address(id).AddressStatus; s != "BIND" {
		p.t.Errorf("then it is %s", s)
	}
}

// oneDestination: a route's id is its own, whatever other tables have; and that of one table
// deletes nothing of another.
func (p *provider) oneDestination() {
	first, second := p.route(p.table, "192.168.8.0/24"), p.route(p.mainTable(), "192.168.8.0/24")
	a, b := p.tables("route-table-id", p.table)[0].RouteSet[0], p.tables("route-table-id", p.mainTable())[0].RouteSet[0]
	if *a.RouteId == *b.RouteId || *a.RouteItemId == *b.RouteItemId {
		p.t.Errorf("routes %s and %s have ids %s and %s", first, second, *a.RouteItemId, *b.RouteItemId)
	}
	r := vpcsdk.NewDeleteRoutesRequest()
	r.RouteTableId, r.Routes = ptr(p.mainTable()), []*vpcsdk.Route{{RouteId: a.RouteId}}
	if _, err := p.c.DeleteRoutes(r); !refusedWith(err, "ResourceNotFound") {
		p.t.Errorf("a route of another table: %v", err)
	}
	// A client that has read a route may send it back as it is, with what is to be another.
	swap := vpcsdk.NewReplaceRoutesRequest()
	swap.RouteTableId, swap.Routes = &p.table, []*vpcsdk.Route{a}
	a.DestinationCidrBlock = ptr("192.168.9.0/24")
	must[*vpcsdk.ReplaceRoutesResponse](p.t)(p.c.ReplaceRoutes(swap))
	if got := destinations(p.tables("route-table-id", p.table)[0]) + " " + destinations(p.tables("route-table-id", p.mainTable())[0]); got != "192.168.9.0/24 192.168.8.0/24" {
		p.t.Errorf("the tables have %s", got)
	}
}

// pages: the pages of a listing have each resource once, whatever goes between them, and
// TotalCount says how many there are; without a Limit there are 20.
func (p *provider) pages() {
	const n = 45
	for i := range n {
		p.newInterface(func(r *vpcsdk.CreateNetworkInterfaceRequest) {
			r.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{private(fmt.Sprintf("10.8.1.%d", 100+i), "", true)}
		})
	}
	seen := map[string]bool{}
	r := vpcsdk.NewDescribeNetworkInterfacesRequest()
	r.Filters = by("vpc-id", p.vpc)
	if l := must[*vpcsdk.DescribeNetworkInterfacesResponse](p.t)(p.c.DescribeNetworkInterfaces(r)).Response; *l.TotalCount != n+1 || len(l.NetworkInterfaceSet) != 20 {
		p.t.Errorf("%d of %d are listed without a limit", len(l.NetworkInterfaceSet), *l.TotalCount)
	}
	for offset := uint64(0); ; offset += 10 {
		r.Offset, r.Limit = &offset, ptr(uint64(10))
		list := must[*vpcsdk.DescribeNetworkInterfacesResponse](p.t)(p.c.DescribeNetworkInterfaces(r)).Response
		if len(list.NetworkInterfaceSet) == 0 {
			break
		}
		for _, x := range list.NetworkInterfaceSet {
			if seen[*x.NetworkInterfaceId] {
				p.t.Errorf("%s is listed twice", *x.NetworkInterfaceId)
			}
			seen[*x.NetworkInterfaceId] = true
		}
	}
	if len(seen) != n+1 { // and the instance's
		p.t.Errorf("%d interfaces are listed, of %d", len(seen), n+1)
	}
}

// piecewise: rules are inserted, changed in their place and taken out by their index, and what
// lies behind moves; a rule without a protocol is one of all, and shows it.
func (p *provider) piecewise() {
	p.mustSetRules("", []*vpcsdk.SecurityGroupPolicy{rule("ACCEPT", "10.1.0.0/16", "80", "TCP"), {Action: ptr("DROP"), CidrBlock: ptr("0.0.0.0/0")}},
		[]*vpcsdk.SecurityGroupPolicy{{Action: ptr("ACCEPT"), CidrBlock: ptr("0.0.0.0/0")}})
	p.addRule(1, rule("ACCEPT", "10.2.0.0/16", "53", "UDP"))
	r := vpcsdk.NewReplaceSecurityGroupPolicyRequest()
	changed := rule("DROP", "10.2.0.0/16", "53", "UDP")
	changed.PolicyIndex = ptr(int64(1))
	r.SecurityGroupId, r.SecurityGroupPolicySet = &p.group, &vpcsdk.SecurityGroupPolicySet{Version: ptr("2"), Ingress: []*vpcsdk.SecurityGroupPolicy{changed}}
	must[*vpcsdk.ReplaceSecurityGroupPolicyResponse](p.t)(p.c.ReplaceSecurityGroupPolicy(r))
	d := vpcsdk.NewDeleteSecurityGroupPoliciesRequest()
	d.SecurityGroupId = &p.group
	d.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Version: ptr("3"), Ingress: []*vpcsdk.SecurityGroupPolicy{{PolicyIndex: ptr(int64(0))}}}
	must[*vpcsdk.DeleteSecurityGroupPoliciesResponse](p.t)(p.c.DeleteSecurityGroupPolicies(d))
	if version, rules := p.policies(p.group); version+" "+rules != "4 in0:DROP#10.2.0.0/16#53#UDP in1:DROP#0.0.0.0/0#ALL#ALL out0:ACCEPT#0.0.0.0/0#ALL#ALL" {
		p.t.Errorf("the rules are %s %s", version, rules)
	}
}

// mutual: a group that another's rules name is not deleted, and says so; by its own rules it
// is not in use; and groups that name each other go once their rules are gone.
func (p *provider) mutual() {
	g := vpcsdk.NewCreateSecurityGroupRequest()
	g.GroupName, g.GroupDescription = ptr("peer"), ptr("")
	other := *must[*vpcsdk.CreateSecurityGroupResponse](p.t)(p.c.CreateSecurityGroup(g)).Response.SecurityGroup.SecurityGroupId
	own := p.group
	add := func(group, from string) {
		p.t.Helper()
		p.group = group
		p.addRule(0, &vpcsdk.SecurityGroupPolicy{SecurityGroupId: &from, Action: ptr("ACCEPT")})
		p.group = own
	}
	uses := func(id string) int64 {
		p.t.Helper()
		r := vpcsdk.NewDescribeSecurityGroupAssociationStatisticsRequest()
		r.SecurityGroupIds = []*string{&id}
		return int64(*must[*vpcsdk.DescribeSecurityGroupAssociationStatisticsResponse](p.t)(p.c.DescribeSecurityGroupAssociationStatistics(r)).Response.SecurityGroupAssociationStatisticsSet[0].SG)
	}
	remove := func(id string) error {
		r := vpcsdk.NewDeleteSecurityGroupRequest()
		r.SecurityGroupId = &id
		_, err := p.c.DeleteSecurityGroup(r)
		return err
	}
	add(own, own)
	if n := uses(own); n != 0 {
		p.t.Errorf("by its own rule a group is used %d times", n)
	}
	add(own, other)
	add(other, own)
	for _, id := range []string{own, other} {
		if n := uses(id); n != 1 {
			p.t.Errorf("a group that another names is used %d times", n)
		}
		if err := remove(id); !refusedWith(err, "ResourceInUse") {
			p.t.Errorf("a group that another names is deleted: %v", err)
		}
	}
	p.group = other
	p.mustSetRules("0", nil, nil)
	p.group = own
	if err := remove(own); err != nil { // with a rule that names itself
		p.t.Errorf("a group that no other names: %v", err)
	}
	if err := remove(other); err != nil {
		p.t.Errorf("the other one: %v", err)
	}
}
