package nat_test

import (
	"fmt"
	"net/netip"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// BenchmarkCreateForwardEntry is two writes beside 10,000 entries, without the
// disk, and what is compiled of the first.
func BenchmarkCreateForwardEntry(b *testing.B) {
	w := nattest.New(b)
	quotas := state.DefaultQuotas()
	quotas["forward_entries"] = 1 << 30
	w.Settings.Quotas = quotas
	g := nattest.Gateway("ngw-a", "vpc-a")
	rs := []resource.Resource{nattest.VPC("vpc-a", "10.0.0.0/16"), nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"), g,
		nattest.ElasticIP("eip-1", "203.0.113.11", "vpc-a", resource.BoundToNATGateway, "ngw-a"), nattest.ElasticIP("eip-2", "203.0.113.12", "vpc-a", resource.BoundToNATGateway, "ngw-a")}
	for i := range 10_000 {
		rs = append(rs, nattest.Forward(fmt.Sprintf("fwd-%05d", i), g, resource.TCP, fmt.Sprintf("203.0.113.11:%d", i+1), fmt.Sprintf("10.0.1.%d:%d", 1+i%200, i+1)))
	}
	w.Put(rs...)
	w.Follow()
	s, c, target := service(w), nattest.Caller(), netip.MustParseAddr("10.0.1.250")
	for i := 0; b.Loop(); i++ {
		id, err := s.CreateForwardEntry(ctx, c, nat.ForwardEntry{Region: nattest.Region, Table: g.ForwardTable, Protocol: resource.UDP,
			ExternalIP: public("12"), ExternalPort: uint16(1 + i%60000), InternalIP: target, InternalPort: uint16(1 + i%60000)})
		if err != nil {
			b.Fatal(err)
		}
		if _, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", nil); err != nil {
			b.Fatal(err)
		}
		w.Follow()
		if err := s.DeleteForwardEntry(ctx, c, nattest.Region, g.ForwardTable, id); err != nil {
			b.Fatal(err)
		}
		w.Follow()
	}
}
