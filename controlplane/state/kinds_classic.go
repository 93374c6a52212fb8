package state

import (
	"net/netip"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// classicKinds are what is about the classic network.
var classicKinds = []registered{
	Kind[*resource.ClassicInstance]{
		Name: resource.KindClassicInstance, Noun: "classic instance", Table: func(v *View) **Table[*resource.ClassicInstance] { return &v.ClassicInstances },
		Indexes: []Index[*resource.ClassicInstance]{byAccount[*resource.ClassicInstance](), byRegion[*resource.ClassicInstance](),
			one(ByAddress, func(i *resource.ClassicInstance) string { return ClassicKey(i.Region, i.Address) })},
		NotFound: fault.InstanceNotFound,
		Bounded:  "the operator makes them",
		Decides: func(v *View, i *resource.ClassicInstance) (networks []string) {
			for l := range v.ClassicLinks.By(ByInstance, i.ID).All() {
				networks = append(networks, l.VPC)
			}
			return networks
		},
		Barred: []fault.Reason{fault.InstanceHasDependents},
	},
	Kind[*resource.ClassicLink]{
		Name: resource.KindClassicLink, Noun: "classic link", Table: func(v *View) **Table[*resource.ClassicLink] { return &v.ClassicLinks },
		Indexes: []Index[*resource.ClassicLink]{byAccount[*resource.ClassicLink](), byRegion[*resource.ClassicLink](),
			one(ByVPC, func(l *resource.ClassicLink) string { return l.VPC }),
			one(ByInstance, func(l *resource.ClassicLink) string { return l.Instance })},
		NotFound: fault.ClassicLinkNotFound,
		Quotas: []Quota[*resource.ClassicLink]{ // the document has the quota, and no number
			{Name: "classic_links_per_vpc", Default: 100, Counts: "instances of the classic network that are linked to a VPC", Reason: fault.QuotaClassicLink, Index: ByVPC}},
		Blocks: []Block[*resource.ClassicLink]{
			{Of: resource.KindVPC, Reason: fault.VPCHasClassicLinks, Index: ByVPC},
			{Of: resource.KindClassicInstance, Reason: fault.InstanceHasDependents, Index: ByInstance}},
		Refers: func(l *resource.ClassicLink, to func(resource.Kind, string)) {
			to(resource.KindVPC, l.VPC)
			to(resource.KindClassicInstance, l.Instance)
		},
	},
}

// ClassicKey is the ByAddress key of an instance of a region's classic network.
func ClassicKey(region string, a netip.Addr) string { return Key(region, a.String()) }
