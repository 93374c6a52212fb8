package compile

import (
	"fmt"
	"iter"
	"net/netip"
	"slices"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
	"sluice/dataplane/sorted"
)

// dnat is the DNAT entries that take effect. By the documents an entry
// does so while its public address is on its gateway, and an ECS instance
// without an elastic IP of its own holds its private address (NAT Gateway API
// reference, CreateForwardEntry); an address of a VSwitch that the inventory
// doesn't know counts as an ordinary ECS instance, and that of a HaVip is held by one
// once it is bound to any.
func (j *job) dnat() error {
	n := j.network
	if j.old.Network != nil && (j.old.Uplink == nil) == (n.Uplink == nil) && !j.dirty.any(resource.KindVPC, resource.KindVSwitch, resource.KindNATGateway) {
		return j.changeDNAT()
	}
	n.DNAT = sorted.Set[dataplane.DNAT]{}
	if n.Uplink == nil {
		return nil
	}
	entries := j.v.ForwardEntries.By(state.ByVPC, n.ID)
	effective := make([]dataplane.DNAT, 0, entries.Len())
	f := j.forwarding()
	for e := range entries.All() {
		if f.takesEffect(e) {
			effective = slices.AppendSeq(effective, forward(e))
		}
	}
	slices.SortFunc(effective, dataplane.DNAT.Compare)
	for i := 1; i < len(effective); i++ {
		if d := effective[i]; d.Compare(effective[i-1]) == 0 {
			return twice(j.v, n.ID, d)
		}
	}
	n.DNAT = sorted.Of(effective...)
	return nil
}

// changeDNAT looks at the DNAT entries for which it matters what has changed: entries,
// elastic IPs and instances.
func (j *job) changeDNAT() error {
	n, f := j.network, j.forwarding()
	if n.Uplink == nil {
		return nil
	}
	for d := range j.dirtyDNAT() {
		d = dataplane.DNAT{External: d.External, Protocol: d.Protocol, ExternalPort: d.ExternalPort}
		n.DNAT = n.DNAT.Without(d)
		key := state.ExternalTuple(n.ID, d.External, resource.Protocol(d.Protocol), d.ExternalPort)
		for e := range j.v.ForwardEntries.By(state.ByTuple, key).All() {
			if !f.takesEffect(e) {
				continue
			}
			if _, taken := n.DNAT.Get(d); taken {
				return twice(j.v, n.ID, d)
			}
			n.DNAT = n.DNAT.With(forwardPort(e, d.ExternalPort-e.ExternalPort))
		}
	}
	return nil
}

// dirtyDNAT returns the entries, in all versions, for which it matters what has changed.
func (j *job) dirtyDNAT() map[dataplane.DNAT]bool {
	all := make(map[dataplane.DNAT]bool)
	add := func(e *resource.ForwardEntry) {
		for d := range forward(e) {
			all[d] = true
		}
	}
	of := func(index string, a netip.Addr) {
		for e := range j.v.ForwardEntries.By(index, state.AddrKey(j.id, a)).All() {
			add(e)
		}
	}
	versions(j.dirty, add)
	versions(j.dirty, func(i *resource.Instance) { of(state.ByInternal, i.PrivateIP) })
	versions(j.dirty, func(n *resource.NetworkInterface) {
		for _, a := range n.Further() {
			of(state.ByInternal, a.Address)
		}
	})
	versions(j.dirty, func(h *resource.HaVip) { of(state.ByInternal, h.PrivateIP) })
	versions(j.dirty, func(e *resource.ElasticIP) {
		of(state.ByExternal, e.Address)
		if e.Binding == nil {
			return
		}
		if e.Binding.Address.IsValid() {
			of(state.ByInternal, e.Binding.Address) // also of an interface that has lost it
		} else if a, ok := j.v.BoundAddress(j.id, e.Binding); ok {
			of(state.ByInternal, a)
		}
	})
	return all
}

// forwarding says which DNAT entries take effect.
type forwarding struct {
	*public
	hosts
}

func (j *job) forwarding() *forwarding {
	return &forwarding{j.public(), hosts{switches: j.network.Switches}}
}

func (f *forwarding) takesEffect(e *resource.ForwardEntry) bool {
	_, own := f.own[e.InternalIP]
	return e.Gateway != "" && f.shared[e.ExternalIP] == e.Gateway && !f.others[e.InternalIP] && !own && f.contains(e.InternalIP)
}

// forward returns what forwards each of the entry's ports: nftables can lead a range to
// another range port by port only.
func forward(e *resource.ForwardEntry) iter.Seq[dataplane.DNAT] {
	return func(yield func(dataplane.DNAT) bool) {
		for i := range e.External().Len() {
			if !yield(forwardPort(e, uint16(i))) {
				return
			}
		}
	}
}

// forwardPort returns what forwards the port that is so many behind the first.
func forwardPort(e *resource.ForwardEntry, i uint16) dataplane.DNAT {
	return dataplane.DNAT{
		External:     e.ExternalIP,
		Protocol:     uint8(e.Protocol),
		ExternalPort: e.ExternalPort + i,
		Internal:     e.InternalIP,
		InternalPort: e.InternalPort + i,
	}
}

// twice is what is wrong where two entries have the key of d.
func twice(v *state.View, vpc string, d dataplane.DNAT) error {
	p := resource.Protocol(d.Protocol)
	var ids []string
	for e := range v.ForwardEntries.By(state.ByTuple, state.ExternalTuple(vpc, d.External, p, d.ExternalPort)).All() {
		ids = append(ids, e.ID)
	}
	return fmt.Errorf("two DNAT entries for %s protocol %s port %d, %s: delete one of them", d.External, p, d.ExternalPort, strings.Join(ids, " and "))
}

// snat is the SNAT entries that take effect, with those of their
// addresses that are on their gateway. Of several gateways the one counts that the route
// table of the source's VSwitch leads to. A single address whose instance has an
// elastic IP of its own goes out by that. An instance in the block of a
// VSwitch does too, which the dataplane sees to: a mapping comes before SNAT.
func (j *job) snat() error {
	n, p := j.network, j.public()
	n.SNAT = nil
	if n.Uplink == nil {
		return nil
	}
	var out []dataplane.SNAT
	leads := j.leads()
	for e := range j.v.SNATEntries.By(state.ByVPC, n.ID).All() {
		if !j.led(e, leads) || p.hostsOwn(e) {
			continue
		}
		var pool []netip.Addr
		for _, a := range e.Pool {
			if e.Gateway != "" && p.shared[a] == e.Gateway {
				pool = append(pool, a)
			}
		}
		if len(pool) == 0 {
			continue
		}
		slices.SortFunc(pool, netip.Addr.Compare)
		out = append(out, dataplane.SNAT{Source: e.Source, Pool: slices.Compact(pool)})
	}
	slices.SortFunc(out, func(a, b dataplane.SNAT) int { return a.Source.Compare(b.Source) })
	for i := 1; i < len(out); i++ {
		// Sorted by address and then by length, a block that overlaps any other
		// overlaps its neighbour.
		if out[i-1].Source.Overlaps(out[i].Source) {
			return fmt.Errorf("SNAT sources %s and %s overlap: delete one of the entries", out[i-1].Source, out[i].Source)
		}
	}
	n.SNAT = out
	return nil
}

// leads returns the NAT gateway that each of the VPC's route tables leads to: where there
// are several, that of the widest destination.
func (j *job) leads() map[string]string {
	out, by := map[string]string{}, map[string]*resource.RouteEntry{}
	for e := range j.v.RouteEntries.By(state.ByVPC, j.id).All() {
		for _, h := range e.NextHops {
			if h.Type != resource.NextHopNATGateway || j.public().gateways[h.ID] == nil {
				continue
			}
			if old := by[e.Table]; old == nil || e.Destination.Bits() < old.Destination.Bits() ||
				e.Destination.Bits() == old.Destination.Bits() && e.Destination.Addr().Less(old.Destination.Addr()) {
				by[e.Table], out[e.Table] = e, h.ID
			}
		}
	}
	return out
}

// led says whether what an SNAT entry is for goes by its gateway, or by none: else another
// gateway's entries are for it.
func (j *job) led(e *resource.SNATEntry, leads map[string]string) bool {
	to := leads[j.tableOf(e.VSwitch)]
	return to == "" || to == e.Gateway
}

// tableOf returns the route table that a VSwitch goes by.
func (j *job) tableOf(vswitch string) string {
	if x, ok := j.v.VSwitches.Get(vswitch); ok && x.RouteTable != "" {
		return x.RouteTable
	}
	return j.vpc.RouteTable
}

// hostsOwn says whether an SNAT entry is of an instance with an elastic IP of its own.
func (p *public) hostsOwn(e *resource.SNATEntry) bool {
	_, own := p.own[e.Source.Addr()]
	return own && e.Source.IsSingleIP()
}

func usedByBoth(a netip.Addr, e *resource.SNATEntry) error {
	return fmt.Errorf("%s is used by SNAT entry %s and by a DNAT entry: delete one of them", a, e.ID)
}

// checkPools refuses an address that SNAT entries use beside a DNAT entry that does not
// let them. Where only DNAT entries have changed, those alone are looked at.
func (j *job) checkPools() error {
	if j.network.Uplink == nil {
		return nil
	}
	f, leads := j.forwarding(), j.leads()
	uses := func(e *resource.SNATEntry) bool { return j.led(e, leads) && !f.hostsOwn(e) }
	if j.old.Network != nil && !j.dirty.any(append(publicKinds, resource.KindVSwitch, resource.KindRouteEntry, resource.KindSNATEntry)...) {
		for _, c := range j.dirty[resource.KindForwardEntry] {
			if c.New == nil {
				continue
			}
			d, ok := j.v.ForwardEntries.Get(c.New.Metadata().ID)
			if !ok || d.LeavesPorts() || !f.takesEffect(d) {
				continue
			}
			for e := range j.v.SNATEntries.By(state.ByExternal, state.AddrKey(j.id, d.ExternalIP)).All() {
				if uses(e) {
					return usedByBoth(d.ExternalIP, e)
				}
			}
		}
		return nil
	}
	for e := range j.v.SNATEntries.By(state.ByVPC, j.id).All() {
		if !uses(e) {
			continue
		}
		for _, a := range e.Pool {
			for d := range j.v.ForwardEntries.By(state.ByExternal, state.AddrKey(j.id, a)).All() {
				if !d.LeavesPorts() && f.takesEffect(d) {
					return usedByBoth(a, e)
				}
			}
		}
	}
	return nil
}
