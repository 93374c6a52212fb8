package tencent3

import (
	"context"
	"net/netip"

	"sluice/controlplane/networkinterface"
	"sluice/controlplane/resource"
)

// mostAddresses is as many as may be asked for at once, by a number: more than any subnet has.
const mostAddresses = 1 << 16

// asked returns the private addresses that a request asks for, and how many more. Of the
// members that say of an elastic IP nothing can be asked.
func asked[A any](list []A, of func(A) (address *netip.Addr, primary *bool, description *string, others bool), count *int) ([]networkinterface.NewAddress, int, *Error) {
	var out []networkinterface.NewAddress
	for _, x := range list {
		a, primary, description, others := of(x)
		if others {
			return nil, 0, refusal("UnsupportedOperation", "An elastic IP of a private address is bound by AssociateAddress.")
		}
		if a == nil {
			return nil, 0, missingParameter("PrivateIpAddress")
		}
		out = append(out, networkinterface.NewAddress{Address: *a, Primary: given(primary), Description: given(description)})
	}
	n := given(count)
	if n < 0 || n > mostAddresses {
		return nil, 0, refusal("InvalidParameterValue.Range", "The value of the parameter `SecondaryPrivateIpAddressCount` is not valid: it is to be 0 or more.")
	}
	return out, n, nil
}

// CreateNetworkInterface implements Actions.
func (s *Service) CreateNetworkInterface(ctx context.Context, c Caller, r *CreateNetworkInterfaceRequest) (*CreateNetworkInterfaceResponse, error) {
	list, count, refused := asked(r.PrivateIpAddresses, func(a CreateNetworkInterfacePrivateIpAddresse) (*netip.Addr, *bool, *string, bool) {
		return a.PrivateIpAddress, a.Primary, a.Description, a.AddressId != nil || a.PublicIpAddress != nil || a.IsWanIpBlocked != nil
	}, r.SecondaryPrivateIpAddressCount)
	if refused != nil {
		return nil, refused
	}
	n, err := s.interfaces.Create(ctx, c.Caller, networkinterface.NewInterface{
		Region: c.Region, VPC: r.VpcId, VSwitch: r.SubnetId, Name: r.NetworkInterfaceName, Description: given(r.NetworkInterfaceDescription),
		Addresses: list, Count: count, SecurityGroups: r.SecurityGroupIds,
	})
	if err != nil {
		return nil, err
	}
	return &CreateNetworkInterfaceResponse{NetworkInterface: networkInterface(n)}, nil
}

// DeleteNetworkInterface implements Actions.
func (s *Service) DeleteNetworkInterface(ctx context.Context, c Caller, r *DeleteNetworkInterfaceRequest) (*DeleteNetworkInterfaceResponse, error) {
	return &DeleteNetworkInterfaceResponse{}, s.interfaces.Delete(ctx, c.Caller, c.Region, r.NetworkInterfaceId)
}

// DescribeNetworkInterfaces implements Actions.
func (s *Service) DescribeNetworkInterfaces(_ context.Context, c Caller, r *DescribeNetworkInterfacesRequest) (*DescribeNetworkInterfacesResponse, error) {
	f := networkinterface.Filter{Region: c.Region, IDs: r.NetworkInterfaceIds}
	refused := listed("NetworkInterfaceIds", r.NetworkInterfaceIds, r.Filters)
	if refused == nil {
		f.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"vpc-id": texts(&f.VPCs), "subnet-id": texts(&f.VSwitches), "network-interface-id": texts(&f.IDs), "attachment.instance-id": texts(&f.Instances),
			"groups.security-group-id": texts(&f.InGroups), "network-interface-name": texts(&f.Names), "network-interface-description": texts(&f.Descriptions),
		})
	}
	if refused != nil {
		return nil, refused
	}
	list, err := s.interfaces.List(c.Caller, f, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	if refused := found("network interface", r.NetworkInterfaceIds, list.Total); refused != nil {
		return nil, refused
	}
	out := &DescribeNetworkInterfacesResponse{TotalCount: int64(list.Total)}
	for _, n := range list.Items {
		out.NetworkInterfaceSet = append(out.NetworkInterfaceSet, networkInterface(n))
	}
	return out, nil
}

// interfaceStates are the document's words (structure NetworkInterface).
var interfaceStates = map[networkinterface.Status]string{
	networkinterface.Pending: "PENDING", networkinterface.Available: "AVAILABLE", networkinterface.Attaching: "ATTACHING", networkinterface.Detaching: "DETACHING",
}

func networkInterface(n networkinterface.Interface) NetworkInterface {
	out := NetworkInterface{
		NetworkInterfaceId: n.ID, NetworkInterfaceName: n.Name, NetworkInterfaceDescription: n.Description, SubnetId: n.VSwitch, VpcId: n.VPC,
		GroupSet: n.SecurityGroups, Primary: n.Primary, MacAddress: n.MAC, State: interfaceStates[n.Status], Zone: n.Zone, CreatedTime: timestamp(n.CreatedAt),
	}
	if n.Instance != "" {
		out.Attachment = NetworkInterfaceAttachment{InstanceId: n.Instance, DeviceIndex: int64(n.Index), InstanceAccountId: n.Account, AttachTime: timestamp(n.AttachedAt)}
	}
	for i, a := range n.Addresses {
		x := privateAddress(a)
		x.Primary, x.State = i == 0, out.State
		if e := n.Elastic[a.Address]; e != nil {
			x.PublicIpAddress = e.Address.String()
			if !e.Ordinary {
				x.AddressId = e.ID
			}
		}
		out.PrivateIpAddressSet = append(out.PrivateIpAddressSet, x)
	}
	return out
}

func privateAddress(a resource.PrivateAddress) PrivateIpAddressSpecification {
	return PrivateIpAddressSpecification{PrivateIpAddress: a.Address.String(), Description: a.Description, State: "AVAILABLE"}
}

// ModifyNetworkInterfaceAttribute implements Actions.
func (s *Service) ModifyNetworkInterfaceAttribute(ctx context.Context, c Caller, r *ModifyNetworkInterfaceAttributeRequest) (*ModifyNetworkInterfaceAttributeResponse, error) {
	change := networkinterface.Change{Naming: resource.Naming{Name: r.NetworkInterfaceName, Description: r.NetworkInterfaceDescription}}
	if r.SecurityGroupIds != nil {
		change.SecurityGroups = &r.SecurityGroupIds
	}
	return &ModifyNetworkInterfaceAttributeResponse{}, s.interfaces.Modify(ctx, c.Caller, c.Region, r.NetworkInterfaceId, change)
}

// AttachNetworkInterface implements Actions.
func (s *Service) AttachNetworkInterface(ctx context.Context, c Caller, r *AttachNetworkInterfaceRequest) (*AttachNetworkInterfaceResponse, error) {
	return &AttachNetworkInterfaceResponse{}, s.interfaces.Attach(ctx, c.Caller, c.Region, r.NetworkInterfaceId, r.InstanceId)
}

// DetachNetworkInterface implements Actions.
func (s *Service) DetachNetworkInterface(ctx context.Context, c Caller, r *DetachNetworkInterfaceRequest) (*DetachNetworkInterfaceResponse, error) {
	return &DetachNetworkInterfaceResponse{}, s.interfaces.Detach(ctx, c.Caller, c.Region, r.NetworkInterfaceId, r.InstanceId)
}

// MigrateNetworkInterface implements Actions.
func (s *Service) MigrateNetworkInterface(ctx context.Context, c Caller, r *MigrateNetworkInterfaceRequest) (*MigrateNetworkInterfaceResponse, error) {
	return &MigrateNetworkInterfaceResponse{}, s.interfaces.Migrate(ctx, c.Caller, c.Region, r.NetworkInterfaceId, r.SourceInstanceId, r.DestinationInstanceId)
}

// AssignPrivateIpAddresses implements Actions.
func (s *Service) AssignPrivateIpAddresses(ctx context.Context, c Caller, r *AssignPrivateIpAddressesRequest) (*AssignPrivateIpAddressesResponse, error) {
	list, count, refused := asked(r.PrivateIpAddresses, func(a AssignPrivateIpAddressesPrivateIpAddresse) (*netip.Addr, *bool, *string, bool) {
		return a.PrivateIpAddress, a.Primary, a.Description, a.AddressId != nil || a.PublicIpAddress != nil || a.IsWanIpBlocked != nil
	}, r.SecondaryPrivateIpAddressCount)
	if refused != nil {
		return nil, refused
	}
	made, err := s.interfaces.Assign(ctx, c.Caller, c.Region, r.NetworkInterfaceId, list, count)
	if err != nil {
		return nil, err
	}
	out := &AssignPrivateIpAddressesResponse{}
	for _, a := range made {
		out.PrivateIpAddressSet = append(out.PrivateIpAddressSet, privateAddress(a))
	}
	return out, nil
}

// UnassignPrivateIpAddresses implements Actions. What else an item has says nothing of which
// address it is.
func (s *Service) UnassignPrivateIpAddresses(ctx context.Context, c Caller, r *UnassignPrivateIpAddressesRequest) (*UnassignPrivateIpAddressesResponse, error) {
	var list []netip.Addr
	for _, a := range r.PrivateIpAddresses {
		list = append(list, a.PrivateIpAddress)
	}
	return &UnassignPrivateIpAddressesResponse{}, s.interfaces.Unassign(ctx, c.Caller, c.Region, r.NetworkInterfaceId, list)
}

// MigratePrivateIpAddress implements Actions.
func (s *Service) MigratePrivateIpAddress(ctx context.Context, c Caller, r *MigratePrivateIpAddressRequest) (*MigratePrivateIpAddressResponse, error) {
	return &MigratePrivateIpAddressResponse{}, s.interfaces.MigrateAddress(ctx, c.Caller, c.Region, r.SourceNetworkInterfaceId, r.DestinationNetworkInterfaceId, r.PrivateIpAddress)
}

// ModifyPrivateIpAddressesAttribute implements Actions: descriptions are what can be changed.
func (s *Service) ModifyPrivateIpAddressesAttribute(ctx context.Context, c Caller, r *ModifyPrivateIpAddressesAttributeRequest) (*ModifyPrivateIpAddressesAttributeResponse, error) {
	var list []resource.PrivateAddress
	for _, a := range r.PrivateIpAddresses {
		if a.Primary != nil || a.PublicIpAddress != nil || a.AddressId != nil || a.IsWanIpBlocked != nil {
			return nil, refusal("UnsupportedOperation", "Of a private address the description alone can be changed.")
		}
		list = append(list, resource.PrivateAddress{Address: a.PrivateIpAddress, Description: given(a.Description)})
	}
	return &ModifyPrivateIpAddressesAttributeResponse{}, s.interfaces.ModifyAddresses(ctx, c.Caller, c.Region, r.NetworkInterfaceId, list)
}
