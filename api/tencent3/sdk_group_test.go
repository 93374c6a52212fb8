package tencent3

import (
	"strings"
	"testing"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// TestSDKGroups: the public client, as it is, makes, changes, lists and deletes templates and
// security groups with their rules.
func TestSDKGroups(t *testing.T) {
	for _, how := range []struct{ method, signature string }{{"POST", "TC3-HMAC-SHA256"}, {"GET", "HmacSHA256"}} {
		t.Run(how.method+" "+how.signature, func(t *testing.T) {
			w := newWorld(t)
			w.groupRound(w.client("AKIDalice", how.method, how.signature))
		})
	}
}

func (w *world) groupRound(c *vpcsdk.Client) {
	t := w.t
	t.Helper()
	addresses := vpcsdk.NewCreateAddressTemplateRequest()
	addresses.AddressTemplateName, addresses.Addresses = ptr("办公室"), []*string{ptr("10.8.1.0/24"), ptr("10.9.0.1-10.9.0.9")}
	ipm := must[*vpcsdk.CreateAddressTemplateResponse](t)(c.CreateAddressTemplate(addresses)).Response.AddressTemplate
	if !strings.HasPrefix(*ipm.AddressTemplateId, "ipm-") || len(ipm.AddressSet) != 2 || *ipm.AddressSet[1] != "10.9.0.1-10.9.0.9" {
		t.Errorf("made was %+v", ipm)
	}
	services := vpcsdk.NewCreateServiceTemplateRequest()
	services.ServiceTemplateName, services.Services = ptr("web"), []*string{ptr("TCP:80,443"), ptr("ICMP")}
	ppm := must[*vpcsdk.CreateServiceTemplateResponse](t)(c.CreateServiceTemplate(services)).Response.ServiceTemplate
	if !strings.HasPrefix(*ppm.ServiceTemplateId, "ppm-") || *ppm.ServiceSet[0] != "tcp:80,443" || *ppm.ServiceSet[1] != "icmp" {
		t.Errorf("made was %+v", ppm)
	}
	addressGroup := vpcsdk.NewCreateAddressTemplateGroupRequest()
	addressGroup.AddressTemplateGroupName, addressGroup.AddressTemplateIds = ptr("all"), []*string{ipm.AddressTemplateId}
	ipmg := must[*vpcsdk.CreateAddressTemplateGroupResponse](t)(c.CreateAddressTemplateGroup(addressGroup)).Response.AddressTemplateGroup
	serviceGroup := vpcsdk.NewCreateServiceTemplateGroupRequest()
	serviceGroup.ServiceTemplateGroupName, serviceGroup.ServiceTemplateIds = ptr("all"), []*string{ppm.ServiceTemplateId}
	ppmg := must[*vpcsdk.CreateServiceTemplateGroupResponse](t)(c.CreateServiceTemplateGroup(serviceGroup)).Response.ServiceTemplateGroup
	if *ppmg.ServiceTemplateGroupName != "all" || *ipmg.AddressTemplateGroupName != "all" {
		t.Errorf("made were %+v and %+v", ipmg, ppmg)
	}

	group := vpcsdk.NewCreateSecurityGroupRequest()
	group.GroupName, group.GroupDescription, group.ProjectId = ptr("web"), ptr("the web's"), ptr("0")
	sg := must[*vpcsdk.CreateSecurityGroupResponse](t)(c.CreateSecurityGroup(group)).Response.SecurityGroup
	if *sg.SecurityGroupName != "web" || *sg.SecurityGroupDesc != "the web's" || *sg.IsDefault || *sg.ProjectId != "0" {
		t.Errorf("made was %+v", sg)
	}
	add := vpcsdk.NewCreateSecurityGroupPoliciesRequest()
	add.SecurityGroupId = sg.SecurityGroupId
	add.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Version: ptr("0"), Ingress: []*vpcsdk.SecurityGroupPolicy{
		{Protocol: ptr("TCP"), Port: ptr("22"), CidrBlock: ptr("10.8.1.10"), Action: ptr("accept"), PolicyDescription: ptr("ssh")},
		{ServiceTemplate: &vpcsdk.ServiceTemplateSpecification{ServiceGroupId: ppmg.ServiceTemplateGroupId}, SecurityGroupId: sg.SecurityGroupId, Action: ptr("ACCEPT")},
	}}
	must[*vpcsdk.CreateSecurityGroupPoliciesResponse](t)(c.CreateSecurityGroupPolicies(add))
	if _, err := c.CreateSecurityGroupPolicies(add); !refusedWith(err, "UnsupportedOperation.VersionMismatch") {
		t.Errorf("rules of another version: %v", err)
	}
	swap := vpcsdk.NewReplaceSecurityGroupPolicyRequest()
	swap.SecurityGroupId = sg.SecurityGroupId
	swap.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Version: ptr("1"), Ingress: []*vpcsdk.SecurityGroupPolicy{
		{PolicyIndex: ptr(int64(0)), Protocol: ptr("UDP"), CidrBlock: ptr("10.0.0.0/8"), Action: ptr("DROP")}}}
	must[*vpcsdk.ReplaceSecurityGroupPolicyResponse](t)(c.ReplaceSecurityGroupPolicy(swap))
	show := vpcsdk.NewDescribeSecurityGroupPoliciesRequest()
	show.SecurityGroupId = sg.SecurityGroupId
	set := must[*vpcsdk.DescribeSecurityGroupPoliciesResponse](t)(c.DescribeSecurityGroupPolicies(show)).Response.SecurityGroupPolicySet
	if *set.Version != "2" || len(set.Ingress) != 2 || len(set.Egress) != 0 {
		t.Fatalf("the rules are %+v", set)
	}
	if r := set.Ingress[0]; *r.PolicyIndex != 0 || *r.Protocol != "UDP" || *r.Port != "ALL" || *r.CidrBlock != "10.0.0.0/8" || *r.Action != "DROP" {
		t.Errorf("the first rule is %+v", r)
	}
	if r := set.Ingress[1]; *r.ServiceTemplate.ServiceGroupId != *ppmg.ServiceTemplateGroupId || *r.SecurityGroupId != *sg.SecurityGroupId || *r.Action != "ACCEPT" {
		t.Errorf("the second rule is %+v", r)
	}
	remove := vpcsdk.NewDeleteSecurityGroupPoliciesRequest()
	remove.SecurityGroupId = sg.SecurityGroupId
	remove.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{Ingress: []*vpcsdk.SecurityGroupPolicy{
		{Protocol: ptr("udp"), Port: ptr("all"), CidrBlock: ptr("10.0.0.0/8"), Action: ptr("drop")}}}
	must[*vpcsdk.DeleteSecurityGroupPoliciesResponse](t)(c.DeleteSecurityGroupPolicies(remove))
	all := vpcsdk.NewModifySecurityGroupPoliciesRequest()
	all.SecurityGroupId = sg.SecurityGroupId
	all.SecurityGroupPolicySet = &vpcsdk.SecurityGroupPolicySet{
		Ingress: []*vpcsdk.SecurityGroupPolicy{{Protocol: ptr("ALL"), AddressTemplate: &vpcsdk.AddressTemplateSpecification{AddressGroupId: ipmg.AddressTemplateGroupId}, Action: ptr("ACCEPT")}},
		Egress:  []*vpcsdk.SecurityGroupPolicy{{ServiceTemplate: &vpcsdk.ServiceTemplateSpecification{ServiceId: ppm.ServiceTemplateId}, CidrBlock: ptr("0.0.0.0/0"), Action: ptr("ACCEPT")}},
	}
	must[*vpcsdk.ModifySecurityGroupPoliciesResponse](t)(c.ModifySecurityGroupPolicies(all))

	host := w.Instance(w.VSwitch(planetest.Alice, w.VPC(planetest.Alice, "10.8.0.0/16").VPC, "10.8.1.0/24"), "10.8.1.10", resource.Host)
	w.Join(host, *sg.SecurityGroupId)
	uses := vpcsdk.NewDescribeSecurityGroupAssociationStatisticsRequest()
	uses.SecurityGroupIds = []*string{sg.SecurityGroupId}
	if u := must[*vpcsdk.DescribeSecurityGroupAssociationStatisticsResponse](t)(c.DescribeSecurityGroupAssociationStatistics(uses)).Response.SecurityGroupAssociationStatisticsSet[0]; *u.CVM != 1 || *u.ENI != 0 || *u.SG != 0 {
		t.Errorf("the group is used by %+v", u)
	}
	gone := vpcsdk.NewDeleteSecurityGroupRequest()
	gone.SecurityGroupId = sg.SecurityGroupId
	if _, err := c.DeleteSecurityGroup(gone); !refusedWith(err, "ResourceInUse") {
		t.Errorf("a group with a member: %v", err)
	}
	w.Join(host)

	rename := vpcsdk.NewModifySecurityGroupAttributeRequest()
	rename.SecurityGroupId, rename.GroupName = sg.SecurityGroupId, ptr("other")
	must[*vpcsdk.ModifySecurityGroupAttributeResponse](t)(c.ModifySecurityGroupAttribute(rename))
	list := vpcsdk.NewDescribeSecurityGroupsRequest()
	list.Filters = []*vpcsdk.Filter{{Name: ptr("security-group-name"), Values: []*string{ptr("other")}}, {Name: ptr("project-id"), Values: []*string{ptr("0")}}}
	if l := must[*vpcsdk.DescribeSecurityGroupsResponse](t)(c.DescribeSecurityGroups(list)).Response; *l.TotalCount != 1 || *l.SecurityGroupSet[0].SecurityGroupId != *sg.SecurityGroupId || *l.SecurityGroupSet[0].CreatedTime == "" {
		t.Errorf("groups listed: %+v", l)
	}
	w.templateRound(c, ipm, ppm, ipmg, ppmg, gone)
}

func (w *world) templateRound(c *vpcsdk.Client, ipm *vpcsdk.AddressTemplate, ppm *vpcsdk.ServiceTemplate, ipmg *vpcsdk.AddressTemplateGroup, ppmg *vpcsdk.ServiceTemplateGroup, gone *vpcsdk.DeleteSecurityGroupRequest) {
	t := w.t
	t.Helper()
	a := vpcsdk.NewModifyAddressTemplateAttributeRequest()
	a.AddressTemplateId, a.Addresses = ipm.AddressTemplateId, []*string{ptr("10.8.1.7")}
	must[*vpcsdk.ModifyAddressTemplateAttributeResponse](t)(c.ModifyAddressTemplateAttribute(a))
	s := vpcsdk.NewModifyServiceTemplateAttributeRequest()
	s.ServiceTemplateId, s.ServiceTemplateName = ppm.ServiceTemplateId, ptr("renamed")
	must[*vpcsdk.ModifyServiceTemplateAttributeResponse](t)(c.ModifyServiceTemplateAttribute(s))
	ag := vpcsdk.NewModifyAddressTemplateGroupAttributeRequest()
	ag.AddressTemplateGroupId, ag.AddressTemplateGroupName = ipmg.AddressTemplateGroupId, ptr("renamed")
	must[*vpcsdk.ModifyAddressTemplateGroupAttributeResponse](t)(c.ModifyAddressTemplateGroupAttribute(ag))
	sgr := vpcsdk.NewModifyServiceTemplateGroupAttributeRequest()
	sgr.ServiceTemplateGroupId, sgr.ServiceTemplateGroupName, sgr.ServiceTemplateIds = ppmg.ServiceTemplateGroupId, ptr("renamed"), []*string{ppm.ServiceTemplateId}
	must[*vpcsdk.ModifyServiceTemplateGroupAttributeResponse](t)(c.ModifyServiceTemplateGroupAttribute(sgr))

	by := func(name, value string) []*vpcsdk.Filter {
		return []*vpcsdk.Filter{{Name: &name, Values: []*string{&value}}}
	}
	la := vpcsdk.NewDescribeAddressTemplatesRequest()
	la.Filters = by("address-template-id", *ipm.AddressTemplateId)
	if l := must[*vpcsdk.DescribeAddressTemplatesResponse](t)(c.DescribeAddressTemplates(la)).Response; *l.TotalCount != 1 || *l.AddressTemplateSet[0].AddressSet[0] != "10.8.1.7" {
		t.Errorf("address templates listed: %+v", l)
	}
	ls := vpcsdk.NewDescribeServiceTemplatesRequest()
	ls.Filters, ls.Limit = by("service-template-name", "renamed"), ptr("1")
	if l := must[*vpcsdk.DescribeServiceTemplatesResponse](t)(c.DescribeServiceTemplates(ls)).Response; *l.TotalCount != 1 || len(l.ServiceTemplateSet[0].ServiceSet) != 2 {
		t.Errorf("service templates listed: %+v", l)
	}
	lag := vpcsdk.NewDescribeAddressTemplateGroupsRequest()
	lag.Filters = by("address-template-group-name", "renamed")
	if l := must[*vpcsdk.DescribeAddressTemplateGroupsResponse](t)(c.DescribeAddressTemplateGroups(lag)).Response; *l.TotalCount != 1 || *l.AddressTemplateGroupSet[0].AddressTemplateIdSet[0] != *ipm.AddressTemplateId {
		t.Errorf("groups of address templates listed: %+v", l)
	}
	lsg := vpcsdk.NewDescribeServiceTemplateGroupsRequest()
	lsg.Filters = by("service-template-group-id", *ppmg.ServiceTemplateGroupId)
	if l := must[*vpcsdk.DescribeServiceTemplateGroupsResponse](t)(c.DescribeServiceTemplateGroups(lsg)).Response; *l.TotalCount != 1 || *l.ServiceTemplateGroupSet[0].ServiceTemplateGroupName != "renamed" {
		t.Errorf("groups of service templates listed: %+v", l)
	}

	noA, noS := vpcsdk.NewDeleteAddressTemplateRequest(), vpcsdk.NewDeleteServiceTemplateRequest()
	noA.AddressTemplateId, noS.ServiceTemplateId = ipm.AddressTemplateId, ppm.ServiceTemplateId
	if _, err := c.DeleteAddressTemplate(noA); !refusedWith(err, "ResourceInUse") {
		t.Errorf("a template in a group: %v", err)
	}
	noAG, noSG := vpcsdk.NewDeleteAddressTemplateGroupRequest(), vpcsdk.NewDeleteServiceTemplateGroupRequest()
	noAG.AddressTemplateGroupId, noSG.ServiceTemplateGroupId = ipmg.AddressTemplateGroupId, ppmg.ServiceTemplateGroupId
	if _, err := c.DeleteAddressTemplateGroup(noAG); !refusedWith(err, "ResourceInUse") {
		t.Errorf("a group of templates that a rule names: %v", err)
	}
	must[*vpcsdk.DeleteSecurityGroupResponse](t)(c.DeleteSecurityGroup(gone))
	must[*vpcsdk.DeleteAddressTemplateGroupResponse](t)(c.DeleteAddressTemplateGroup(noAG))
	must[*vpcsdk.DeleteServiceTemplateGroupResponse](t)(c.DeleteServiceTemplateGroup(noSG))
	must[*vpcsdk.DeleteAddressTemplateResponse](t)(c.DeleteAddressTemplate(noA))
	must[*vpcsdk.DeleteServiceTemplateResponse](t)(c.DeleteServiceTemplate(noS))
	if _, err := c.DeleteSecurityGroup(gone); !refusedWith(err, "InvalidSecurityGroupID.NotFound") {
		t.Errorf("a group that is gone: %v", err)
	}
}
