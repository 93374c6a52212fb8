package nat_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

func internal(ip string) func(*nat.ForwardEntry) {
	return func(e *nat.ForwardEntry) { e.InternalIP = netip.MustParseAddr(ip) }
}

func external(last string, port uint16) func(*nat.ForwardEntry) {
	return func(e *nat.ForwardEntry) { e.ExternalIP, e.ExternalPort = public(last), port }
}

func ranges(from, fromLast, to, toLast uint16) func(*nat.ForwardEntry) {
	return func(e *nat.ForwardEntry) {
		e.ExternalPort, e.ExternalLast, e.InternalPort, e.InternalLast = from, fromLast, to, toLast
	}
}

func shares(e *nat.ForwardEntry) { e.Shares = true }

func protocol(p resource.Protocol, from, to uint16) func(*nat.ForwardEntry) {
	return func(e *nat.ForwardEntry) { e.Protocol, e.ExternalPort, e.InternalPort = p, from, to }
}

// Beside a DNAT entry TCP 203.0.113.11:80 → 10.0.1.5:8080 and an SNAT entry of
// vsw-2 that uses 203.0.113.13.
var forwardRules = map[string]struct {
	change []func(*nat.ForwardEntry)
	want   fault.Reason
}{
	"good":                           {[]func(*nat.ForwardEntry){external("11", 81), internal("10.0.1.6")}, ""},
	"region":                         {[]func(*nat.ForwardEntry){func(e *nat.ForwardEntry) { e.Region = "mars" }}, fault.RegionNotFound},
	"other region":                   {[]func(*nat.ForwardEntry){func(e *nat.ForwardEntry) { e.Region = "cn-beijing" }}, fault.ForwardTableNotFound},
	"table":                          {[]func(*nat.ForwardEntry){func(e *nat.ForwardEntry) { e.Table = "ftb-none" }}, fault.ForwardTableNotFound},
	"Any port of TCP":                {[]func(*nat.ForwardEntry){protocol(resource.TCP, 0, 80)}, fault.PortsAndProtocol},
	"Any internal port":              {[]func(*nat.ForwardEntry){protocol(resource.UDP, 80, 0)}, fault.PortsAndProtocol},
	"Any with ports":                 {[]func(*nat.ForwardEntry){protocol(resource.AnyProtocol, 80, 80)}, fault.PortsAndProtocol},
	"Any beside a port":              {[]func(*nat.ForwardEntry){protocol(resource.AnyProtocol, 0, 0)}, ""},
	"no elastic IP":                  {[]func(*nat.ForwardEntry){external("99", 80)}, fault.ExternalIPNotFound},
	"elastic IP of nothing":          {[]func(*nat.ForwardEntry){external("30", 80)}, fault.NotOnGateway},
	"elastic IP of an instance":      {[]func(*nat.ForwardEntry){external("20", 80)}, fault.NotOnGateway},
	"used by SNAT":                   {[]func(*nat.ForwardEntry){external("13", 80)}, fault.UsedBySNAT},
	"outside the VPC":                {[]func(*nat.ForwardEntry){internal("10.1.0.1")}, fault.InternalIPOutside},
	"instance with an elastic IP":    {[]func(*nat.ForwardEntry){external("11", 81), internal("10.0.1.20")}, fault.InternalIPHasElasticIP},
	"instance without":               {[]func(*nat.ForwardEntry){external("11", 81), internal("10.0.1.21")}, ""},
	"load balancer, without effect":  {[]func(*nat.ForwardEntry){external("11", 81), internal("10.0.1.22")}, ""},
	"no VSwitch yet, without effect": {[]func(*nat.ForwardEntry){external("11", 81), internal("10.0.99.1")}, ""},
	"duplicate external":             {[]func(*nat.ForwardEntry){internal("10.0.1.6")}, fault.DuplicateExternal},
	"same port of UDP":               {[]func(*nat.ForwardEntry){protocol(resource.UDP, 80, 8080)}, ""},
	"same port of another address":   {[]func(*nat.ForwardEntry){external("12", 80), internal("10.0.1.6")}, ""},
	"duplicate internal":             {[]func(*nat.ForwardEntry){external("12", 80)}, fault.DuplicateInternal},
	"several ports":                  {[]func(*nat.ForwardEntry){ranges(90, 99, 8090, 8099)}, ""},
	"several beside one":             {[]func(*nat.ForwardEntry){ranges(81, 90, 8081, 8090)}, ""},
	"several over one":               {[]func(*nat.ForwardEntry){ranges(71, 80, 9071, 9080)}, fault.DuplicateExternal},
	"to several over one":            {[]func(*nat.ForwardEntry){ranges(90, 99, 8080, 8089)}, fault.DuplicateInternal},
	"more outside":                   {[]func(*nat.ForwardEntry){ranges(90, 99, 8090, 8098)}, fault.PortRanges},
	"several to one":                 {[]func(*nat.ForwardEntry){ranges(90, 99, 8090, 0)}, fault.PortRanges},
	"too many":                       {[]func(*nat.ForwardEntry){ranges(1000, 2000, 1000, 2000)}, fault.QuotaForwardPorts},
	"beside SNAT":                    {[]func(*nat.ForwardEntry){external("13", 80), internal("10.0.1.6"), shares}, ""},
	"all ports beside SNAT":          {[]func(*nat.ForwardEntry){external("13", 0), protocol(resource.AnyProtocol, 0, 0), shares}, fault.UsedBySNAT},
	"another internal port":          {[]func(*nat.ForwardEntry){external("12", 80), protocol(resource.TCP, 80, 8081)}, ""},
}

// An SNAT entry may use an address of DNAT entries that say so, and of no others; and
// while it does, they go on saying it.
func TestSharedAddress(t *testing.T) {
	b := newBench(t)
	in := b.forward(shares)
	id := b.mustForward(t, in)
	snat := b.snat(func(e *nat.SNATEntry) { e.VSwitch, e.Pool = "vsw-2", []netip.Addr{in.ExternalIP} })
	b.mustSNAT(t, snat)
	no := false
	refused(t, b.s.ModifyForwardEntry(ctx, b.c, nat.ForwardEntryChange{Region: in.Region, Table: in.Table, ID: id, Shares: &no}), fault.UsedBySNAT)

	b = newBench(t)
	b.mustForward(t, b.forward(shares))
	b.mustForward(t, b.forward(internal("10.0.1.6"), external("11", 81)))
	snat.Table = b.g.SNATTable
	_, err := b.s.CreateSNATEntry(ctx, b.c, snat)
	refused(t, err, fault.UsedByDNAT)
}

func TestCreateForwardEntryRules(t *testing.T) {
	for name, c := range forwardRules {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustForward(t, b.forward())
			b.mustSNAT(t, b.snat(func(e *nat.SNATEntry) { e.VSwitch = "vsw-2" }))
			before := b.DB.View()
			in := b.forward(c.change...)
			id, err := b.s.CreateForwardEntry(ctx, b.c, in)
			refused(t, err, c.want)
			if c.want != "" {
				if b.DB.View() != before {
					t.Error("a refused call changed something")
				}
				return
			}
			e, ok := b.DB.View().ForwardEntries.Get(id)
			if e.External() != (resource.Ports{First: in.ExternalPort, Last: in.ExternalLast}) || e.Internal() != (resource.Ports{First: in.InternalPort, Last: in.InternalLast}) || e.Shares != in.Shares {
				t.Errorf("entry %+v of %+v", e, in)
			}
			if !ok || !strings.HasPrefix(id, "fwd-") || e.Table != in.Table || e.VPC != "vpc-a" || e.Gateway != b.g.ID || e.Protocol != in.Protocol ||
				e.ExternalIP != in.ExternalIP || e.ExternalPort != in.ExternalPort || e.InternalIP != in.InternalIP || e.InternalPort != in.InternalPort {
				t.Errorf("entry %+v of %+v", e, in)
			}
		})
	}
}

// The same rules hold for what a modification comes to.
func TestModifyForwardEntryRules(t *testing.T) {
	for name, c := range forwardRules {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			b.mustForward(t, b.forward())
			b.mustSNAT(t, b.snat(func(e *nat.SNATEntry) { e.VSwitch = "vsw-2" }))
			id := b.mustForward(t, b.forward(external("14", 1000), internal("10.0.2.77")))
			before := b.DB.View()
			in := b.forward(c.change...)
			err := b.s.ModifyForwardEntry(ctx, b.c, nat.ForwardEntryChange{Region: in.Region, Table: in.Table, ID: id,
				ExternalIP: &in.ExternalIP, ExternalPort: &resource.Ports{First: in.ExternalPort, Last: in.ExternalLast}, Protocol: &in.Protocol, InternalIP: &in.InternalIP,
				InternalPort: &resource.Ports{First: in.InternalPort, Last: in.InternalLast}, Shares: &in.Shares})
			refused(t, err, c.want)
			e, _ := b.DB.View().ForwardEntries.Get(id)
			if c.want != "" {
				if b.DB.View() != before {
					t.Error("a refused call changed something")
				}
				return
			}
			if e.ExternalIP != in.ExternalIP || e.ExternalPort != in.ExternalPort || e.Protocol != in.Protocol || e.InternalIP != in.InternalIP || e.InternalPort != in.InternalPort {
				t.Errorf("entry %+v, want %+v", e, in)
			}
			if e.Phase(b.DB.Observed.Applied("vpc-a")) != resource.Changing {
				t.Error("not in change before the dataplane's word")
			}
		})
	}
}

func TestModifyForwardEntryKeepsWhatIsNotGiven(t *testing.T) {
	b := newBench(t)
	id := b.mustForward(t, b.forward(func(e *nat.ForwardEntry) { e.Name = "web" }))
	port, name := resource.Ports{First: 9090}, "shop"
	change := nat.ForwardEntryChange{Region: nattest.Region, Table: b.g.ForwardTable, ID: id, InternalPort: &port}
	refused(t, b.s.ModifyForwardEntry(ctx, b.c, change), "")
	e, _ := b.DB.View().ForwardEntries.Get(id)
	if e.InternalPort != 9090 || e.Name != "web" || e.ExternalPort != 80 || e.Protocol != resource.TCP {
		t.Errorf("entry %+v", e)
	}
	b.Follow()
	// A new name is nothing that the dataplane follows.
	refused(t, b.s.ModifyForwardEntry(ctx, b.c, nat.ForwardEntryChange{Region: nattest.Region, Table: b.g.ForwardTable, ID: id, Name: &name}), "")
	if e, _ := b.DB.View().ForwardEntries.Get(id); e.Name != "shop" || e.Phase(b.DB.Observed.Applied("vpc-a")) != resource.Ready {
		t.Errorf("entry %+v", e)
	}
	revision := b.DB.View().Revision
	refused(t, b.s.ModifyForwardEntry(ctx, b.c, change), "")
	if b.DB.View().Revision != revision {
		t.Error("a change to what is already there was written")
	}
	change.ID = "fwd-none"
	refused(t, b.s.ModifyForwardEntry(ctx, b.c, change), fault.ForwardEntryNotFound)
}

func TestDeleteForwardEntry(t *testing.T) {
	b := newBench(t)
	id := b.mustForward(t, b.forward())
	refused(t, b.s.DeleteForwardEntry(ctx, b.c, "mars", b.g.ForwardTable, id), fault.RegionNotFound)
	refused(t, b.s.DeleteForwardEntry(ctx, b.c, nattest.Region, "ftb-none", id), fault.ForwardTableNotFound)
	refused(t, b.s.DeleteForwardEntry(ctx, b.c, nattest.Region, b.g.SNATTable, id), fault.ForwardTableNotFound)
	refused(t, b.s.DeleteForwardEntry(ctx, b.c, nattest.Region, b.g.ForwardTable, "fwd-none"), fault.ForwardEntryNotFound)
	refused(t, b.s.DeleteForwardEntry(ctx, b.c, nattest.Region, b.g.ForwardTable, id), "")
	b.Follow()
	refused(t, b.s.DeleteForwardEntry(ctx, b.c, nattest.Region, b.g.ForwardTable, id), fault.ForwardEntryNotFound)
	// The tuple is free again.
	_, err := b.s.CreateForwardEntry(ctx, b.c, b.forward())
	refused(t, err, "")
}

func TestForwardEntryQuota(t *testing.T) {
	b := newBench(t)
	b.Settings.Accounts = map[string]settings.Quotas{nattest.Account: {"forward_entries": 2, "forward_entry_ports": 1}}
	b.mustForward(t, b.forward())
	b.mustForward(t, b.forward(external("11", 81), internal("10.0.1.6")))
	third := b.forward(external("11", 82), internal("10.0.1.7"))
	_, err := b.s.CreateForwardEntry(ctx, b.c, third)
	refused(t, err, fault.QuotaForwardEntry)
	b.Settings.Accounts = nil
	_, err = b.s.CreateForwardEntry(ctx, b.c, third)
	refused(t, err, "")
}

func TestForwardEntriesQuery(t *testing.T) {
	b := newBench(t)
	var ids []string
	for i := range 6 {
		p := resource.TCP
		if i%2 == 1 {
			p = resource.UDP
		}
		last := "11"
		if i >= 4 {
			last = "12"
		}
		ids = append(ids, b.mustForward(t, b.forward(protocol(p, 0, 80), external(last, uint16(100+i)), internal(fmt.Sprintf("10.0.1.%d", 50+i%3)),
			func(e *nat.ForwardEntry) { e.Name = fmt.Sprintf("name-%d", i%2); e.InternalPort = uint16(80 + i) })))
	}
	for name, c := range map[string]struct {
		q     nat.ForwardEntryQuery
		total int
		want  []int
	}{
		"all":                {nat.ForwardEntryQuery{}, 6, []int{0, 1, 2, 3, 4, 5}},
		"page":               {nat.ForwardEntryQuery{Page: state.Page{Offset: 4, Limit: 4}}, 6, []int{4, 5}},
		"id":                 {nat.ForwardEntryQuery{IDs: []string{ids[3]}}, 1, []int{3}},
		"id, second page":    {nat.ForwardEntryQuery{IDs: []string{ids[3]}, Page: state.Page{Offset: 4, Limit: 4}}, 1, nil},
		"id that mismatches": {nat.ForwardEntryQuery{IDs: []string{ids[3]}, Protocols: []resource.Protocol{resource.TCP}}, 0, nil},
		"unknown id":         {nat.ForwardEntryQuery{IDs: []string{"fwd-none"}}, 0, nil},
		"external":           {nat.ForwardEntryQuery{ExternalIPs: []netip.Addr{public("12")}}, 2, []int{4, 5}},
		"external, page":     {nat.ForwardEntryQuery{ExternalIPs: []netip.Addr{public("11")}, Page: state.Page{Offset: 3, Limit: 3}}, 4, []int{3}},
		"internal":           {nat.ForwardEntryQuery{InternalIPs: []netip.Addr{netip.MustParseAddr("10.0.1.50")}}, 2, []int{0, 3}},
		"both":               {nat.ForwardEntryQuery{ExternalIPs: []netip.Addr{public("12")}, InternalIPs: []netip.Addr{netip.MustParseAddr("10.0.1.51")}}, 1, []int{4}},
		"external port":      {nat.ForwardEntryQuery{ExternalPorts: []resource.Ports{{First: 102}}}, 1, []int{2}},
		"internal port":      {nat.ForwardEntryQuery{InternalPorts: []resource.Ports{{First: 85}}}, 1, []int{5}},
		"Any port":           {nat.ForwardEntryQuery{ExternalPorts: []resource.Ports{{First: 0}}}, 0, nil},
		"protocol":           {nat.ForwardEntryQuery{Protocols: []resource.Protocol{resource.UDP}, Page: state.Page{Offset: 2, Limit: 2}}, 3, []int{5}},
		"name":               {nat.ForwardEntryQuery{Names: []string{"name-0"}}, 3, []int{0, 2, 4}},
		"name and external":  {nat.ForwardEntryQuery{Names: []string{"name-0"}, ExternalIPs: []netip.Addr{public("12")}}, 1, []int{4}},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.Region, c.q.Table = nattest.Region, b.g.ForwardTable
			if c.q.Page.Limit == 0 {
				c.q.Page = state.Page{Limit: 10}
			}
			list, err := b.s.ForwardEntries(b.c, c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got, want []string
			for _, e := range list.Items {
				got = append(got, e.ID)
			}
			for _, i := range c.want {
				want = append(want, ids[i])
			}
			if list.Total != c.total || strings.Join(got, " ") != strings.Join(want, " ") || list.Gateway != b.g.ID {
				t.Errorf("%d: %q, want %d: %q", list.Total, got, c.total, want)
			}
		})
	}
	q := nat.ForwardEntryQuery{Region: "mars", Table: b.g.ForwardTable, Page: state.Page{Limit: 10}}
	_, err := b.s.ForwardEntries(b.c, q)
	refused(t, err, fault.RegionNotFound)
	q.Region, q.Table = nattest.Region, "ftb-none"
	_, err = b.s.ForwardEntries(b.c, q)
	refused(t, err, fault.ForwardTableNotFound)
}

func BenchmarkForwardEntriesPage(b *testing.B) {
	w := nattest.New(b)
	g := nattest.Gateway("ngw-a", "vpc-a")
	rs := []resource.Resource{nattest.VPC("vpc-a", "10.0.0.0/16"), g}
	for i := range 10_000 {
		rs = append(rs, nattest.Forward(fmt.Sprintf("fwd-%05d", i), g, resource.TCP, fmt.Sprintf("203.0.113.11:%d", i+1), fmt.Sprintf("10.0.1.%d:%d", i%200, i+1)))
	}
	w.Put(rs...)
	s, c := service(w), nattest.Caller()
	for b.Loop() {
		list, err := s.ForwardEntries(c, nat.ForwardEntryQuery{Region: nattest.Region, Table: g.ForwardTable, Page: state.Page{Offset: 4950, Limit: 50}})
		if err != nil || len(list.Items) != 50 || list.Total != 10_000 {
			b.Fatal(err)
		}
	}
}
