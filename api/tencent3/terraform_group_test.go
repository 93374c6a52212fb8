package tencent3

import (
	"slices"
	"strings"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
)

// policies reads the rules of a group as the provider's resources do: of each, what the
// provider takes for there.
func (p *provider) policies(id string) (version, rules string) {
	p.t.Helper()
	r := vpcsdk.NewDescribeSecurityGroupPoliciesRequest()
	r.SecurityGroupId = &id
	set := must[*vpcsdk.DescribeSecurityGroupPoliciesResponse](p.t)(p.c.DescribeSecurityGroupPolicies(r)).Response.SecurityGroupPolicySet
	var list []string
	for direction, of := range map[string][]*vpcsdk.SecurityGroupPolicy{"in": set.Ingress, "out": set.Egress} {
		for _, x := range of {
			end := p.state(x.CidrBlock) + p.state(x.SecurityGroupId) + p.state(x.AddressTemplate.AddressId) + p.state(x.AddressTemplate.AddressGroupId)
			service := p.state(x.Protocol) + p.state(x.ServiceTemplate.ServiceId) + p.state(x.ServiceTemplate.ServiceGroupId)
			list = append(list, direction+p.state(x.PolicyIndex)+":"+strings.Join([]string{p.state(x.Action), end, p.state(x.Port), service}, "#"))
			p.state(x.PolicyDescription)
		}
	}
	slices.Sort(list)
	return p.state(set.Version), strings.Join(list, " ")
}

func rule(action, cidr, port, protocol string) *vpcsdk.SecurityGroupPolicy {
	return &vpcsdk.SecurityGroupPolicy{Action: &action, CidrBlock: &cidr, Port: &port, Protocol: &protocol}
}

// setRules is what the provider's rule sets call: with a version, it is the one that is to come,
// and the rules are sorted.
func (p *provider) setRules(version string, in, out []*vpcsdk.SecurityGroupPolicy) error {
	r := vpcsdk.NewModifySecurityGroupPoliciesRequest()
	r.SecurityGroupId = &p.group
	r.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Ingress: in, Egress: out}
	if version != "" {
		r.SecurityGroupPolicySet.Version = &version
	}
	if version != "" && version != "0" {
		r.SortPolicys = ptr(true)
	}
	_, err := p.c.ModifySecurityGroupPolicies(r)
	return err
}

func (p *provider) mustSetRules(version string, in, out []*vpcsdk.SecurityGroupPolicy) {
	p.t.Helper()
	if err := p.setRules(version, in, out); err != nil {
		p.t.Fatal(err)
	}
}

// noRules takes all rules of the group away.
func noRules(p *provider, _ string) { p.mustSetRules("0", nil, nil) }

// groupRules reads the rules of the provider's group; none is gone.
func groupRules(p *provider, _ string) (string, bool) {
	version, rules := p.policies(p.group)
	return version + " " + rules, rules != ""
}

var groupLives = []life{
	{
		resource: "security_group",
		create: func(p *provider) string {
			r := vpcsdk.NewCreateSecurityGroupRequest()
			r.GroupName, r.GroupDescription, r.ProjectId = ptr("ci-group"), ptr(""), ptr("0")
			return *must[*vpcsdk.CreateSecurityGroupResponse](p.t)(p.c.CreateSecurityGroup(r)).Response.SecurityGroup.SecurityGroupId
		},
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeSecurityGroupsRequest()
			r.SecurityGroupIds = []*string{&id}
			list, err := p.c.DescribeSecurityGroups(r)
			if refusedWith(err, "ResourceNotFound") {
				return "", false
			}
			v := must[*vpcsdk.DescribeSecurityGroupsResponse](p.t)(list, err).Response.SecurityGroupSet[0]
			return p.state(v.SecurityGroupName, v.SecurityGroupDesc, v.ProjectId), true
		},
		want: "ci-group  0",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifySecurityGroupAttributeRequest()
			r.SecurityGroupId, r.GroupName, r.GroupDescription = &id, ptr("renamed"), ptr("another text")
			must[*vpcsdk.ModifySecurityGroupAttributeResponse](p.t)(p.c.ModifySecurityGroupAttribute(r))
		},
		updated: "renamed another text 0",
		delete: func(p *provider, id string) {
			uses := vpcsdk.NewDescribeSecurityGroupAssociationStatisticsRequest()
			uses.SecurityGroupIds = []*string{&id}
			u := must[*vpcsdk.DescribeSecurityGroupAssociationStatisticsResponse](p.t)(p.c.DescribeSecurityGroupAssociationStatistics(uses)).Response.SecurityGroupAssociationStatisticsSet[0]
			if s := p.state(u.CVM, u.CLB, u.CDB, u.ENI, u.SG); s != "0 0 0 0 0" {
				p.t.Errorf("nothing is in the group, and it is used by %s", s)
			}
			r := vpcsdk.NewDeleteSecurityGroupRequest()
			r.SecurityGroupId = &id
			must[*vpcsdk.DeleteSecurityGroupResponse](p.t)(p.c.DeleteSecurityGroup(r))
		},
	},
	{
		resource: "security_group_rule_set",
		create: func(p *provider) string {
			p.mustSetRules("", []*vpcsdk.SecurityGroupPolicy{rule("ACCEPT", "10.0.0.0/8", "443", "TCP"), rule("DROP", "0.0.0.0/0", "ALL", "ALL")},
				[]*vpcsdk.SecurityGroupPolicy{rule("ACCEPT", "0.0.0.0/0", "ALL", "ICMP")})
			return p.group
		},
		read: groupRules,
		want: "1 in0:ACCEPT#10.0.0.0/8#443#TCP in1:DROP#0.0.0.0/0#ALL#ALL out0:ACCEPT#0.0.0.0/0#ALL#ICMP",
		update: func(p *provider, id string) {
			in := []*vpcsdk.SecurityGroupPolicy{rule("DROP", "10.9.0.0/16", "ALL", "ALL"), rule("ACCEPT", "10.0.0.0/8", "8000-8010", "UDP")}
			out := []*vpcsdk.SecurityGroupPolicy{rule("ACCEPT", "0.0.0.0/0", "ALL", "ALL")}
			p.mustSetRules("2", in, out)
			// Who has read version 1 as well, and has lost, is told so.
			if err := p.setRules("2", in[:1], out); !refusedWith(err, "UnsupportedOperation.VersionMismatch") {
				p.t.Errorf("a change of version 1 of the rules, which have 2: %v", err)
			}
		},
		updated: "2 in0:DROP#10.9.0.0/16#ALL#ALL in1:ACCEPT#10.0.0.0/8#8000-8010#UDP out0:ACCEPT#0.0.0.0/0#ALL#ALL",
		delete:  noRules,
	},
	{
		resource: "security_group_lite_rule",
		create: func(p *provider) string {
			p.mustSetRules("", []*vpcsdk.SecurityGroupPolicy{
				{Action: ptr("ACCEPT"), CidrBlock: ptr("192.168.1.0/24"), Protocol: ptr("TCP"), Port: ptr("80")},
				{Action: ptr("ACCEPT"), SecurityGroupId: &p.group, Protocol: ptr("ICMP")},
			}, []*vpcsdk.SecurityGroupPolicy{{Action: ptr("DROP"), CidrBlock: ptr("10.1.1.1"), Protocol: ptr("ALL")}})
			return p.group
		},
		read: groupRules,
		want: "1 in0:ACCEPT#192.168.1.0/24#80#TCP in1:ACCEPT#<group>#ALL#ICMP out0:DROP#10.1.1.1#ALL#ALL",
		update: func(p *provider, id string) { // no rules out any more: they are deleted by what they say
			r := vpcsdk.NewDeleteSecurityGroupPoliciesRequest()
			r.SecurityGroupId = &id
			r.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Egress: []*vpcsdk.SecurityGroupPolicy{{Action: ptr("DROP"), CidrBlock: ptr("10.1.1.1"), Protocol: ptr("ALL")}}}
			must[*vpcsdk.DeleteSecurityGroupPoliciesResponse](p.t)(p.c.DeleteSecurityGroupPolicies(r))
		},
		updated: "2 in0:ACCEPT#192.168.1.0/24#80#TCP in1:ACCEPT#<group>#ALL#ICMP",
		delete:  noRules,
	},
	{
		resource: "security_group_rule",
		create: func(p *provider) string {
			p.addRule(0, &vpcsdk.SecurityGroupPolicy{CidrBlock: ptr("10.2.0.0/16"), Protocol: ptr("TCP"), Port: ptr("22"), PolicyDescription: ptr("ssh"), Action: ptr("ACCEPT")})
			p.addRule(0, &vpcsdk.SecurityGroupPolicy{SecurityGroupId: &p.group, Action: ptr("DROP"), Protocol: ptr("ALL"), Port: ptr("ALL")})
			p.addRule(2, &vpcsdk.SecurityGroupPolicy{CidrBlock: ptr("10.3.0.0/16"), Action: ptr("ACCEPT")}) // of any protocol
			return p.group
		},
		read: groupRules,
		want: "3 in0:DROP#<group>#ALL#ALL in1:ACCEPT#10.2.0.0/16#22#TCP in2:ACCEPT#10.3.0.0/16#ALL#ALL",
		update: func(p *provider, id string) { // two of them are deleted by what they say, as the provider writes it: without ALL
			r := vpcsdk.NewDeleteSecurityGroupPoliciesRequest()
			r.SecurityGroupId = &id
			r.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Ingress: []*vpcsdk.SecurityGroupPolicy{
				{Action: ptr("ACCEPT"), CidrBlock: ptr("10.2.0.0/16"), Protocol: ptr("TCP"), Port: ptr("22"), PolicyDescription: ptr("ssh")}}}
			must[*vpcsdk.DeleteSecurityGroupPoliciesResponse](p.t)(p.c.DeleteSecurityGroupPolicies(r))
			r.SecurityGroupPolicySet.Ingress = []*vpcsdk.SecurityGroupPolicy{{Action: ptr("ACCEPT"), CidrBlock: ptr("10.3.0.0/16")}}
			must[*vpcsdk.DeleteSecurityGroupPoliciesResponse](p.t)(p.c.DeleteSecurityGroupPolicies(r))
		},
		updated: "5 in0:DROP#<group>#ALL#ALL",
		delete: func(p *provider, id string) { // by its index alone
			r := vpcsdk.NewDeleteSecurityGroupPoliciesRequest()
			r.SecurityGroupId = &id
			r.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Ingress: []*vpcsdk.SecurityGroupPolicy{{PolicyIndex: ptr(int64(0))}}}
			must[*vpcsdk.DeleteSecurityGroupPoliciesResponse](p.t)(p.c.DeleteSecurityGroupPolicies(r))
		},
	},
	{
		resource: "address_template",
		create:   func(p *provider) string { return p.addresses("10.0.0.1", "10.0.1.0/24", "10.0.0.1-10.0.0.100") },
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeAddressTemplatesRequest()
			r.Filters = by("address-template-id", id)
			r.Offset, r.Limit = whole()
			list := must[*vpcsdk.DescribeAddressTemplatesResponse](p.t)(p.c.DescribeAddressTemplates(r)).Response.AddressTemplateSet
			if len(list) == 0 {
				return "", false
			}
			return p.state(list[0].AddressTemplateName, list[0].AddressSet), true
		},
		want: "addresses [10.0.0.1 10.0.1.0/24 10.0.0.1-10.0.0.100]",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyAddressTemplateAttributeRequest()
			r.AddressTemplateId, r.AddressTemplateName, r.Addresses = &id, ptr("renamed"), []*string{ptr("10.0.0.2")}
			must[*vpcsdk.ModifyAddressTemplateAttributeResponse](p.t)(p.c.ModifyAddressTemplateAttribute(r))
		},
		updated: "renamed [10.0.0.2]",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteAddressTemplateRequest()
			r.AddressTemplateId = &id
			must[*vpcsdk.DeleteAddressTemplateResponse](p.t)(p.c.DeleteAddressTemplate(r))
		},
	},
	{
		resource: "address_template_group",
		create: func(p *provider) string {
			r := vpcsdk.NewCreateAddressTemplateGroupRequest()
			r.AddressTemplateGroupName, r.AddressTemplateIds = ptr("addresses"), []*string{ptr(p.addresses("10.0.0.1")), ptr(p.addresses("10.0.0.2"))}
			return *must[*vpcsdk.CreateAddressTemplateGroupResponse](p.t)(p.c.CreateAddressTemplateGroup(r)).Response.AddressTemplateGroup.AddressTemplateGroupId
		},
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeAddressTemplateGroupsRequest()
			r.Filters = by("address-template-group-id", id)
			r.Offset, r.Limit = whole()
			list := must[*vpcsdk.DescribeAddressTemplateGroupsResponse](p.t)(p.c.DescribeAddressTemplateGroups(r)).Response.AddressTemplateGroupSet
			if len(list) == 0 {
				return "", false
			}
			return p.state(list[0].AddressTemplateGroupName, len(list[0].AddressTemplateIdSet)), true
		},
		want: "addresses 2",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyAddressTemplateGroupAttributeRequest()
			r.AddressTemplateGroupId, r.AddressTemplateGroupName, r.AddressTemplateIds = &id, ptr("renamed"), []*string{ptr(p.addresses("10.0.0.3"))}
			must[*vpcsdk.ModifyAddressTemplateGroupAttributeResponse](p.t)(p.c.ModifyAddressTemplateGroupAttribute(r))
		},
		updated: "renamed 1",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteAddressTemplateGroupRequest()
			r.AddressTemplateGroupId = &id
			must[*vpcsdk.DeleteAddressTemplateGroupResponse](p.t)(p.c.DeleteAddressTemplateGroup(r))
		},
	},
	{
		resource: "protocol_template",
		create:   func(p *provider) string { return p.services("tcp:80", "udp:all", "icmp", "tcp:8000-8010") },
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeServiceTemplatesRequest()
			r.Filters = by("service-template-id", id)
			r.Offset, r.Limit = whole()
			list := must[*vpcsdk.DescribeServiceTemplatesResponse](p.t)(p.c.DescribeServiceTemplates(r)).Response.ServiceTemplateSet
			if len(list) == 0 {
				return "", false
			}
			return p.state(list[0].ServiceTemplateName, list[0].ServiceSet), true
		},
		want: "services [tcp:80 udp:all icmp tcp:8000-8010]",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyServiceTemplateAttributeRequest()
			r.ServiceTemplateId, r.ServiceTemplateName, r.Services = &id, ptr("renamed"), []*string{ptr("gre")}
			must[*vpcsdk.ModifyServiceTemplateAttributeResponse](p.t)(p.c.ModifyServiceTemplateAttribute(r))
		},
		updated: "renamed [gre]",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteServiceTemplateRequest()
			r.ServiceTemplateId = &id
			must[*vpcsdk.DeleteServiceTemplateResponse](p.t)(p.c.DeleteServiceTemplate(r))
		},
	},
	{
		resource: "protocol_template_group",
		create: func(p *provider) string {
			r := vpcsdk.NewCreateServiceTemplateGroupRequest()
			r.ServiceTemplateGroupName, r.ServiceTemplateIds = ptr("services"), []*string{ptr(p.services("tcp:80")), ptr(p.services("udp:53"))}
			return *must[*vpcsdk.CreateServiceTemplateGroupResponse](p.t)(p.c.CreateServiceTemplateGroup(r)).Response.ServiceTemplateGroup.ServiceTemplateGroupId
		},
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeServiceTemplateGroupsRequest()
			r.Filters = by("service-template-group-id", id)
			r.Offset, r.Limit = whole()
			list := must[*vpcsdk.DescribeServiceTemplateGroupsResponse](p.t)(p.c.DescribeServiceTemplateGroups(r)).Response.ServiceTemplateGroupSet
			if len(list) == 0 {
				return "", false
			}
			return p.state(list[0].ServiceTemplateGroupName, len(list[0].ServiceTemplateIdSet)), true
		},
		want: "services 2",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyServiceTemplateGroupAttributeRequest()
			r.ServiceTemplateGroupId, r.ServiceTemplateGroupName, r.ServiceTemplateIds = &id, ptr("renamed"), []*string{ptr(p.services("icmp"))}
			must[*vpcsdk.ModifyServiceTemplateGroupAttributeResponse](p.t)(p.c.ModifyServiceTemplateGroupAttribute(r))
		},
		updated: "renamed 1",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteServiceTemplateGroupRequest()
			r.ServiceTemplateGroupId = &id
			must[*vpcsdk.DeleteServiceTemplateGroupResponse](p.t)(p.c.DeleteServiceTemplateGroup(r))
		},
	},
}

// addRule adds a rule as the provider's resource of one rule does: with an index, and with
// templates that say nothing.
func (p *provider) addRule(index int64, x *vpcsdk.SecurityGroupPolicy) {
	p.t.Helper()
	x.PolicyIndex, x.AddressTemplate, x.ServiceTemplate = &index, &vpcsdk.AddressTemplateSpecification{}, &vpcsdk.ServiceTemplateSpecification{}
	r := vpcsdk.NewCreateSecurityGroupPoliciesRequest()
	r.SecurityGroupId, r.SecurityGroupPolicySet = &p.group, &vpcsdk.SecurityGroupPolicySet{Ingress: []*vpcsdk.SecurityGroupPolicy{x}}
	must[*vpcsdk.CreateSecurityGroupPoliciesResponse](p.t)(p.c.CreateSecurityGroupPolicies(r))
}

func (p *provider) addresses(list ...string) string {
	p.t.Helper()
	r := vpcsdk.NewCreateAddressTemplateRequest()
	r.AddressTemplateName = ptr("addresses")
	for i := range list {
		r.Addresses = append(r.Addresses, &list[i])
	}
	return *must[*vpcsdk.CreateAddressTemplateResponse](p.t)(p.c.CreateAddressTemplate(r)).Response.AddressTemplate.AddressTemplateId
}

func (p *provider) services(list ...string) string {
	p.t.Helper()
	r := vpcsdk.NewCreateServiceTemplateRequest()
	r.ServiceTemplateName = ptr("services")
	for i := range list {
		r.Services = append(r.Services, &list[i])
	}
	return *must[*vpcsdk.CreateServiceTemplateResponse](p.t)(p.c.CreateServiceTemplate(r)).Response.ServiceTemplate.ServiceTemplateId
}
