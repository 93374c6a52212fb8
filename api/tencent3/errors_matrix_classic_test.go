package tencent3

import (
	"fmt"
	"net/netip"

	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
)

// classicNetworks are those of a configuration that has one: <linked> is linked to the VPC, and
// <classic> to none.
func classicNetworks() []settings.ClassicNetwork {
	return []settings.ClassicNetwork{{
		Region: planetest.Region, Device: "eth3", Prefix: netip.MustParsePrefix("10.200.0.0/24"),
		Pool: []settings.Range{{First: netip.MustParseAddr("10.200.0.250"), Last: netip.MustParseAddr("10.200.0.251")}},
	}}
}

// addClassic puts an instance on the classic network into the inventory.
func (w *world) addClassic(c identity.Caller, id, address string) string {
	w.t.Helper()
	i := &resource.ClassicInstance{Meta: resource.Meta{ID: id, Account: c.Account, Region: planetest.Region}, Address: netip.MustParseAddr(address)}
	if err := w.Put(i); err != nil {
		w.t.Fatal(err)
	}
	return id
}

func (w *world) attachClassic(vpc string, instances ...string) {
	w.t.Helper()
	if err := w.Classic.Attach(ctx, planetest.Alice, planetest.Region, vpc, instances); err != nil {
		w.t.Fatal(err)
	}
}

func init() {
	moreScene = append(moreScene, func(s *scene) {
		s.Settings.Classic = classicNetworks()
		s.named["<classic>"] = s.addClassic(planetest.Alice, "ins-classic", "10.200.0.5")
		s.named["<linked>"] = s.addClassic(planetest.Alice, "ins-linked", "10.200.0.6")
		s.named["<their classic>"] = s.addClassic(planetest.Bob, "ins-theirs", "10.200.0.7")
		s.attachClassic(s.vpc, s.named["<linked>"])
		s.Settings.Classic = nil // as other actions have it
	})
	moreGood = append(moreGood, func(s *scene, action string) map[string]string {
		switch action {
		case "AttachClassicLinkVpc":
			if s.named["<no classic>"] == "" {
				s.Settings.Classic = classicNetworks()
			}
			return map[string]string{"VpcId": s.vpc, "InstanceIds.0": s.named["<classic>"]}
		case "DetachClassicLinkVpc":
			return map[string]string{"VpcId": s.vpc, "InstanceIds.0": s.named["<linked>"]}
		case "DescribeClassicLinkInstances":
			return map[string]string{"Filters.0.Name": "vpc-id", "Filters.0.Values.0": s.vpc}
		}
		return nil
	})
	moreTheirs["InstanceIds.0"] = func(s *scene) string { return s.named["<their classic>"] }

	for _, action := range []string{"AttachClassicLinkVpc", "DetachClassicLinkVpc"} {
		matrix = append(matrix, []provoked{
			{action, "InvalidParameterValue.Malformed", nil, []string{"InstanceIds.0", "-"}},
			{action, "InvalidParameterValue.Malformed", nil, []string{"VpcId", "vpc"}},
			{action, "ResourceNotFound", nil, []string{"InstanceIds.1", "ins-none"}},
			{action, "ResourceNotFound", nil, []string{"InstanceIds.1", "Web_1.rack-2"}}, // as operators may name them
			{action, "ResourceNotFound", nil, []string{"VpcId", "vpc-none"}},
			{action, "ResourceNotFound", nil, []string{"Region", planetest.Elsewhere}},
			{action, "MissingParameter", nil, []string{"InstanceIds.0", ""}},
			{action, "ResourceUnavailable", func(s *scene) {
				s.Dataplane(planetest.Stalls)
				if err := s.Network.AssociateCIDR(ctx, planetest.Alice, planetest.Region, s.vpc, netip.MustParsePrefix("192.168.64.0/24")); err != nil {
					s.t.Fatal(err)
				}
			}, nil},
		}...)
	}
	matrix = append(matrix, []provoked{
		{"AttachClassicLinkVpc", "LimitExceeded", quota("classic_links_per_vpc"), nil},
		{"AttachClassicLinkVpc", "LimitExceeded", func(s *scene) {
			s.Settings.Classic = classicNetworks()
			for i := range 2 {
				vpc := s.VPC(planetest.Bob, "172.16.0.0/16").VPC
				id := s.addClassic(planetest.Bob, fmt.Sprintf("ins-%d", i), fmt.Sprintf("10.200.0.%d", 20+i))
				if err := s.Classic.Attach(ctx, planetest.Bob, planetest.Region, vpc, []string{id}); err != nil && i == 0 {
					s.t.Fatal(err)
				}
			}
			s.named["<no address>"] = s.VPC(planetest.Alice, "172.16.0.0/16").VPC
		}, []string{"VpcId", "<no address>"}},
		{"AttachClassicLinkVpc", "UnsupportedOperation", func(s *scene) { s.named["<no classic>"] = "yes" }, nil},
		{"AttachClassicLinkVpc", "UnsupportedOperation", nil, []string{"InstanceIds.0", "<host>"}},
		{"AttachClassicLinkVpc", "UnsupportedOperation.CIDRUnsupportedClassicLink", func(s *scene) { s.named["<overlaps>"] = s.VPC(planetest.Alice, "10.200.0.0/16").VPC }, []string{"VpcId", "<overlaps>"}},
		{"AttachClassicLinkVpc", "UnsupportedOperation.ClassicInstanceIdAlreadyExists", nil, []string{"InstanceIds.0", "<linked>"}},
		{"DetachClassicLinkVpc", "ResourceNotFound", nil, []string{"InstanceIds.0", "<classic>"}},
		{"DetachClassicLinkVpc", "ResourceNotFound", nil, []string{"InstanceIds.0", "<host>"}},
		{"DescribeClassicLinkInstances", "InvalidParameterValue.Range", nil, []string{"Limit", "101"}},
		{"DescribeClassicLinkInstances", "InvalidParameterValue.Range", nil, []string{"Offset", "-1"}},
		{"DescribeClassicLinkInstances", "InvalidParameter", nil, []string{"Filters.0.Name", "vm-ip", "Filters.0.Values.0", "10.9.0.3.0"}},
		{"DeleteVpc", "ResourceInUse", func(s *scene) {
			s.Settings.Classic = classicNetworks()
			s.named["<with link>"] = s.VPC(planetest.Alice, "172.18.0.0/16").VPC
			s.attachClassic(s.named["<with link>"], s.named["<classic>"])
		}, []string{"VpcId", "<with link>"}},
	}...)
}
