package ram

import (
	"encoding/json"
	"slices"
	"strings"
	"time"

	"sluice/controlplane/policy"
	"sluice/controlplane/resource"
)

// SystemPolicy is a policy that every account has, and nobody changes.
type SystemPolicy struct {
	Name        string
	Description string
	Text        string // the document
	Since       time.Time
	document    *policy.Document
}

// Record returns the policy as one of an account's own would be, with its only version.
func (p *SystemPolicy) Record() *resource.Policy {
	return &resource.Policy{Meta: resource.Meta{CreatedAt: p.Since}, Name: p.Name, Description: p.Description, Updated: p.Since,
		Versions: []resource.PolicyVersion{{Number: 1, Document: p.Text, CreatedAt: p.Since}}, Default: 1, Last: 1}
}

// System returns the policy of the system of that name, of which case makes no
// difference.
func System(name string) (*SystemPolicy, bool) {
	p, ok := byName[strings.ToLower(name)]
	return p, ok
}

// SystemPolicies returns them, by name.
func SystemPolicies() []*SystemPolicy { return system }

// allowing are they, with the actions that they allow on all resources.
//
// Source: RAM documentation, a page for each; of what is not served here as well, so that
// an action that comes to be is covered as it is there. Policies whose pages
// were not at hand are not here: what one grants is no guess.
var allowing = []struct {
	name, description string
	actions           []string
}{
	{"AdministratorAccess", "All rights on everything.", []string{"*"}},
	{"AliyunEIPReadOnlyAccess", "Elastic IPs may be looked at.", []string{"vpc:DescribeEip*", "vpc:ListPublicIpAddressPool*"}},
	{"AliyunNATGatewayFullAccess", "All rights on NAT gateways.", []string{"vpc:*NatGateway*", "vpc:*Forward*", "vpc:*Snat*", "vpc:*FullNat*",
		"vpc:DescribeVpcs", "vpc:DescribeVSwitches", "vpc:CreateBandwidthPackage", "vpc:DescribeBandwidthPackages", "vpc:ModifyBandwidthPackageSpec",
		"vpc:AddBandwidthPackageIps", "vpc:RemoveBandwidthPackageIps", "vpc:DeleteBandwidthPackage", "vpc:ConvertBandwidthPackage", "vpc:*NatIp*"}},
	{"AliyunNATGatewayReadOnlyAccess", "NAT gateways may be looked at.", []string{"vpc:DescribeNatGateway*", "vpc:DescribeBandwidthPackage*",
		"vpc:DescribeSnatTableEntr*", "vpc:DescribeForwardTableEntr*", "vpc:GetNatGatewayAttribute", "vpc:VpcDescribeVpcNatGatewayNetworkInterfaceQuota",
		"vpc:ListFullNatEntries", "vpc:ListNatIpCidrs", "vpc:ListNatIps", "vpc:ListEnhanhcedNatGatewayAvailableZones"}},
	{"AliyunRAMFullAccess", "All rights on users and policies.", []string{"ram:*"}},
	{"AliyunRAMReadOnlyAccess", "Users and policies may be looked at.", []string{"ram:Get*", "ram:List*", "ram:GenerateCredentialReport"}},
	{"AliyunVPCFullAccess", "All rights on VPCs and what is in them.", []string{"vpc:*HaVip*", "vpc:*RouteTable*", "vpc:*VRouter*", "vpc:*RouteEntry*",
		"vpc:*RouteEntries*", "vpc:*VSwitch*", "vpc:*Vpc*", "vpc:*Cen*", "vpc:*Tag*", "vpc:*NetworkAcl*", "vpc:*FlowLog*", "vpc:*Ipv4Gateway*",
		"vpc:*PrefixList*", "vpc:*DhcpOptionsSet*", "vpc:DeletionProtection", "vpc:*TagResource*", "vpc:MoveResourceGroup"}},
	{"AliyunVPCReadOnlyAccess", "VPCs and what is in them may be looked at.", []string{"vpc:DescribeHaVip*", "vpc:DescribeRouteTable*",
		"vpc:DescribeRouteEntry*", "vpc:DescribeVSwitch*", "vpc:DescribeVRouter*", "vpc:DescribeVpc*", "vpc:Describe*Cen*", "vpc:ListTag*",
		"vpc:DescribeTag*", "vpc:DescribeNetworkAcl*", "vpc:DescribeFlowLog*", "vpc:CheckCanAllocateVpcPrivateIpAddress", "vpc:ListIpv4Gateways",
		"vpc:GetIpv4GatewayAttribute", "vpc:ListDhcpOptionsSets", "vpc:GetDhcpOptionsSet"}},
	{"AliyunVPNGatewayReadOnlyAccess", "VPN gateways may be looked at.", []string{"vpc:DescribeVpnGateway*", "vpc:DescribeVpnConnection*",
		"vpc:DescribeCustomerGateway*", "vpc:DescribeSslVpnServer*", "vpc:DescribeSslVpnClientCert*", "vpc:DescribeSslVpnClients", "vpc:DescribeVpn*",
		"vpc:GetVpn*", "vpc:ListVpn*", "vpc:ListIpsecServer*", "vpc:DescribeVpnCrossAccountAuthorizations", "vpc:DescribeVcoRouteEntries",
		"vpc:DescribeVpnAttachments", "vpc:CheckVpnBgpEnabled", "vpc:GetVpnReplacementStatus", "vpc:DownloadVpnConnectionConfig"}},
}

var system, byName = func() (list []*SystemPolicy, byName map[string]*SystemPolicy) {
	byName = map[string]*SystemPolicy{}
	for _, a := range allowing {
		text, err := json.MarshalIndent(map[string]any{"Version": "1", "Statement": []any{
			map[string]any{"Effect": "Allow", "Action": a.actions, "Resource": "*"},
		}}, "", "  ")
		if err != nil {
			panic(err)
		}
		p := &SystemPolicy{Name: a.name, Description: a.description, Text: string(text), Since: time.Date(2015, 4, 28, 0, 0, 0, 0, time.UTC)}
		if p.document, err = policy.Parse(p.Text); err != nil {
			panic(err) // a mistake in the program
		}
		list, byName[strings.ToLower(a.name)] = append(list, p), p
	}
	slices.SortFunc(list, func(a, b *SystemPolicy) int { return strings.Compare(a.Name, b.Name) })
	return list, byName
}()
