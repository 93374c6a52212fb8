package tencent3

import (
	"strings"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
)

// address reads an elastic IP as the provider does: by its id, and, if the listing has none,
// once more among those of dedicated clusters.
func (p *provider) address(id string) *vpcsdk.Address {
	p.t.Helper()
	r := vpcsdk.NewDescribeAddressesRequest()
	r.AddressIds = []*string{&id}
	list := must[*vpcsdk.DescribeAddressesResponse](p.t)(p.c.DescribeAddresses(r)).Response.AddressSet
	if len(list) == 0 {
		r.Filters = by("business-type", "CDC")
		list = must[*vpcsdk.DescribeAddressesResponse](p.t)(p.c.DescribeAddresses(r)).Response.AddressSet
	}
	if len(list) == 0 {
		return nil
	}
	return list[0]
}

func (p *provider) newAddress() string {
	p.t.Helper()
	r := vpcsdk.NewAllocateAddressesRequest()
	r.AddressType, r.AddressName, r.InternetChargeType, r.InternetMaxBandwidthOut = ptr("EIP"), ptr("ci-eip"), ptr("BANDWIDTH_POSTPAID_BY_HOUR"), ptr(int64(20))
	return *must[*vpcsdk.AllocateAddressesResponse](p.t)(p.c.AllocateAddresses(r)).Response.AddressSet[0]
}

// unbind is what the provider does before it releases an address, and to end an association.
func (p *provider) unbind(id string) {
	p.t.Helper()
	if a := p.address(id); a == nil || *a.AddressStatus == "UNBIND" {
		return
	}
	r := vpcsdk.NewDisassociateAddressRequest()
	r.AddressId = &id
	must[*vpcsdk.DisassociateAddressResponse](p.t)(p.c.DisassociateAddress(r))
}

func (p *provider) release(id string) {
	p.t.Helper()
	p.unbind(id)
	r := vpcsdk.NewReleaseAddressesRequest()
	r.AddressIds = []*string{&id}
	must[*vpcsdk.ReleaseAddressesResponse](p.t)(p.c.ReleaseAddresses(r))
}

func (p *provider) newInterface(more func(*vpcsdk.CreateNetworkInterfaceRequest)) string {
	p.t.Helper()
	r := vpcsdk.NewCreateNetworkInterfaceRequest()
	r.NetworkInterfaceName, r.NetworkInterfaceDescription, r.VpcId, r.SubnetId = ptr("ci-eni"), ptr("eni desc"), &p.vpc, &p.subnet
	r.SecurityGroupIds = []*string{&p.group}
	more(r)
	made := must[*vpcsdk.CreateNetworkInterfaceResponse](p.t)(p.c.CreateNetworkInterface(r)).Response.NetworkInterface
	asked := len(r.PrivateIpAddresses)
	if r.SecondaryPrivateIpAddressCount != nil {
		asked = int(*r.SecondaryPrivateIpAddressCount) + 1 // the primary one beside them
	}
	if len(made.PrivateIpAddressSet) != asked {
		p.t.Errorf("%d addresses were asked for, and %d are told of", asked, len(made.PrivateIpAddressSet))
	}
	return *made.NetworkInterfaceId
}

// eni reads an interface; ok once it and its addresses are AVAILABLE, for which the provider
// waits.
func (p *provider) eni(id string) (*vpcsdk.NetworkInterface, bool) {
	p.t.Helper()
	r := vpcsdk.NewDescribeNetworkInterfacesRequest()
	r.NetworkInterfaceIds = []*string{&id}
	r.Offset, r.Limit = ptr(uint64(0)), ptr(uint64(100))
	list, err := p.c.DescribeNetworkInterfaces(r)
	if refusedWith(err, "ResourceNotFound") {
		return nil, false
	}
	v := must[*vpcsdk.DescribeNetworkInterfacesResponse](p.t)(list, err).Response.NetworkInterfaceSet[0]
	if p.state(v.State) != "AVAILABLE" {
		p.t.Errorf("interface %s is %s", id, *v.State)
	}
	for _, a := range v.PrivateIpAddressSet {
		if p.state(a.State) != "AVAILABLE" {
			p.t.Errorf("its address %s is %s", *a.PrivateIpAddress, *a.State)
		}
	}
	return v, true
}

func (p *provider) deleteInterface(id string) {
	p.t.Helper()
	r := vpcsdk.NewDeleteNetworkInterfaceRequest()
	r.NetworkInterfaceId = &id
	must[*vpcsdk.DeleteNetworkInterfaceResponse](p.t)(p.c.DeleteNetworkInterface(r))
}

func private(address, description string, primary bool) *vpcsdk.PrivateIpAddressSpecification {
	return &vpcsdk.PrivateIpAddressSpecification{PrivateIpAddress: &address, Description: &description, Primary: &primary}
}

var interfaceLives = []life{
	{
		resource: "eip",
		create:   (*provider).newAddress,
		read: func(p *provider, id string) (string, bool) {
			a := p.address(id)
			if a == nil {
				return "", false
			}
			p.state(a.AddressIp)
			return p.state(a.AddressName, a.AddressType, a.AddressStatus, a.InternetChargeType, a.Bandwidth, a.IsArrears), true
		},
		want: "ci-eip EIP UNBIND BANDWIDTH_POSTPAID_BY_HOUR 20 false",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyAddressAttributeRequest()
			r.AddressId, r.AddressName = &id, ptr("renamed")
			must[*vpcsdk.ModifyAddressAttributeResponse](p.t)(p.c.ModifyAddressAttribute(r))
		},
		updated: "renamed EIP UNBIND BANDWIDTH_POSTPAID_BY_HOUR 20 false",
		delete:  (*provider).release,
	},
	{
		resource: "eip_association to an instance",
		create: func(p *provider) string {
			id := p.newAddress()
			r := vpcsdk.NewAssociateAddressRequest()
			r.AddressId, r.InstanceId = &id, &p.host
			must[*vpcsdk.AssociateAddressResponse](p.t)(p.c.AssociateAddress(r))
			return id
		},
		read: func(p *provider, id string) (string, bool) {
			a := p.address(id)
			return p.state(a.AddressStatus, a.InstanceId), *a.AddressStatus != "UNBIND"
		},
		want:   "BIND <host>",
		delete: (*provider).unbind,
	},
	{
		resource: "eip_association to an interface",
		create: func(p *provider) string {
			eni := p.newInterface(func(r *vpcsdk.CreateNetworkInterfaceRequest) {
				r.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{private("10.8.1.40", "", true)}
			})
			id := p.newAddress()
			r := vpcsdk.NewAssociateAddressRequest()
			r.AddressId, r.NetworkInterfaceId, r.PrivateIpAddress = &id, &eni, ptr("10.8.1.40")
			must[*vpcsdk.AssociateAddressResponse](p.t)(p.c.AssociateAddress(r))
			return id
		},
		read: func(p *provider, id string) (string, bool) {
			a := p.address(id)
			return p.state(a.AddressStatus, a.PrivateAddressIp), *a.AddressStatus != "UNBIND"
		},
		want:   "BIND_ENI 10.8.1.40",
		delete: (*provider).unbind,
	},
	{
		resource: "eni with addresses",
		create: func(p *provider) string {
			return p.newInterface(func(r *vpcsdk.CreateNetworkInterfaceRequest) {
				r.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{private("10.8.1.41", "second", false), private("10.8.1.40", "first", true)}
			})
		},
		read: func(p *provider, id string) (string, bool) { return p.interfaceState(id) },
		want: "ci-eni eni desc <vpc> <subnet> [<group>] false 10.8.1.40,true,first 10.8.1.41,false,second",
		update: func(p *provider, id string) {
			m := vpcsdk.NewModifyNetworkInterfaceAttributeRequest()
			m.NetworkInterfaceId, m.NetworkInterfaceName, m.SecurityGroupIds = &id, ptr("renamed"), []*string{} // none is said
			must[*vpcsdk.ModifyNetworkInterfaceAttributeResponse](p.t)(p.c.ModifyNetworkInterfaceAttribute(m))
			d := vpcsdk.NewModifyPrivateIpAddressesAttributeRequest()
			d.NetworkInterfaceId = &id
			d.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{{PrivateIpAddress: ptr("10.8.1.40"), Description: ptr("main")}}
			must[*vpcsdk.ModifyPrivateIpAddressesAttributeResponse](p.t)(p.c.ModifyPrivateIpAddressesAttribute(d))
			u := vpcsdk.NewUnassignPrivateIpAddressesRequest()
			u.NetworkInterfaceId = &id
			u.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{{PrivateIpAddress: ptr("10.8.1.41")}}
			must[*vpcsdk.UnassignPrivateIpAddressesResponse](p.t)(p.c.UnassignPrivateIpAddresses(u))
			a := vpcsdk.NewAssignPrivateIpAddressesRequest()
			a.NetworkInterfaceId = &id
			a.PrivateIpAddresses = []*vpcsdk.PrivateIpAddressSpecification{private("10.8.1.42", "", false)}
			if set := must[*vpcsdk.AssignPrivateIpAddressesResponse](p.t)(p.c.AssignPrivateIpAddresses(a)).Response.PrivateIpAddressSet; p.state(len(set), set[0].PrivateIpAddress) != "1 10.8.1.42" {
				p.t.Errorf("10.8.1.42 was assigned, and told of is %s", *set[0].PrivateIpAddress)
			}
		},
		updated: "renamed eni desc <vpc> <subnet> [<group>] false 10.8.1.40,true,main 10.8.1.42,false,",
		delete:  (*provider).deleteInterface,
	},
	{
		resource: "eni with a number of addresses",
		create: func(p *provider) string {
			return p.newInterface(func(r *vpcsdk.CreateNetworkInterfaceRequest) { r.SecondaryPrivateIpAddressCount = ptr(uint64(0)) })
		},
		read: func(p *provider, id string) (string, bool) {
			v, ok := p.eni(id)
			if !ok {
				return "", false
			}
			return p.state(len(v.PrivateIpAddressSet)), true
		},
		want: "1",
		update: func(p *provider, id string) {
			a := vpcsdk.NewAssignPrivateIpAddressesRequest()
			a.NetworkInterfaceId, a.SecondaryPrivateIpAddressCount = &id, ptr(uint64(3))
			if set := must[*vpcsdk.AssignPrivateIpAddressesResponse](p.t)(p.c.AssignPrivateIpAddresses(a)).Response.PrivateIpAddressSet; len(set) != 3 {
				p.t.Errorf("three addresses were asked for, and %d are told of", len(set))
			}
		},
		updated: "4",
		delete:  (*provider).deleteInterface,
	},
	{
		resource: "eni_attachment",
		create: func(p *provider) string {
			id := p.newInterface(func(r *vpcsdk.CreateNetworkInterfaceRequest) { r.SecondaryPrivateIpAddressCount = ptr(uint64(0)) })
			r := vpcsdk.NewAttachNetworkInterfaceRequest()
			r.NetworkInterfaceId, r.InstanceId = &id, &p.host
			p.state(must[*vpcsdk.AttachNetworkInterfaceResponse](p.t)(p.c.AttachNetworkInterface(r)).Response.RequestId)
			return id
		},
		read: func(p *provider, id string) (string, bool) {
			v, _ := p.eni(id)
			if v.Attachment == nil || *v.Attachment.InstanceId == "" {
				return "", false
			}
			return p.state(v.Attachment.InstanceId), true
		},
		want: "<host>",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDetachNetworkInterfaceRequest()
			r.NetworkInterfaceId, r.InstanceId = &id, &p.host
			must[*vpcsdk.DetachNetworkInterfaceResponse](p.t)(p.c.DetachNetworkInterface(r))
		},
	},
}

func (p *provider) interfaceState(id string) (string, bool) {
	p.t.Helper()
	v, ok := p.eni(id)
	if !ok {
		return "", false
	}
	p.state(v.MacAddress, v.CreatedTime)
	list := []string{p.state(v.NetworkInterfaceName, v.NetworkInterfaceDescription, v.VpcId, v.SubnetId, v.GroupSet, v.Primary)}
	for _, a := range v.PrivateIpAddressSet {
		list = append(list, strings.Join([]string{p.state(a.PrivateIpAddress), p.state(a.Primary), p.state(a.Description)}, ","))
	}
	return strings.Join(list, " "), true
}
