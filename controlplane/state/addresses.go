package state

import (
	"net/netip"

	"sluice/controlplane/resource"
)

// InstanceAt returns the instance that holds an address of a VPC: by its private address, or
// by a network interface that is attached to it.
func (v *View) InstanceAt(vpc string, a netip.Addr) (*resource.Instance, bool) {
	key := AddrKey(vpc, a)
	if i, ok := v.Instances.By(ByAddress, key).First(); ok {
		return i, true
	}
	n, ok := v.NetworkInterfaces.By(ByAddress, key).First()
	if !ok || n.Instance == "" {
		return nil, false
	}
	return v.Instances.Get(n.Instance)
}

// PrimaryInterface returns the primary interface of an instance, which only hosts have.
func (v *View) PrimaryInterface(instance string) (*resource.NetworkInterface, bool) {
	for n := range v.NetworkInterfaces.By(ByInstance, instance).All() {
		if n.Primary {
			return n, true
		}
	}
	return nil, false
}

// BoundAddress returns the private address of a VPC that a binding ties an elastic IP to;
// none for one to a NAT gateway, and for what has left the VPC.
func (v *View) BoundAddress(vpc string, b *resource.Binding) (netip.Addr, bool) {
	switch b.Type {
	case resource.BoundToHost, resource.BoundToLoadBalancer:
		if i, ok := v.Instances.Get(b.ID); ok && i.VPC == vpc {
			return i.PrivateIP, true
		}
	case resource.BoundToVirtualIP:
		if h, ok := v.HaVips.Get(b.ID); ok && h.VPC == vpc {
			return h.PrivateIP, true
		}
	case resource.BoundToInterface:
		if n, ok := v.NetworkInterfaces.Get(b.ID); ok && n.VPC == vpc && n.Find(b.Address) >= 0 {
			return b.Address, true
		}
	}
	return netip.Addr{}, false
}

// ElasticOf returns the elastic IP that a private address of an instance or of a network
// interface has of its own.
func (v *View) ElasticOf(vpc string, a netip.Addr) (*resource.ElasticIP, bool) {
	if i, ok := v.Instances.By(ByAddress, AddrKey(vpc, a)).First(); ok {
		return v.ElasticIPs.By(ByBinding, i.ID).First()
	}
	n, ok := v.NetworkInterfaces.By(ByAddress, AddrKey(vpc, a)).First()
	if !ok {
		return nil, false
	}
	for e := range v.ElasticIPs.By(ByBinding, n.ID).All() {
		if e.Binding.Address == a {
			return e, true
		}
	}
	return nil, false
}
