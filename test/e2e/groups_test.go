package e2e

import (
	"net/netip"
	"testing"
	"time"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
)

// groupUnderTest is a security group of a host, with the templates that its rules name.
type groupUnderTest struct {
	t                          *testing.T
	n                          *network
	c                          *vpcsdk.Client
	group, addresses, services *string
}

// newGroup makes a group without rules, an address template and a service template, which go when
// the test ends, after hosts that are plugged in later.
func (n *network) newGroup(t *testing.T, c *vpcsdk.Client, address, service string) *groupUnderTest {
	t.Helper()
	u := &groupUnderTest{t: t, n: n, c: c}
	a := vpcsdk.NewCreateAddressTemplateRequest()
	a.AddressTemplateName, a.Addresses = ptr("clients"), []*string{&address}
	u.addresses = done[*vpcsdk.CreateAddressTemplateResponse](t, n)(c.CreateAddressTemplate(a)).Response.AddressTemplate.AddressTemplateId
	s := vpcsdk.NewCreateServiceTemplateRequest()
	s.ServiceTemplateName, s.Services = ptr("web"), []*string{&service}
	u.services = done[*vpcsdk.CreateServiceTemplateResponse](t, n)(c.CreateServiceTemplate(s)).Response.ServiceTemplate.ServiceTemplateId
	g := vpcsdk.NewCreateSecurityGroupRequest()
	g.GroupName, g.GroupDescription = ptr("web"), ptr("under test")
	u.group = done[*vpcsdk.CreateSecurityGroupResponse](t, n)(c.CreateSecurityGroup(g)).Response.SecurityGroup.SecurityGroupId
	t.Cleanup(func() {
		group := vpcsdk.NewDeleteSecurityGroupRequest()
		group.SecurityGroupId = u.group
		addresses := vpcsdk.NewDeleteAddressTemplateRequest()
		addresses.AddressTemplateId = u.addresses
		services := vpcsdk.NewDeleteServiceTemplateRequest()
		services.ServiceTemplateId = u.services
		_, err := c.DeleteSecurityGroup(group)
		_, err2 := c.DeleteAddressTemplate(addresses)
		_, err3 := c.DeleteServiceTemplate(services)
		for _, err := range []error{err, err2, err3} {
			if err != nil {
				t.Error(err)
			}
		}
	})
	return u
}

// rules puts these rules for what comes in in the place of all; nothing is let out but answers.
func (u *groupUnderTest) rules(list ...*vpcsdk.SecurityGroupPolicy) {
	u.t.Helper()
	in := vpcsdk.NewModifySecurityGroupPoliciesRequest()
	in.SecurityGroupId, in.SecurityGroupPolicySet = u.group, &vpcsdk.SecurityGroupPolicySet{Ingress: list,
		Egress: []*vpcsdk.SecurityGroupPolicy{{Action: ptr("DROP"), Protocol: ptr("ALL"), CidrBlock: ptr("0.0.0.0/0")}}}
	if len(list) == 0 {
		in.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Version: ptr("0")}
	}
	done[*vpcsdk.ModifySecurityGroupPoliciesResponse](u.t, u.n)(u.c.ModifySecurityGroupPolicies(in))
}

// lets is a rule by the templates.
func (u *groupUnderTest) lets() *vpcsdk.SecurityGroupPolicy {
	return &vpcsdk.SecurityGroupPolicy{Action: ptr("ACCEPT"),
		AddressTemplate: &vpcsdk.AddressTemplateSpecification{AddressId: u.addresses}, ServiceTemplate: &vpcsdk.ServiceTemplateSpecification{ServiceId: u.services}}
}

func letsBlock(block, port string) *vpcsdk.SecurityGroupPolicy {
	return &vpcsdk.SecurityGroupPolicy{Action: ptr("ACCEPT"), Protocol: ptr("TCP"), Port: &port, CidrBlock: &block}
}

func (u *groupUnderTest) template(address string) {
	u.t.Helper()
	in := vpcsdk.NewModifyAddressTemplateAttributeRequest()
	in.AddressTemplateId, in.Addresses = u.addresses, []*string{&address}
	done[*vpcsdk.ModifyAddressTemplateAttributeResponse](u.t, u.n)(u.c.ModifyAddressTemplateAttribute(in))
}

func (u *groupUnderTest) service(text string) {
	u.t.Helper()
	in := vpcsdk.NewModifyServiceTemplateAttributeRequest()
	in.ServiceTemplateId, in.Services = u.services, []*string{&text}
	done[*vpcsdk.ModifyServiceTemplateAttributeResponse](u.t, u.n)(u.c.ModifyServiceTemplateAttribute(in))
}

// TestSecurityGroups: rules and templates of a security group are changed by signed calls of the
// public client while hosts talk. What a rule lets begin goes on through all of it, what none does
// any more is cut, within a subnet and between two.
func TestSecurityGroups(t *testing.T) { onAndOff(t, testSecurityGroups) }

func testSecurityGroups(t *testing.T, g *gateway) {
	c, n := g.tencentClient(t), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	u := n.newGroup(t, c, "172.16.1.20", "tcp:80")
	web, near, far := n.host(t, 0, "172.16.1.10"), n.host(t, 0, "172.16.1.20"), n.host(t, 1, "172.16.2.20")
	web.serve(t, "tcp", "0.0.0.0:80")
	web.serve(t, "tcp", "0.0.0.0:81")
	near.serve(t, "tcp", "0.0.0.0:80")
	at80, at81 := netip.AddrPortFrom(web.addr, 80), netip.AddrPortFrom(web.addr, 81)
	u.rules(u.lets(), letsBlock("172.16.2.0/24", "80"))
	join := vpcsdk.NewModifyNetworkInterfaceAttributeRequest()
	join.NetworkInterfaceId, join.SecurityGroupIds = primaryOf(t, c, web.instance), []*string{u.group}
	done[*vpcsdk.ModifyNetworkInterfaceAttributeResponse](t, n)(c.ModifyNetworkInterfaceAttribute(join))

	refused := func(e *host, to netip.AddrPort) {
		t.Helper()
		if err := e.tryEcho("tcp", to, time.Second/4); err == nil {
			t.Errorf("%s answers %s, and no rule lets it", to, e.addr)
		}
	}
	answers, lost := far.connections(t, at80, 3) // through all that follows
	goOn(t, "before any change", answers, 10)
	byTemplate := near.flow(t, at80)
	refused(near, at81)
	refused(far, at81)
	refused(web, netip.AddrPortFrom(near.addr, 80))

	u.template("172.16.1.99") // not near's any more
	byTemplate.stopped(t)
	refused(near, at80)
	goOn(t, "after a change of an address template", answers, 10)
	u.template("172.16.1.16-172.16.1.23")
	byTemplate = near.flow(t, at80)

	u.service("tcp:81")
	byTemplate.stopped(t)
	by81 := near.flow(t, at81)
	goOn(t, "after a change of a service template", answers, 10)

	if !testing.Short() {
		u.changePlaces(by81, func(what string) { goOn(t, what, answers, 10) })
	}
	if cut := lost(); cut > 0 {
		t.Errorf("%d connections were cut that a rule lets begin all the while", cut)
	}
	last := far.flow(t, at80)
	u.rules()
	last.stopped(t)
	refused(far, at80)
}

// changePlaces has rules come and go, and change places, while what they say of the open flows stays
// the same, and then puts one before them that bars those to port 81.
func (u *groupUnderTest) changePlaces(by81 *flow, goOn func(what string)) {
	u.t.Helper()
	u.rules(letsBlock("172.16.2.20", "80"), letsBlock("172.16.1.0/24", "82"), u.lets())
	by81.more(u.t, 5)
	by81.lost(u.t, 0)
	goOn("after its rule was another one")
	drop := letsBlock("172.16.1.0/24", "81")
	drop.Action, drop.PolicyIndex = ptr("DROP"), ptr(int64(0))
	first := vpcsdk.NewCreateSecurityGroupPoliciesRequest()
	first.SecurityGroupId, first.SecurityGroupPolicySet = u.group, &vpcsdk.SecurityGroupPolicySet{Ingress: []*vpcsdk.SecurityGroupPolicy{drop}}
	done[*vpcsdk.CreateSecurityGroupPoliciesResponse](u.t, u.n)(u.c.CreateSecurityGroupPolicies(first))
	by81.stopped(u.t)
	goOn("after a rule before its own")
}
