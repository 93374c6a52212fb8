package tencent3

import (
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/template"
)

// made fails the scene's test for an error.
func made[R resource.Resource](s *scene, r R, err error) string {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Metadata().ID
}

func (s *scene) template(c identity.Caller, of resource.TemplateKind, item string) string {
	t, err := s.Templates.Under(*Rules.IDs).Create(ctx, c, template.Wanted{Region: planetest.Region, Of: of, Name: "t", List: []string{item}})
	return made(s, t, err)
}

func (s *scene) templateGroup(of resource.TemplateKind, of1 string) string {
	g, err := s.Templates.Under(*Rules.IDs).CreateGroup(ctx, planetest.Alice, template.Wanted{Region: planetest.Region, Of: of, Name: "g", List: []string{of1}})
	return made(s, g, err)
}

func (s *scene) group(c identity.Caller, project string) string {
	g, err := s.SecurityGroups.Under(*Rules.IDs).Create(ctx, c, securitygroup.Wanted{Region: planetest.Region, Project: project, Name: "g"})
	return made(s, g, err)
}

// makeGroups makes a security group with two rules, and templates with groups of them. What is
// free nothing names.
func (s *scene) makeGroups() {
	s.t.Helper()
	s.named = map[string]string{}
	for of, p := range map[resource.TemplateKind][2]string{resource.AddressTemplate: {"ipm", "10.0.0.1"}, resource.ServiceTemplate: {"ppm", "tcp:80"}} {
		s.named["<"+p[0]+">"] = s.template(planetest.Alice, of, p[1])
		s.named["<"+p[0]+"g>"] = s.templateGroup(of, s.named["<"+p[0]+">"])
		s.named["<their "+p[0]+">"] = s.template(planetest.Bob, of, p[1])
	}
	s.named["<sg>"], s.named["<other sg>"], s.named["<their sg>"] = s.group(planetest.Alice, ""), s.group(planetest.Alice, "7"), s.group(planetest.Bob, "")
	rule := securitygroup.Rule{Protocol: "TCP", Port: "80", CIDR: "10.0.0.0/8", Action: "ACCEPT"}
	second := securitygroup.Rule{Service: s.named["<ppmg>"], Addresses: s.named["<ipmg>"], Action: "DROP"}
	err := s.SecurityGroups.Add(ctx, planetest.Alice, securitygroup.Rules{Region: planetest.Region, Group: s.named["<sg>"], Ingress: []securitygroup.Rule{rule, second}})
	if err != nil {
		s.t.Fatal(err)
	}
}

// goodGroups are the good parameters of the actions on groups and templates.
func (s *scene) goodGroups(action string) map[string]string {
	rule := func(more ...string) map[string]string {
		m := map[string]string{"SecurityGroupId": s.named["<sg>"]}
		for i := 0; i < len(more); i += 2 {
			m["SecurityGroupPolicySet."+more[i]] = more[i+1]
		}
		return m
	}
	switch action {
	case "CreateAddressTemplate":
		return map[string]string{"AddressTemplateName": "a", "Addresses.0": "10.0.0.0/8", "Addresses.1": "192.168.0.1-192.168.0.9"}
	case "CreateServiceTemplate":
		return map[string]string{"ServiceTemplateName": "a", "Services.0": "TCP:8080"}
	case "CreateAddressTemplateGroup":
		return map[string]string{"AddressTemplateGroupName": "a", "AddressTemplateIds.0": s.named["<ipm>"]}
	case "CreateServiceTemplateGroup":
		return map[string]string{"ServiceTemplateName": "a", "ServiceTemplateIds.0": s.named["<ppm>"]}
	case "DeleteAddressTemplate":
		return map[string]string{"AddressTemplateId": s.template(planetest.Alice, resource.AddressTemplate, "10.0.0.1")}
	case "DeleteServiceTemplate":
		return map[string]string{"ServiceTemplateId": s.template(planetest.Alice, resource.ServiceTemplate, "icmp")}
	case "DeleteAddressTemplateGroup":
		return map[string]string{"AddressTemplateGroupId": s.templateGroup(resource.AddressTemplate, s.named["<ipm>"])}
	case "DeleteServiceTemplateGroup":
		return map[string]string{"ServiceTemplateGroupId": s.templateGroup(resource.ServiceTemplate, s.named["<ppm>"])}
	case "DescribeAddressTemplates":
		return map[string]string{"Filters.0.Name": "address-template-id", "Filters.0.Values.0": s.named["<ipm>"]}
	case "DescribeServiceTemplates":
		return map[string]string{"Filters.0.Name": "service-template-name", "Filters.0.Values.0": "t"}
	case "DescribeAddressTemplateGroups":
		return map[string]string{"Filters.0.Name": "address-template-group-name", "Filters.0.Values.0": "g"}
	case "DescribeServiceTemplateGroups":
		return map[string]string{"Filters.0.Name": "service-template-group-id", "Filters.0.Values.0": s.named["<ppmg>"]}
	case "ModifyAddressTemplateAttribute":
		return map[string]string{"AddressTemplateId": s.named["<ipm>"], "AddressTemplateName": "b", "Addresses.0": "10.0.0.9"}
	case "ModifyServiceTemplateAttribute":
		return map[string]string{"ServiceTemplateId": s.named["<ppm>"], "Services.0": "UDP:99"}
	case "ModifyAddressTemplateGroupAttribute":
		return map[string]string{"AddressTemplateGroupId": s.named["<ipmg>"], "AddressTemplateGroupName": "b", "AddressTemplateIds.0": s.named["<ipm>"]}
	case "ModifyServiceTemplateGroupAttribute":
		return map[string]string{"ServiceTemplateGroupId": s.named["<ppmg>"], "ServiceTemplateName": "b", "ServiceTemplateIds.0": s.named["<ppm>"]}
	case "CreateSecurityGroup":
		return map[string]string{"GroupName": "web", "GroupDescription": "all of the web"}
	case "ModifySecurityGroupAttribute":
		return map[string]string{"SecurityGroupId": s.named["<sg>"], "GroupName": "other"}
	case "DeleteSecurityGroup":
		return map[string]string{"SecurityGroupId": s.named["<other sg>"]}
	case "DescribeSecurityGroups":
		return map[string]string{"SecurityGroupIds.0": s.named["<sg>"]}
	case "DescribeSecurityGroupPolicies":
		return map[string]string{"SecurityGroupId": s.named["<sg>"]}
	case "DescribeSecurityGroupAssociationStatistics":
		return map[string]string{"SecurityGroupIds.0": s.named["<sg>"]}
	case "CreateSecurityGroupPolicies":
		return rule("Version", "1", "Ingress.0.PolicyIndex", "1", "Ingress.0.Protocol", "tcp", "Ingress.0.Port", "8000-8010", "Ingress.0.CidrBlock", "10.0.0.7", "Ingress.0.Action", "accept")
	case "DeleteSecurityGroupPolicies":
		return rule("Version", "1", "Ingress.0.PolicyIndex", "0")
	case "ReplaceSecurityGroupPolicy":
		return rule("Version", "1", "Ingress.0.PolicyIndex", "0", "Ingress.0.Protocol", "ALL", "Ingress.0.SecurityGroupId", s.named["<sg>"], "Ingress.0.Action", "DROP")
	case "ModifySecurityGroupPolicies":
		return rule("Ingress.0.Protocol", "ALL", "Ingress.0.CidrBlock", "0.0.0.0/0", "Ingress.0.Action", "ACCEPT",
			"Egress.0.ServiceTemplate.ServiceId", s.named["<ppm>"], "Egress.0.AddressTemplate.AddressId", s.named["<ipm>"], "Egress.0.Action", "ACCEPT")
	}
	return nil
}

func init() {
	const in = "SecurityGroupPolicySet.Ingress.0."
	matrix = append(matrix, []provoked{
		{"CreateAddressTemplate", "InvalidParameterValue", nil, []string{"AddressTemplateName", strings.Repeat("a", 61)}},
		{"CreateAddressTemplate", "InvalidParameterValue.Duplicate", nil, []string{"Addresses.1", "10.0.0.0/8"}},
		{"CreateAddressTemplate", "InvalidParameterValue.Malformed", nil, []string{"Addresses.0", "ten"}},
		{"CreateAddressTemplate", "InvalidParameterValue.Malformed", nil, []string{"Addresses.0", "10.0.0.9-10.0.0.1"}},
		{"CreateAddressTemplate", "InvalidParameterValue.Malformed", nil, []string{"Addresses.0", "fd00::/8"}},
		{"CreateAddressTemplate", "LimitExceeded", quota("templates"), nil},
		{"CreateAddressTemplate", "LimitExceeded", quota("items_per_template"), nil},
		{"CreateAddressTemplateGroup", "InvalidParameterValue.Malformed", nil, []string{"AddressTemplateIds.0", "?"}},
		{"CreateAddressTemplateGroup", "ResourceNotFound", nil, []string{"AddressTemplateIds.0", "ipm-none"}},
		{"CreateAddressTemplateGroup", "ResourceNotFound", nil, []string{"AddressTemplateIds.0", "<ppm>"}},
		{"CreateAddressTemplateGroup", "MissingParameter", nil, []string{"AddressTemplateGroupName", ""}},
		{"CreateAddressTemplateGroup", "LimitExceeded", quota("template_groups"), nil},
		{"CreateServiceTemplate", "InvalidParameterValue", nil, []string{"Services.0", "SCTP:80"}},
		{"CreateServiceTemplate", "InvalidParameterValue", nil, []string{"Services.0", "TCP:0"}},
		{"CreateServiceTemplate", "InvalidParameterValue", nil, []string{"Services.0", "ICMP:8"}},
		{"CreateServiceTemplateGroup", "InvalidParameterValue", nil, []string{"ServiceTemplateIds.0", "?"}},
		{"CreateServiceTemplateGroup", "ResourceNotFound", nil, []string{"ServiceTemplateIds.0", "ppm-none"}},
		{"DeleteAddressTemplate", "InvalidParameterValue.Malformed", nil, []string{"AddressTemplateId", "?"}},
		{"DeleteAddressTemplate", "ResourceNotFound", nil, []string{"AddressTemplateId", "<their ipm>"}},
		{"DeleteAddressTemplate", "ResourceInUse", nil, []string{"AddressTemplateId", "<ipm>"}},
		{"DeleteAddressTemplateGroup", "InvalidParameterValue.Malformed", nil, []string{"AddressTemplateGroupId", "?"}},
		{"DeleteAddressTemplateGroup", "ResourceNotFound", nil, []string{"AddressTemplateGroupId", "<ppmg>"}},
		{"DeleteAddressTemplateGroup", "ResourceInUse", nil, []string{"AddressTemplateGroupId", "<ipmg>"}},
		{"DeleteServiceTemplate", "InvalidParameterValue.Malformed", nil, []string{"ServiceTemplateId", "?"}},
		{"DeleteServiceTemplate", "ResourceNotFound", nil, []string{"ServiceTemplateId", "ppm-none"}},
		{"DeleteServiceTemplate", "ResourceInUse", nil, []string{"ServiceTemplateId", "<ppm>"}},
		{"DeleteServiceTemplateGroup", "InvalidParameterValue.Malformed", nil, []string{"ServiceTemplateGroupId", "?"}},
		{"DeleteServiceTemplateGroup", "ResourceNotFound", nil, []string{"ServiceTemplateGroupId", "ppmg-none"}},
		{"DeleteServiceTemplateGroup", "ResourceInUse", nil, []string{"ServiceTemplateGroupId", "<ppmg>"}},
		{"DescribeAddressTemplates", "InvalidParameterValue.Malformed", nil, []string{"Filters.0.Values.0", "?"}},
		{"DescribeAddressTemplateGroups", "InvalidParameterValue.Malformed", nil, []string{"Filters.0.Name", "address-template-group-id", "Filters.0.Values.0", "?"}},
		{"DescribeServiceTemplates", "InvalidParameterValue.Malformed", nil, []string{"Filters.0.Name", "service-template-id", "Filters.0.Values.0", "?"}},
		{"DescribeServiceTemplateGroups", "InvalidParameterValue.Malformed", nil, []string{"Filters.0.Values.0", "?"}},
		{"ModifyAddressTemplateAttribute", "InvalidParameterValue.Malformed", nil, []string{"Addresses.0", "10.0.0.0/33"}},
		{"ModifyAddressTemplateAttribute", "ResourceNotFound", nil, []string{"AddressTemplateId", "ipm-none"}},
		{"ModifyServiceTemplateAttribute", "InvalidParameterValue.Malformed", nil, []string{"Services.0", "tcp"}},
		{"ModifyServiceTemplateAttribute", "ResourceNotFound", nil, []string{"ServiceTemplateId", "ppm-none"}},
		{"ModifyAddressTemplateGroupAttribute", "InvalidParameterValue", nil, []string{"AddressTemplateGroupName", strings.Repeat("a", 61)}},
		{"ModifyAddressTemplateGroupAttribute", "InvalidParameterValue.Duplicate", nil, []string{"AddressTemplateIds.1", "<ipm>"}},
		{"ModifyAddressTemplateGroupAttribute", "InvalidParameterValue.Malformed", nil, []string{"AddressTemplateIds.0", "?"}},
		{"ModifyAddressTemplateGroupAttribute", "ResourceNotFound", nil, []string{"AddressTemplateIds.0", "ipm-none"}},
		{"ModifyServiceTemplateGroupAttribute", "InvalidParameterValue.Malformed", nil, []string{"ServiceTemplateIds.0", "?"}},
		{"ModifyServiceTemplateGroupAttribute", "ResourceNotFound", nil, []string{"ServiceTemplateIds.0", "<ipm>"}},

		{"CreateSecurityGroup", "LimitExceeded", quota("security_groups"), nil},
		{"CreateSecurityGroup", "InvalidParameterValue", nil, []string{"ProjectId", "seven"}},
		{"CreateSecurityGroup", "UnsupportedRegion", nil, []string{"Region", "ap-nowhere"}},
		{"DeleteSecurityGroup", "InvalidSecurityGroupID.Malformed", nil, []string{"SecurityGroupId", "?"}},
		{"DeleteSecurityGroup", "InvalidSecurityGroupID.NotFound", nil, []string{"SecurityGroupId", "sg-none"}},
		{"DeleteSecurityGroup", "ResourceInUse", func(s *scene) { s.nameGroup() }, []string{"SecurityGroupId", "<sg>"}},
		{"DeleteSecurityGroup", "ResourceInUse", func(s *scene) { s.join() }, []string{"SecurityGroupId", "<sg>"}},
		{"ModifySecurityGroupAttribute", "InvalidParameterValue", nil, []string{"GroupDescription", strings.Repeat("a", 101)}},
		{"ModifySecurityGroupAttribute", "InvalidParameterValue.Malformed", nil, []string{"SecurityGroupId", "?"}},
		{"ModifySecurityGroupAttribute", "ResourceNotFound", nil, []string{"SecurityGroupId", "sg-none"}},
		{"DescribeSecurityGroups", "InvalidParameterValue.Malformed", nil, []string{"SecurityGroupIds.0", "?"}},
		{"DescribeSecurityGroups", "ResourceNotFound", nil, []string{"SecurityGroupIds.1", "sg-none"}},
		{"DescribeSecurityGroups", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "project-id", "Filters.0.Values.0", "0"}},
		{"DescribeSecurityGroupPolicies", "InvalidParameterValue.Malformed", nil, []string{"SecurityGroupId", "?"}},
		{"DescribeSecurityGroupPolicies", "ResourceNotFound", nil, []string{"SecurityGroupId", "sg-none"}},
		{"DescribeSecurityGroupAssociationStatistics", "InvalidParameterValue.Malformed", nil, []string{"SecurityGroupIds.0", "?"}},
		{"DescribeSecurityGroupAssociationStatistics", "ResourceNotFound", nil, []string{"SecurityGroupIds.1", "sg-none"}},
		{"CreateSecurityGroupPolicies", "InvalidParameter", nil, []string{"SecurityGroupPolicySet.Egress.0.Action", "DROP", "SecurityGroupPolicySet.Egress.0.Protocol", "ALL", "SecurityGroupPolicySet.Egress.0.CidrBlock", "0.0.0.0/0"}},
		{"CreateSecurityGroupPolicies", "InvalidParameter", nil, []string{in + "ServiceTemplate.ServiceId", "<ppm>"}},
		{"CreateSecurityGroupPolicies", "InvalidParameter", nil, []string{in + "SecurityGroupId", "<sg>"}},
		{"CreateSecurityGroupPolicies", "InvalidParameter", nil, []string{in + "CidrBlock", ""}},
		{"CreateSecurityGroupPolicies", "InvalidParameter", nil, []string{in + "Action", "REFUSE"}},
		{"CreateSecurityGroupPolicies", "InvalidParameterValue", nil, []string{in + "PolicyIndex", "3"}},
		{"CreateSecurityGroupPolicies", "InvalidParameterValue", nil, []string{in + "Port", "0"}},
		{"CreateSecurityGroupPolicies", "InvalidParameterValue", nil, []string{in + "Protocol", "ICMP"}}, // with ports
		{"CreateSecurityGroupPolicies", "InvalidParameterValue", nil, []string{in + "CidrBlock", "", in + "SecurityGroupId", "<other sg>"}},
		{"CreateSecurityGroupPolicies", "InvalidParameterValue.Malformed", nil, []string{in + "CidrBlock", "10.0.0.1/8"}},
		{"CreateSecurityGroupPolicies", "LimitExceeded", quota("rules_per_security_group"), nil},
		{"CreateSecurityGroupPolicies", "MissingParameter", nil, []string{"SecurityGroupPolicySet.Version", "", in + "PolicyIndex", "", in + "Protocol", "", in + "Port", "", in + "CidrBlock", "", in + "Action", ""}},
		{"CreateSecurityGroupPolicies", "ResourceNotFound", nil, []string{"SecurityGroupId", "<their sg>"}},
		{"CreateSecurityGroupPolicies", "ResourceNotFound", nil, []string{in + "CidrBlock", "", in + "SecurityGroupId", "<their sg>"}},
		{"CreateSecurityGroupPolicies", "ResourceNotFound", nil, []string{in + "CidrBlock", "", in + "AddressTemplate.AddressId", "<ppm>"}},
		{"CreateSecurityGroupPolicies", "UnsupportedOperation.VersionMismatch", nil, []string{"SecurityGroupPolicySet.Version", "7"}},
		{"DeleteSecurityGroupPolicies", "ResourceNotFound", nil, []string{in + "PolicyIndex", "2"}},
		{"DeleteSecurityGroupPolicies", "ResourceNotFound", nil, []string{in + "PolicyIndex", "", in + "Protocol", "ALL", in + "CidrBlock", "0.0.0.0/0", in + "Action", "DROP"}},
		{"DeleteSecurityGroupPolicies", "UnsupportedOperation.VersionMismatch", nil, []string{"SecurityGroupPolicySet.Version", "0"}},
		{"ReplaceSecurityGroupPolicy", "InvalidParameter", nil, []string{in + "Action", ""}},
		{"ReplaceSecurityGroupPolicy", "InvalidParameterValue", nil, []string{in + "PolicyIndex", ""}},
		{"ReplaceSecurityGroupPolicy", "ResourceNotFound", nil, []string{in + "PolicyIndex", "2"}},
		{"ReplaceSecurityGroupPolicy", "UnsupportedOperation.VersionMismatch", nil, []string{"SecurityGroupPolicySet.Version", "2"}},
		{"ModifySecurityGroupPolicies", "InvalidParameterValue.Malformed", nil, []string{in + "CidrBlock", "all"}},
		{"ModifySecurityGroupPolicies", "ResourceNotFound", nil, []string{"SecurityGroupId", "sg-none"}},
		{"ModifySecurityGroupPolicies", "UnsupportedOperation.VersionMismatch", nil, []string{"SecurityGroupPolicySet.Version", "9"}},
		{"ModifySecurityGroupPolicies", "UnsupportedOperation.VersionMismatch", nil, []string{"SecurityGroupPolicySet.Version", "1", "SortPolicys", "true"}},
		{"ModifySecurityGroupPolicies", "InvalidParameter", nil, []string{in + "Protocol", "", in + "CidrBlock", "", in + "Action", ""}},
	}...)
	explained["CreateSecurityGroup ResourceNotFound"] = "nothing that a new group names has to be there: projects are numbers that nobody makes"
}

// nameGroup has another group's rule name the scene's.
func (s *scene) nameGroup() {
	s.t.Helper()
	other := s.group(planetest.Alice, "")
	rule := securitygroup.Rule{Protocol: "ALL", Group: s.named["<sg>"], Action: "ACCEPT"}
	if err := s.SecurityGroups.Add(ctx, planetest.Alice, securitygroup.Rules{Region: planetest.Region, Group: other, Egress: []securitygroup.Rule{rule}}); err != nil {
		s.t.Fatal(err)
	}
}

// join has the scene's group hold for its host.
func (s *scene) join() {
	s.t.Helper()
	s.Join(s.host, s.named["<sg>"])
}
