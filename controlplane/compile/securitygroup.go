package compile

import (
	"maps"
	"net/netip"
	"slices"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// groupKindsOf decide which packets a network's interfaces send and receive.
var groupKindsOf = []resource.Kind{resource.KindVPC, resource.KindNetworkInterface,
	resource.KindSecurityGroup, resource.KindTemplate, resource.KindTemplateGroup}

// securityGroups compiles the groups of the network's interfaces: a policy for each list of
// groups that an interface has.
func (j *job) securityGroups() error {
	n := j.network
	n.Policies, n.Members = nil, nil
	g := groupReader{v: j.v, services: map[string][]dataplane.GroupService{}, remotes: map[string][]netip.Prefix{}}
	policies := map[string]*dataplane.GroupPolicy{}
	for x := range j.v.NetworkInterfaces.By(state.ByVPC, j.id).All() {
		if len(x.SecurityGroups) == 0 {
			continue
		}
		id := strings.Join(x.SecurityGroups, "+")
		if policies[id] == nil {
			policies[id] = g.policy(id, x.SecurityGroups)
		}
		for _, a := range addressesOf(x) {
			n.Members = append(n.Members, dataplane.GroupMember{Address: a, MAC: x.MAC, Policy: id})
		}
	}
	for _, id := range slices.Sorted(maps.Keys(policies)) {
		n.Policies = append(n.Policies, *policies[id])
	}
	slices.SortStableFunc(n.Members, func(a, b dataplane.GroupMember) int { return a.Address.Compare(b.Address) })
	n.Members = slices.CompactFunc(n.Members, func(a, b dataplane.GroupMember) bool { return a.Address == b.Address })
	return nil
}

// groupReader resolves what rules name, each thing once, so that rules share it.
type groupReader struct {
	v        *state.View
	services map[string][]dataplane.GroupService
	remotes  map[string][]netip.Prefix
}

// policy returns the rules of groups, one after the other. Of a group that is not there there
// is none.
func (g *groupReader) policy(id string, groups []string) *dataplane.GroupPolicy {
	p := &dataplane.GroupPolicy{ID: id}
	for _, id := range groups {
		if s, ok := g.v.SecurityGroups.Get(id); ok {
			for _, r := range s.Ingress {
				p.Ingress = append(p.Ingress, g.rule(r))
			}
			for _, r := range s.Egress {
				p.Egress = append(p.Egress, g.rule(r))
			}
		}
	}
	return p
}

func (g *groupReader) rule(r resource.SecurityRule) dataplane.GroupRule {
	out := dataplane.GroupRule{Accept: r.Accept}
	switch {
	case r.Service != "" || r.ServiceGroup != "":
		out.Services = once(g.services, r.Service+"/"+r.ServiceGroup, func() (list []dataplane.GroupService) {
			for _, item := range g.items(r.Service, r.ServiceGroup) {
				if _, services, err := resource.ParseServices(item); err == nil {
					list = append(list, services...)
				}
			}
			return list
		})
	default:
		out.Services = once(g.services, r.Protocol+" "+r.Ports.String(), func() []dataplane.GroupService {
			return []dataplane.GroupService{resource.SecurityService(r.Protocol, r.Ports)}
		})
	}
	switch {
	case r.Group != "":
		out.Remotes = once(g.remotes, r.Group, func() []netip.Prefix { return g.members(r.Group) })
	case r.Addresses != "" || r.AddressGroup != "":
		out.Remotes = once(g.remotes, r.Addresses+"/"+r.AddressGroup, func() (list []netip.Prefix) {
			for _, item := range g.items(r.Addresses, r.AddressGroup) {
				if _, blocks, err := resource.ParseAddresses(item); err == nil {
					list = append(list, blocks...)
				}
			}
			return list
		})
	case r.CIDR.IsValid():
		out.Remotes = once(g.remotes, r.CIDR.String(), func() []netip.Prefix { return []netip.Prefix{r.CIDR} })
	}
	return out
}

// once returns what is under a key, which is made where it is not there yet.
func once[T any](in map[string]T, key string, made func() T) T {
	v, ok := in[key]
	if !ok {
		v = made()
		in[key] = v
	}
	return v
}

// items returns those of a template, or of all templates of a group.
func (g *groupReader) items(template, group string) (list []string) {
	ids := []string{template}
	if tg, ok := g.v.TemplateGroups.Get(group); ok {
		ids = tg.Templates
	}
	for _, id := range ids {
		if t, ok := g.v.Templates.Get(id); ok {
			list = append(list, t.Items...)
		}
	}
	return list
}

// members returns the addresses of the interfaces that a group holds for, in whatever network.
func (g *groupReader) members(group string) (list []netip.Prefix) {
	for x := range g.v.NetworkInterfaces.By(state.ByGroup, group).All() {
		if x.Instance == "" {
			continue // its addresses are nobody's
		}
		for _, a := range addressesOf(x) {
			list = append(list, netip.PrefixFrom(a, 32))
		}
	}
	slices.SortFunc(list, func(a, b netip.Prefix) int { return a.Addr().Compare(b.Addr()) })
	return slices.Compact(list)
}

// addressesOf returns the private addresses of an interface.
func addressesOf(x *resource.NetworkInterface) (list []netip.Addr) {
	for _, p := range x.Addresses {
		list = append(list, p.Address)
	}
	return list
}
