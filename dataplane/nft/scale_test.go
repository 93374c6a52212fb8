package nft

import (
	"net/netip"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/networktest"
)

// large returns a network with dnat DNAT and snat SNAT entries.
func large(dnat, snat int) *dataplane.Network {
	n := &dataplane.Network{ID: "vpc-large", Prefix: prefix("10.0.0.0/8")}
	base := addr("198.18.0.1").As4()
	for i := range 20 {
		n.Elastic = append(n.Elastic, netip.AddrFrom4([4]byte{base[0], base[1], base[2], base[3] + byte(i)}))
	}
	for i := range dnat {
		n.DNAT = n.DNAT.With(dataplane.DNAT{
			External: n.Elastic[i%10], Protocol: []uint8{6, 17}[i/10%2], ExternalPort: uint16(1 + i/20),
			Internal: netip.AddrFrom4([4]byte{10, 0, byte(i >> 8), byte(i)}), InternalPort: 80,
		})
	}
	for i := range snat {
		n.SNAT = append(n.SNAT, dataplane.SNAT{
			Source: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(1 + i>>8), byte(i), 0}), 24),
			Pool:   n.Elastic[10+i%10:][:1],
		})
	}
	return n
}

func TestTenThousandEntries(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	table := newTable(t, newNamespace(t))
	n := large(10_000, 1_000)
	full := mustCompile(t, n)
	if got := full.Sets[SetDNATPort].Len() + full.Sets[SetSNAT].Len(); got != 11_000 {
		t.Fatalf("compiled to %d entries", got)
	}
	mustApply(t, table, mustRead(t, table), full)

	networktest.EditDNAT(n, 5000, func(d *dataplane.DNAT) { d.Internal = addr("10.255.0.1") })
	one := mustCompile(t, n)
	if changes := mustApply(t, table, full, one); changes != 1 {
		t.Errorf("changing one of 10,000 entries made %d changes", changes)
	}
	n.DNAT = n.DNAT.Without(n.DNAT.Slice()[7000])
	less := mustCompile(t, n)
	if changes := mustApply(t, table, one, less); changes != 1 {
		t.Errorf("deleting one of 10,000 entries made %d changes", changes)
	}
	if changes := mustApply(t, table, less, full); changes != 2 {
		t.Errorf("undoing both made %d changes", changes)
	}
	mustApply(t, table, full, mustCompile(t, &dataplane.Network{ID: "vpc-large"}))
}

// Many pools of many addresses stay cheap: their elements are in a hash map.
func TestManyPools(t *testing.T) {
	table := newTable(t, newNamespace(t))
	n := large(0, 400)
	for i := range n.SNAT {
		first := i % 15
		n.SNAT[i].Pool = n.Elastic[first : first+2+i%4]
	}
	want := mustCompile(t, n)
	mustApply(t, table, nil, want)
	t.Logf("%d entries compile to %d elements", len(n.SNAT), want.Len())
}

func BenchmarkCompile10k(b *testing.B) {
	n := large(10_000, 1_000)
	for b.Loop() {
		mustCompile(b, n)
	}
}

func BenchmarkBuild10k(b *testing.B) {
	table := newTable(b, newNamespace(b))
	want := mustCompile(b, large(10_000, 1_000))
	for b.Loop() {
		// Of an absent table; what is there is replaced in the same batch.
		if _, err := table.Apply(b.Context(), &Ruleset{}, want); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkRead10k(b *testing.B) {
	table := newTable(b, newNamespace(b))
	want := mustCompile(b, large(10_000, 1_000))
	if _, err := table.Apply(b.Context(), nil, want); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := table.Read(b.Context()); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkChangeOneOf10k(b *testing.B) {
	table := newTable(b, newNamespace(b))
	n := large(10_000, 1_000)
	have := mustCompile(b, n)
	networktest.EditDNAT(n, 5000, func(d *dataplane.DNAT) { d.Internal = addr("10.255.0.1") })
	want := mustCompile(b, n)
	if _, err := table.Apply(b.Context(), nil, have); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := table.Apply(b.Context(), have, want); err != nil {
			b.Fatal(err)
		}
		have, want = want, have
	}
}

func BenchmarkChangeOneSourceOf1k(b *testing.B) {
	table := newTable(b, newNamespace(b))
	n := large(10_000, 1_000)
	have := mustCompile(b, n)
	n.SNAT[500].Pool = n.Elastic[:1]
	want := mustCompile(b, n)
	if _, err := table.Apply(b.Context(), nil, have); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		if _, err := table.Apply(b.Context(), have, want); err != nil {
			b.Fatal(err)
		}
		have, want = want, have
	}
}
