package nat_test

import (
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

func source(cidr string) func(*nat.SNATEntry) {
	return func(e *nat.SNATEntry) { e.VSwitch, e.Source = "", netip.MustParsePrefix(cidr) }
}

func vswitch(id string) func(*nat.SNATEntry) { return func(e *nat.SNATEntry) { e.VSwitch = id } }

func pool(last ...string) func(*nat.SNATEntry) {
	return func(e *nat.SNATEntry) {
		e.Pool = nil
		for _, l := range last {
			e.Pool = append(e.Pool, public(l))
		}
	}
}

// Beside SNAT entries for the whole of vsw-2 and for 10.0.1.7, and a DNAT
// entry that uses 203.0.113.11.
var snatRules = map[string]struct {
	change []func(*nat.SNATEntry)
	want   fault.Reason
	source string
}{
	"address":                     {[]func(*nat.SNATEntry){source("10.0.1.8/32")}, "", "10.0.1.8/32"},
	"address of an instance":      {[]func(*nat.SNATEntry){source("10.0.1.21/32")}, "", "10.0.1.21/32"},
	"pool":                        {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool("14", "12", "13")}, "", "10.0.1.8/32"},
	"region":                      {[]func(*nat.SNATEntry){func(e *nat.SNATEntry) { e.Region = "mars" }}, fault.RegionNotFound, ""},
	"other region":                {[]func(*nat.SNATEntry){func(e *nat.SNATEntry) { e.Region = "cn-beijing" }}, fault.SNATTableNotFound, ""},
	"table":                       {[]func(*nat.SNATEntry){func(e *nat.SNATEntry) { e.Table = "stb-none" }}, fault.SNATTableNotFound, ""},
	"no source":                   {[]func(*nat.SNATEntry){vswitch("")}, fault.SourceMissing, ""},
	"both sources":                {[]func(*nat.SNATEntry){source("10.0.1.0/24"), vswitch("vsw-1")}, fault.SourceBoth, ""},
	"VSwitch":                     {[]func(*nat.SNATEntry){vswitch("vsw-none")}, fault.VSwitchNotFound, ""},
	"VSwitch of another VPC":      {[]func(*nat.SNATEntry){vswitch("vsw-b")}, fault.VSwitchNotFound, ""},
	"VSwitch with a HaVip":        {[]func(*nat.SNATEntry){vswitch("vsw-ha")}, fault.VSwitchHasHaVips, ""},
	"its block":                   {[]func(*nat.SNATEntry){source("10.0.3.0/24")}, fault.VSwitchHasHaVips, ""},
	"the HaVip":                   {[]func(*nat.SNATEntry){source("10.0.3.5/32")}, fault.VSwitchHasHaVips, ""},
	"a neighbour of the HaVip":    {[]func(*nat.SNATEntry){source("10.0.3.6/32")}, "", "10.0.3.6/32"},
	"load balancer":               {[]func(*nat.SNATEntry){source("10.0.1.22/32")}, fault.ParameterInvalid, ""},
	"outside the VPC":             {[]func(*nat.SNATEntry){source("192.168.0.0/24")}, fault.SourceCIDROutside, ""},
	"in no VSwitch":               {[]func(*nat.SNATEntry){source("10.0.99.1/32")}, fault.SourceCIDROutside, ""},
	"part of a VSwitch":           {[]func(*nat.SNATEntry){source("10.0.1.0/25")}, fault.SourceCIDROutside, ""},
	"more than a VSwitch":         {[]func(*nat.SNATEntry){source("10.0.0.0/16")}, fault.SourceCIDROutside, ""},
	"instance with an elastic IP": {[]func(*nat.SNATEntry){source("10.0.1.20/32")}, fault.InternalIPHasElasticIP, ""},
	"no address":                  {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool()}, fault.ParameterInvalid, ""},
	"unknown address":             {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool("13", "99")}, fault.SNATIPNotFound, ""},
	"address not on the gateway":  {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool("30")}, fault.SNATIPNotFound, ""},
	"address of an elastic IP":    {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool("20")}, fault.SNATIPNotFound, ""},
	"used by DNAT":                {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool("13", "11")}, fault.UsedByDNAT, ""},
	"pool quota":                  {[]func(*nat.SNATEntry){source("10.0.1.8/32"), pool("12", "13", "14", "15")}, fault.QuotaSNATPool, ""},
	"same VSwitch":                {[]func(*nat.SNATEntry){vswitch("vsw-2")}, fault.VSwitchHasSNAT, ""},
	"same block":                  {[]func(*nat.SNATEntry){source("10.0.2.0/24")}, fault.SourceConflict, ""},
	"address in it":               {[]func(*nat.SNATEntry){source("10.0.2.9/32")}, fault.SourceConflict, ""},
	"VSwitch around an address":   {[]func(*nat.SNATEntry){vswitch("vsw-1")}, fault.SourceConflict, ""},
	"same address":                {[]func(*nat.SNATEntry){source("10.0.1.7/32")}, fault.SourceConflict, ""},
}

func TestCreateSNATEntryRules(t *testing.T) {
	for name, c := range snatRules {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			quotas := state.DefaultQuotas()
			quotas["snat_pool_addresses"] = 3
			b.Settings.Quotas = quotas
			b.Put(nattest.VPC("vpc-b", "10.0.0.0/16"), nattest.VSwitch("vsw-b", "vpc-b", "10.0.1.0/24"))
			b.mustForward(t, b.forward())
			b.mustSNAT(t, b.snat(vswitch("vsw-2")))
			b.mustSNAT(t, b.snat(source("10.0.1.7/32"), pool("13", "12")))
			before := b.DB.View()
			in := b.snat(c.change...)
			id, err := b.s.CreateSNATEntry(ctx, b.c, in)
			refused(t, err, c.want)
			if c.want != "" {
				if b.DB.View() != before {
					t.Error("a refused call changed something")
				}
				return
			}
			e, ok := b.DB.View().SNATEntries.Get(id)
			if !ok || !strings.HasPrefix(id, "snat-") || e.Source.String() != c.source || !slices.Equal(e.Pool, in.Pool) || e.VPC != "vpc-a" || e.Gateway != b.g.ID {
				t.Errorf("entry %+v of %+v", e, in)
			}
			if sw, ok := b.DB.View().VSwitches.Get(e.VSwitch); !ok || !sw.CIDR.Contains(e.Source.Addr()) {
				t.Errorf("entry for %s names VSwitch %q", e.Source, e.VSwitch)
			}
		})
	}
}

func TestCreateSNATEntryForAVSwitch(t *testing.T) {
	for name, change := range map[string]func(*nat.SNATEntry){"by id": vswitch("vsw-1"), "by block": source("10.0.1.0/24")} {
		t.Run(name, func(t *testing.T) {
			b := newBench(t)
			// An address given twice counts once; several entries may use one address.
			id := b.mustSNAT(t, b.snat(change, pool("13", "12", "13")))
			b.mustSNAT(t, b.snat(vswitch("vsw-2"), pool("12")))
			e, _ := b.DB.View().SNATEntries.Get(id)
			if e.VSwitch != "vsw-1" || e.Source.String() != "10.0.1.0/24" || !slices.Equal(e.Pool, []netip.Addr{public("13"), public("12")}) {
				t.Errorf("entry %+v", e)
			}
		})
	}
}

func TestModifySNATEntry(t *testing.T) {
	b := newBench(t)
	b.mustForward(t, b.forward())
	id := b.mustSNAT(t, b.snat())
	name := "out"
	change := nat.SNATEntryChange{Region: nattest.Region, Table: b.g.SNATTable, ID: id}
	with := func(last ...string) nat.SNATEntryChange {
		c := change
		for _, l := range last {
			c.Pool = append(c.Pool, public(l))
		}
		return c
	}
	refused(t, b.s.ModifySNATEntry(ctx, b.c, with("99")), fault.SNATIPNotFound)
	refused(t, b.s.ModifySNATEntry(ctx, b.c, with("11")), fault.UsedByDNAT)
	refused(t, b.s.ModifySNATEntry(ctx, b.c, with("14", "12")), "")
	e, _ := b.DB.View().SNATEntries.Get(id)
	if !slices.Equal(e.Pool, []netip.Addr{public("14"), public("12")}) || e.Source.String() != "10.0.1.0/24" {
		t.Errorf("entry %+v", e)
	}
	b.Follow()
	change.Name = &name
	refused(t, b.s.ModifySNATEntry(ctx, b.c, change), "")
	if e, _ := b.DB.View().SNATEntries.Get(id); e.Name != "out" || len(e.Pool) != 2 || e.Generation > b.DB.Observed.Applied("vpc-a") {
		t.Errorf("entry %+v", e)
	}
	revision := b.DB.View().Revision
	refused(t, b.s.ModifySNATEntry(ctx, b.c, change), "")
	if b.DB.View().Revision != revision {
		t.Error("a change to what is already there was written")
	}
	change.ID = "snat-none"
	refused(t, b.s.ModifySNATEntry(ctx, b.c, change), fault.SNATEntryNotFound)
	change.Table = b.g.ForwardTable
	refused(t, b.s.ModifySNATEntry(ctx, b.c, change), fault.SNATTableNotFound)

	refused(t, b.s.DeleteSNATEntry(ctx, b.c, nattest.Region, b.g.SNATTable, "snat-none"), fault.SNATEntryNotFound)
	refused(t, b.s.DeleteSNATEntry(ctx, b.c, nattest.Region, b.g.SNATTable, id), "")
	if b.DB.View().SNATEntries.Len() != 0 {
		t.Error("the entry is still there")
	}
}

func TestSNATEntryQuota(t *testing.T) {
	b := newBench(t)
	b.Settings.Accounts = map[string]settings.Quotas{nattest.Account: {"snat_entries": 1, "snat_pool_addresses": 1}}
	b.mustSNAT(t, b.snat())
	_, err := b.s.CreateSNATEntry(ctx, b.c, b.snat(vswitch("vsw-2")))
	refused(t, err, fault.QuotaSNATEntry)
}

func TestSNATEntriesQuery(t *testing.T) {
	b := newBench(t)
	ids := []string{b.mustSNAT(t, b.snat()), b.mustSNAT(t, b.snat(vswitch("vsw-2"))), b.mustSNAT(t, b.snat(source("10.0.3.9/32")))}
	for name, c := range map[string]struct {
		q     nat.SNATEntryQuery
		total int
		want  []string
	}{
		"all":        {nat.SNATEntryQuery{Page: state.Page{Limit: 10}}, 3, ids},
		"page":       {nat.SNATEntryQuery{Page: state.Page{Offset: 2, Limit: 2}}, 3, ids[2:]},
		"id":         {nat.SNATEntryQuery{IDs: []string{ids[1]}, Page: state.Page{Limit: 10}}, 1, ids[1:2]},
		"unknown id": {nat.SNATEntryQuery{IDs: []string{"snat-none"}, Page: state.Page{Limit: 10}}, 0, nil},
	} {
		t.Run(name, func(t *testing.T) {
			c.q.Region, c.q.Table = nattest.Region, b.g.SNATTable
			list, err := b.s.SNATEntries(b.c, c.q)
			if err != nil {
				t.Fatal(err)
			}
			var got []string
			for _, e := range list.Items {
				got = append(got, e.ID)
			}
			if list.Total != c.total || !slices.Equal(got, c.want) {
				t.Errorf("%d: %q, want %d: %q", list.Total, got, c.total, c.want)
			}
		})
	}
	_, err := b.s.SNATEntries(b.c, nat.SNATEntryQuery{Region: nattest.Region, Table: "stb-none", Page: state.Page{Limit: 10}})
	refused(t, err, fault.SNATTableNotFound)
}
