package tencent3

import (
	"context"
	"strings"

	"sluice/controlplane/vpn/peer"
)

// DescribeCustomerGatewayVendors implements Actions.
func (s *Service) DescribeCustomerGatewayVendors(context.Context, Caller, *DescribeCustomerGatewayVendorsRequest) (*DescribeCustomerGatewayVendorsResponse, error) {
	out := &DescribeCustomerGatewayVendorsResponse{}
	for _, v := range peer.Vendors() {
		out.CustomerGatewayVendorSet = append(out.CustomerGatewayVendorSet, CustomerGatewayVendor{VendorName: v.Name, Platform: v.Platform, SoftwareVersion: v.Version})
	}
	return out, nil
}

// DownloadCustomerGatewayConfiguration implements Actions.
func (s *Service) DownloadCustomerGatewayConfiguration(ctx context.Context, c Caller, r *DownloadCustomerGatewayConfigurationRequest) (*DownloadCustomerGatewayConfigurationResponse, error) {
	if err := s.ofGateway(ctx, c, r.VpnGatewayId, r.VpnConnectionId); err != nil {
		return nil, err
	}
	if !interfaceName(r.InterfaceName) {
		return nil, refusal("InvalidParameterValue", "The value of the parameter `InterfaceName` is not valid: it is to be the name of an interface, as GigabitEthernet0/1.")
	}
	v := r.CustomerGatewayVendor
	text, err := s.vpn.VendorConfig(ctx, c.Caller, c.Region, r.VpnConnectionId, peer.Vendor{Name: v.VendorName, Platform: v.Platform, Version: v.SoftwareVersion}, r.InterfaceName)
	if err != nil {
		return nil, err
	}
	return &DownloadCustomerGatewayConfigurationResponse{CustomerGatewayConfiguration: text}, nil
}

// interfaceName says whether a text can be the name of an interface on any device, and nothing
// else in its configuration.
func interfaceName(s string) bool {
	return s != "" && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_./:", c)
	})
}
