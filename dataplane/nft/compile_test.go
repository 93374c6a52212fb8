package nft

import (
	"flag"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/dataplane"
	"sluice/dataplane/networktest"
	"sluice/dataplane/sorted"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *updateGolden {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with go test -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

func TestCompileGolden(t *testing.T) {
	elastic := addrs("203.0.113.10", "203.0.113.11", "203.0.113.12")
	for name, n := range map[string]*dataplane.Network{
		"empty":  {ID: "vpc-empty"},
		"sample": sample(),
		"dnat": {ID: "vpc-dnat", Elastic: elastic, DNAT: sorted.Of(
			dataplane.DNAT{External: elastic[0], Protocol: 6, ExternalPort: 1, Internal: addr("10.0.0.1"), InternalPort: 65535},
			dataplane.DNAT{External: elastic[0], Protocol: 17, ExternalPort: 1, Internal: addr("10.0.0.1"), InternalPort: 1},
			dataplane.DNAT{External: elastic[0], Protocol: 6, ExternalPort: 65535, Internal: addr("10.0.0.2"), InternalPort: 1},
			dataplane.DNAT{External: elastic[1], Internal: addr("10.0.0.3")},
		)},
		"snat": {ID: "vpc-snat", Elastic: elastic, SNAT: []dataplane.SNAT{
			{Source: prefix("10.0.0.0/24"), Pool: elastic[:1]},
			{Source: prefix("10.0.1.0/24"), Pool: elastic[1:2]},
			{Source: prefix("10.0.2.7/32"), Pool: elastic},
			{Source: prefix("10.0.4.0/22"), Pool: elastic}, // the same pool
			{Source: prefix("10.0.8.0/21"), Pool: elastic[:2]},
		}},
		"mappings": {ID: "vpc-eip", Elastic: elastic, Mappings: []dataplane.Mapping{
			{External: elastic[0], Internal: addr("10.0.0.9")},
			{External: elastic[1], Internal: addr("10.0.0.8")},
		}},
	} {
		t.Run(name, func(t *testing.T) { golden(t, name, mustCompile(t, n).String()) })
	}
}

func TestSkeletonGolden(t *testing.T) { golden(t, "skeleton", skeletonText()) }

func TestStringOfOtherStates(t *testing.T) {
	for want, r := range map[string]*Ruleset{
		"table ip sluice: absent\n":                          {},
		"table ip sluice: damaged: chain input is missing\n": {Damage: "chain input is missing"},
	} {
		if got := r.String(); got != want {
			t.Errorf("%+v: %q, not %q", r, got, want)
		}
	}
}

func TestCompileIgnoresOrder(t *testing.T) {
	want := mustCompile(t, large(500, 50))
	rng := rand.New(rand.NewPCG(3, 4))
	for range 5 {
		n := large(500, 50)
		n.Elastic = slices.Clone(n.Elastic) // pools are parts of it
		shuffle(rng, n.Elastic)
		entries := n.DNAT.Slice()
		shuffle(rng, entries)
		n.DNAT = sorted.Set[dataplane.DNAT]{}.With(entries...)
		shuffle(rng, n.SNAT)
		if !mustCompile(t, n).Equal(want) {
			t.Fatal("another order compiles to another ruleset")
		}
	}
}

func shuffle[T any](rng *rand.Rand, s []T) {
	rng.Shuffle(len(s), func(i, j int) { s[i], s[j] = s[j], s[i] })
}

func TestCompileRefuses(t *testing.T) {
	for _, test := range []struct {
		name, message string
		edit          func(n *dataplane.Network)
	}{
		{"IPv6 elastic IP", "elastic IP: 2001:db8::1 is not an IPv4 address", func(n *dataplane.Network) { n.Elastic[0] = addr("2001:db8::1") }},
		{"no address", "invalid IP is not an IPv4 address", func(n *dataplane.Network) {
			networktest.EditDNAT(n, 0, func(d *dataplane.DNAT) { d.Internal = netip.Addr{} })
		}},
		{"elastic IP twice", "two entries for 203.0.113.10 in elastic", func(n *dataplane.Network) { n.Elastic = append(n.Elastic, n.Elastic[0]) }},
		{"Any on a mapped address", "two entries for 203.0.113.12 in dnat_addr", func(n *dataplane.Network) {
			networktest.EditDNAT(n, 2, func(d *dataplane.DNAT) { d.External = n.Mappings[0].External })
		}},
		{"host mapped twice", "two entries for 10.0.1.20 in eip_hosts", func(n *dataplane.Network) {
			n.Mappings = append(n.Mappings, dataplane.Mapping{External: addr("203.0.113.14"), Internal: addr("10.0.1.20")})
		}},
		{"protocol", "protocol must be 6 (TCP), 17 (UDP) or 0 (Any)", func(n *dataplane.Network) { networktest.EditDNAT(n, 0, func(d *dataplane.DNAT) { d.Protocol = 1 }) }},
		{"external port 0", "ports must be 1 to 65535", func(n *dataplane.Network) { networktest.EditDNAT(n, 0, func(d *dataplane.DNAT) { d.ExternalPort = 0 }) }},
		{"internal port 0", "ports must be 1 to 65535", func(n *dataplane.Network) { networktest.EditDNAT(n, 0, func(d *dataplane.DNAT) { d.InternalPort = 0 }) }},
		{"Any with a port", "its ports must be 0", func(n *dataplane.Network) {
			networktest.EditDNAT(n, 2, func(d *dataplane.DNAT) { d.InternalPort = 80 })
		}},
		{"empty pool", "one address or more", func(n *dataplane.Network) { n.SNAT[0].Pool = nil }},
		{"no source", "must be an IPv4 prefix", func(n *dataplane.Network) { n.SNAT[0].Source = netip.Prefix{} }},
		{"IPv6 source", "must be an IPv4 prefix", func(n *dataplane.Network) { n.SNAT[0].Source = prefix("2001:db8::/64") }},
		{"sources overlap", "SNAT sources 10.0.0.0/22 and 10.0.1.0/24 overlap", func(n *dataplane.Network) { n.SNAT[1].Source = prefix("10.0.0.0/22") }},
		{"sources repeat", "overlap", func(n *dataplane.Network) { n.SNAT[1].Source = prefix("10.0.1.5/24") }},
		{"pool of foreign address", "203.0.113.99 must be one of the network's elastic IPs", func(n *dataplane.Network) { n.SNAT[0].Pool = addrs("203.0.113.99") }},
		{"mapping of foreign address", "203.0.113.99 must be one of the network's elastic IPs", func(n *dataplane.Network) { n.Mappings[0].External = addr("203.0.113.99") }},
	} {
		t.Run(test.name, func(t *testing.T) {
			n := sample()
			test.edit(n)
			r, err := RulesetOf(n, nil)
			if err == nil {
				t.Fatalf("compiled to\n%s", r)
			}
			if !strings.Contains(err.Error(), test.message) || !strings.Contains(err.Error(), n.ID) {
				t.Errorf("error %q does not say %q of %s", err, test.message, n.ID)
			}
		})
	}
}

// FuzzCompile builds networks from arbitrary bytes. Whatever they hold,
// RulesetOf does not panic, gives the same answer twice, and its answer is
// sorted, unique, and comes back from the kernel's form unchanged.
func FuzzCompile(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte("\x00\xcb\x00\x71\x0a\x00\xcb\x00\x71\x0b\x01\x0a\x00\x00\x01\x00\x02\x00\x06\x00\x50\x0a\x00\x00\x02\x1f\x90\x03\x0a\x00\x01\x00\x18\x02\x00\x01"))
	f.Add([]byte("\x00\x01\x02\x03\x04\x03\x00\x00\x00\x00\x00\x01\x00\x03\xff\xff\xff\xff\x20\x01\x00"))
	f.Add([]byte("\x00\x01\x02\x03\x04\x02\x00\x00\x00\x00\x01\x02\x03\x04\x00\x00\x03\x80\x00\x00\x00\x01\x01\x00"))
	f.Fuzz(func(t *testing.T, data []byte) {
		n := networkFrom(data)
		r, err := RulesetOf(n, nil)
		again, err2 := RulesetOf(networkFrom(data), nil)
		if (err == nil) != (err2 == nil) || !r.Equal(again) {
			t.Fatal("compiled twice to different rulesets")
		}
		if err != nil {
			return
		}
		for id := range setCount {
			elements := r.Sets[id].Slice()
			for i := 1; i < len(elements); i++ {
				if elements[i-1].Compare(elements[i]) >= 0 {
					t.Fatalf("set %s is not sorted or not unique", id)
				}
			}
			back, err := fromKernel(id, kernelElements(id, elements))
			if err != nil || !slices.Equal(back, elements) {
				t.Fatalf("set %s does not come back from the kernel's form: %v", id, err)
			}
		}
		if got, want := r.Sets[SetSNAT].Len()+r.Sets[SetSNATPool].Len(), len(n.SNAT); got != want {
			t.Fatalf("%d SNAT entries compiled to %d", want, got)
		}
		if len(r.String()) == 0 {
			t.Fatal("no text")
		}
	})
}

// networkFrom decodes bytes as a list of entries: a kind, then its fields.
func networkFrom(data []byte) *dataplane.Network {
	n := &dataplane.Network{ID: "vpc-fuzz"}
	next := func(size int) []byte {
		b := make([]byte, size)
		copy(b, data)
		data = data[min(size, len(data)):]
		return b
	}
	address := func() netip.Addr { return addrAt(next(4)) }
	port := func() uint16 { b := next(2); return uint16(b[0])<<8 | uint16(b[1]) }
	known := func() netip.Addr {
		if i := int(next(1)[0]); len(n.Elastic) > 0 {
			return n.Elastic[i%len(n.Elastic)]
		}
		return netip.Addr{}
	}
	for len(data) > 0 {
		switch next(1)[0] % 4 {
		case 0:
			n.Elastic = append(n.Elastic, address())
		case 1:
			n.Mappings = append(n.Mappings, dataplane.Mapping{External: known(), Internal: address()})
		case 2:
			n.DNAT = n.DNAT.With(dataplane.DNAT{External: known(), Protocol: next(1)[0], ExternalPort: port(), Internal: address(), InternalPort: port()})
		case 3:
			s := dataplane.SNAT{Source: netip.PrefixFrom(address(), int(next(1)[0]))}
			for range next(1)[0] % 8 {
				s.Pool = append(s.Pool, known())
			}
			n.SNAT = append(n.SNAT, s)
		}
	}
	return n
}

// TestCompileFromPrior compiles versions of random networks, each from the one before,
// and each from nothing.
func TestCompileFromPrior(t *testing.T) {
	rng := rand.New(rand.NewPCG(5, 6))
	outside := networktest.Outside{Bridge: "pub0", Device: "trunk", Prefix: prefix("203.0.113.0/24"), SSL: true}
	var prior *Ruleset
	last, refused := &dataplane.Network{}, 0
	for range 300 {
		n := networktest.Random(rng, "vpc-t", outside, true)
		// A part of the version before stays.
		if rng.IntN(2) == 0 {
			n.DNAT, n.Mappings, n.Elastic = last.DNAT, last.Mappings, last.Elastic
		}
		for range rng.IntN(3) {
			if n.DNAT.Len() > 0 {
				n.DNAT = n.DNAT.Without(n.DNAT.Slice()[rng.IntN(n.DNAT.Len())])
			}
		}
		if rng.IntN(4) == 0 {
			n.SNAT = last.SNAT
		}
		want, err := RulesetOf(n, nil)
		got, errFrom := RulesetOf(n, prior)
		if (err == nil) != (errFrom == nil) || !got.Equal(want) {
			t.Fatalf("from the version before:\n%s%v\nfrom nothing:\n%s%v", got, errFrom, want, err)
		}
		if err != nil {
			refused++
			continue
		}
		if prior != nil && Same(last, n) && !prior.Equal(got) {
			t.Fatalf("%s and %s are of networks that translate alike", prior, got)
		}
		prior, last = got, n
	}
	if refused > 200 {
		t.Errorf("%d of 300 networks were refused", refused)
	}
}
