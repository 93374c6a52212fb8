package tencent3

import (
	"maps"

	"sluice/controlplane/fault"
)

// groupFaults are the answers to the reasons that are about security groups and templates.
var groupFaults = map[fault.Reason]string{
	fault.TemplateNotFound:          "ResourceNotFound",
	fault.TemplateGroupNotFound:     "ResourceNotFound",
	fault.TemplateItem:              "InvalidParameterValue.Malformed",
	fault.TemplateItemTwice:         "InvalidParameterValue",
	fault.TemplateEmpty:             "InvalidParameterValue",
	fault.TemplateName:              "InvalidParameterValue",
	fault.TemplateGrouped:           "ResourceInUse",
	fault.TemplateNamed:             "ResourceInUse",
	fault.QuotaTemplate:             "LimitExceeded",
	fault.QuotaTemplateItems:        "LimitExceeded",
	fault.QuotaTemplateGroup:        "LimitExceeded",
	fault.QuotaGroupedTemplates:     "LimitExceeded",
	fault.SecurityGroupNotFound:     "ResourceNotFound",
	fault.SecurityGroupInUse:        "ResourceInUse",
	fault.SecurityGroupNamed:        "ResourceInUse",
	fault.SecurityGroupProject:      "InvalidParameterValue",
	fault.SecurityGroupName:         "InvalidParameterValue",
	fault.SecurityRuleVersion:       "UnsupportedOperation.VersionMismatch",
	fault.SecurityRuleDirections:    "InvalidParameter",
	fault.SecurityRuleBoth:          "InvalidParameter",
	fault.SecurityRuleIndex:         "InvalidParameterValue",
	fault.SecurityRuleNotFound:      "ResourceNotFound",
	fault.SecurityRule:              "InvalidParameter",
	fault.SecurityRulePort:          "InvalidParameterValue",
	fault.SecurityRuleCIDR:          "InvalidParameterValue.Malformed",
	fault.SecurityRuleOtherProject:  "InvalidParameterValue",
	fault.QuotaSecurityGroup:        "LimitExceeded",
	fault.QuotaSecurityRules:        "LimitExceeded",
	fault.QuotaSecurityGroupsOfCard: "LimitExceeded",
}

func init() {
	maps.Copy(faults, groupFaults)
	maps.Copy(actionFaults, map[string]map[fault.Reason]string{
		"CreateAddressTemplate":               {fault.TemplateItemTwice: "InvalidParameterValue.Duplicate"},
		"CreateServiceTemplate":               {fault.TemplateItem: "InvalidParameterValue"},
		"ModifyAddressTemplateGroupAttribute": {fault.TemplateItemTwice: "InvalidParameterValue.Duplicate"},
		"DeleteSecurityGroup":                 {fault.SecurityGroupNotFound: "InvalidSecurityGroupID.NotFound"},
		"ReplaceSecurityGroupPolicy":          {fault.SecurityRuleCIDR: "InvalidParameterValue"},
	})
}
