package tencent3

import (
	"context"
	"net/netip"
	"slices"
	"time"

	"sluice/controlplane/eip"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// AllocateAddresses implements Actions.
func (s *Service) AllocateAddresses(ctx context.Context, c Caller, r *AllocateAddressesRequest) (*AllocateAddressesResponse, error) {
	count := r.AddressCount
	if count < 1 {
		return nil, refusal("InvalidParameterValue.Range", "The value of the parameter `AddressCount` is not valid: it is to be 1 or more.")
	}
	list, err := s.eip.AllocateSome(ctx, c.Caller, eip.Request{
		Region: c.Region, Name: given(r.AddressName), Bandwidth: given(r.InternetMaxBandwidthOut), ByTraffic: given(r.InternetChargeType) != byBandwidth,
	}, count)
	if err != nil {
		return nil, err
	}
	out := &AllocateAddressesResponse{}
	for _, e := range list {
		out.AddressSet = append(out.AddressSet, e.ID)
	}
	return out, nil
}

// AssociateAddress implements Actions.
func (s *Service) AssociateAddress(ctx context.Context, c Caller, r *AssociateAddressRequest) (*AssociateAddressResponse, error) {
	var to resource.Binding
	switch {
	case r.InstanceId != nil && (r.NetworkInterfaceId != nil || r.PrivateIpAddress != nil):
		return nil, refusal("InvalidParameterConflict", "An address is bound to an instance (`InstanceId`), or to a private address of a network interface, and not to both.")
	case r.InstanceId != nil:
		to = resource.Binding{Type: resource.BoundToHost, ID: *r.InstanceId}
	case r.NetworkInterfaceId != nil && r.PrivateIpAddress != nil:
		to = resource.Binding{Type: resource.BoundToInterface, ID: *r.NetworkInterfaceId, Address: *r.PrivateIpAddress}
	case r.NetworkInterfaceId != nil:
		return nil, missingParameter("PrivateIpAddress")
	case r.PrivateIpAddress != nil:
		return nil, missingParameter("NetworkInterfaceId")
	default:
		return nil, refusal("MissingResourceId", "The request names nothing to bind to: `InstanceId`, or `NetworkInterfaceId` and `PrivateIpAddress`.")
	}
	if _, err := s.eip.ByID(c.Caller, c.Region, r.AddressId); err != nil {
		return nil, err
	}
	return &AssociateAddressResponse{}, s.eip.Associate(ctx, c.Caller, r.AddressId, to)
}

// DisassociateAddress implements Actions.
func (s *Service) DisassociateAddress(ctx context.Context, c Caller, r *DisassociateAddressRequest) (*DisassociateAddressResponse, error) {
	return &DisassociateAddressResponse{}, s.eip.Disassociate(ctx, c.Caller, c.Region, r.AddressId, r.ReallocateNormalPublicIp)
}

// The document's words for the state of an address. BIND_ENI is one whose network interface is
// at no instance.
const (
	unbound     = "UNBIND"
	boundHost   = "BIND"
	boundToENI  = "BIND_ENI"
	isBinding   = "BINDING"
	isUnbinding = "UNBINDING"
)

// The clients' words for how an address is charged.
const (
	byTraffic   = "TRAFFIC_POSTPAID_BY_HOUR"
	byBandwidth = "BANDWIDTH_POSTPAID_BY_HOUR"
)

// DescribeAddresses implements Actions. The document has no code for an id that is not there:
// it is left out, which is how today's clients find out that an address is gone. They then
// ask once more for it among those of dedicated clusters, by the id and a filter.
func (s *Service) DescribeAddresses(_ context.Context, c Caller, r *DescribeAddressesRequest) (*DescribeAddressesResponse, error) {
	dedicated := len(r.Filters) == 1 && r.Filters[0].Name == "business-type"
	if len(r.AddressIds) > 0 && len(r.Filters) > 0 && !dedicated {
		return nil, refusal("InvalidParameter", "The parameters `AddressIds` and `Filters` exclude each other.")
	}
	f := eip.Filter{Region: c.Region, IDs: r.AddressIds}
	var words, business []string
	var arrears *bool
	none, refused := narrowed(r.Filters, map[string]func([]string) *Error{
		"address-id": texts(&f.IDs), "address-name": texts(&f.Names), "address-ip": addressesOf("address-ip", &f.Addresses), "address-status": texts(&words),
		"instance-id": texts(&f.Instances), "private-ip-address": addressesOf("private-ip-address", &f.Private), "network-interface-id": texts(&f.Interfaces),
		"is-arrears": flag("is-arrears", &arrears), "business-type": texts(&business), // CDC, of which there are none
	})
	if refused != nil {
		return nil, refused
	}
	f.None = none || len(business) > 0 || arrears != nil && *arrears // no dedicated clusters, and nothing is charged
	if len(words) > 0 {
		f.Where = func(e eip.ElasticIP) bool { return slices.Contains(words, addressState(e)) }
	}
	list, err := s.eip.List(c.Caller, f, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	out := &DescribeAddressesResponse{TotalCount: int64(list.Total)}
	for _, e := range list.Items {
		out.AddressSet = append(out.AddressSet, elasticIP(e))
	}
	return out, nil
}

// addressesOf puts the addresses of a filter where a query takes them.
func addressesOf(filter string, into *state.OneOf[netip.Addr]) func([]string) *Error {
	return func(values []string) *Error {
		for _, v := range values {
			a, err := netip.ParseAddr(v)
			if err != nil {
				return refusal("InvalidParameter", "The values of the filter `"+filter+"` are IPv4 addresses.")
			}
			*into = append(*into, a)
		}
		return nil
	}
}

func elasticIP(e eip.ElasticIP) Address {
	out := Address{
		AddressId: e.ID, AddressName: e.Name, AddressStatus: addressState(e), AddressIp: e.Address.String(),
		CreatedTime: e.CreatedAt.UTC().Format(time.RFC3339), InstanceId: e.Bound.Instance, NetworkInterfaceId: e.Bound.Interface,
		AddressType: "EIP", InternetChargeType: byTraffic, Bandwidth: int64(e.Bandwidth),
	}
	if !e.ByTraffic {
		out.InternetChargeType = byBandwidth
	}
	if e.Binding != nil {
		out.BindedResourceId = e.Binding.ID
	}
	if e.Bound.Address.IsValid() {
		out.PrivateAddressIp = e.Bound.Address.String()
	}
	return out
}

func addressState(e eip.ElasticIP) string {
	switch e.Status {
	case eip.Associating:
		return isBinding
	case eip.Unassociating:
		return isUnbinding
	case eip.Available:
		return unbound
	}
	if e.Bound.Interface != "" && e.Bound.Instance == "" {
		return boundToENI
	}
	return boundHost
}

// DescribeAddressQuota implements Actions. What is held is counted over all regions, as its
// quota is.
func (s *Service) DescribeAddressQuota(_ context.Context, c Caller, _ *DescribeAddressQuotaRequest) (*DescribeAddressQuotaResponse, error) {
	u, err := s.eip.Uses(c.Caller, c.Region)
	if err != nil {
		return nil, err
	}
	quota := func(id string, f eip.Figure) Quota {
		return Quota{QuotaId: id, QuotaCurrent: int64(f.Now), QuotaLimit: int64(f.Most)}
	}
	return &DescribeAddressQuotaResponse{QuotaSet: []Quota{
		quota("TOTAL_EIP_QUOTA", u.Held), quota("DAILY_EIP_APPLY", u.Allocated), quota("DAILY_PUBLIC_IP_ASSIGN", u.Reassigned),
	}}, nil
}

// ModifyAddressAttribute implements Actions.
func (s *Service) ModifyAddressAttribute(ctx context.Context, c Caller, r *ModifyAddressAttributeRequest) (*ModifyAddressAttributeResponse, error) {
	if _, err := s.eip.ByID(c.Caller, c.Region, r.AddressId); err != nil {
		return nil, err
	}
	return &ModifyAddressAttributeResponse{}, s.eip.Modify(ctx, c.Caller, r.AddressId, eip.Change{Naming: resource.Naming{Name: &r.AddressName}})
}

// ReleaseAddresses implements Actions.
func (s *Service) ReleaseAddresses(ctx context.Context, c Caller, r *ReleaseAddressesRequest) (*ReleaseAddressesResponse, error) {
	if len(r.AddressIds) == 0 {
		return nil, missingParameter("AddressIds")
	}
	for i, id := range r.AddressIds {
		if slices.Contains(r.AddressIds[:i], id) {
			return nil, refusal("InvalidParameterValue.Duplicate", "The parameter `AddressIds` names "+id+" twice.")
		}
		if _, err := s.eip.ByID(c.Caller, c.Region, id); err != nil {
			return nil, err
		}
	}
	return &ReleaseAddressesResponse{}, s.eip.ReleaseSome(ctx, c.Caller, r.AddressIds)
}

// TransformAddress implements Actions.
func (s *Service) TransformAddress(ctx context.Context, c Caller, r *TransformAddressRequest) (*TransformAddressResponse, error) {
	return &TransformAddressResponse{}, s.eip.Transform(ctx, c.Caller, c.Region, r.InstanceId)
}
