package engine

import (
	"encoding/json"
	"math/rand/v2"
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/networktest"
	"sluice/dataplane/nft"
	"sluice/dataplane/portsecurity"
	"sluice/dataplane/sorted"
)

// TestSame changes each value of random networks, and asks whether what is compared
// before something is left as it is would notice: so no field can be forgotten.
func TestSame(t *testing.T) {
	t.Parallel()
	// What the session programs are told, whatever else has changed, what is told by DHCP, and
	// what nothing in the kernel depends on.
	always := []string{"ID", "Revision", "NATGateways[].", "Bounds.", "Refusal", "SourceCheck", "HostShare", "HostLimits[].", "DHCP"}
	r := rand.New(rand.NewPCG(1, 2))
	outside := networktest.Outside{Bridge: "pub0", Device: "trunk", Prefix: netip.MustParsePrefix("203.0.113.0/24"), SSL: true}
	changed := map[string]bool{}
	networks := 40
	if testing.Short() {
		networks = 4
	}
	for range networks {
		n := networktest.Random(r, "vpc-t", outside, true)
		before, err := nft.RulesetOf(n, nil)
		if err != nil {
			t.Fatal(err)
		}
		if other := copied(t, n); !sameTopology(n, other) || !nft.Same(n, other) || !portsecurity.Same(n, other) {
			t.Fatalf("a copy is another: %+v, %+v", n, other)
		}
		paths := 0
		each(reflect.ValueOf(plain(n)).Elem(), "", func(string, reflect.Value) { paths++ })
		for i := range paths {
			other, path := copied(t, n), ""
			at := 0
			open := plain(other)
			each(reflect.ValueOf(open).Elem(), "", func(p string, v reflect.Value) {
				if at++; at-1 == i {
					path = p
					alter(t, p, v)
				}
			})
			other = open.network()
			changed[path] = true
			after, err := nft.RulesetOf(other, nil)
			if err == nil && !after.Equal(before) && nft.Same(n, other) {
				t.Errorf("%s: translates otherwise, and counts as the same translation", path)
			}
			holds, errHolds := portsecurity.Of(other)
			if held, _ := portsecurity.Of(n); errHolds == nil && !holds.Equal(held) && portsecurity.Same(n, other) {
				t.Errorf("%s: holds addresses otherwise, and counts as the same", path)
			}
			// What is compiled from an earlier version is what is compiled from nothing.
			if from, errFrom := nft.RulesetOf(other, before); (err == nil) != (errFrom == nil) || !after.Equal(from) {
				t.Errorf("%s: compiled from the version before:\n%s%v\nfrom nothing:\n%s%v", path, from, errFrom, after, err)
			}
			told := false
			for _, a := range always {
				told = told || strings.HasPrefix(path, a)
			}
			if !told && sameTopology(n, other) && nft.Same(n, other) && portsecurity.Same(n, other) {
				t.Errorf("%s: nothing notices that it has changed", path)
			}
		}
		if t.Failed() {
			return
		}
	}
	if len(changed) < 60 {
		t.Errorf("only %d fields were changed: %v", len(changed), changed)
	}
}

// flat is a network with its sets as slices.
type flat struct {
	dataplane.Network
	Entries []dataplane.DNAT
}

func plain(n *dataplane.Network) *flat {
	f := &flat{*n, n.DNAT.Slice()}
	f.DNAT = sorted.Set[dataplane.DNAT]{}
	return f
}

func (f *flat) network() *dataplane.Network {
	n := f.Network
	n.DNAT = sorted.Of(f.Entries...)
	return &n
}

// copied returns a deep copy.
func copied(t *testing.T, n *dataplane.Network) *dataplane.Network {
	t.Helper()
	text, err := json.Marshal(n)
	if err != nil {
		t.Fatal(err)
	}
	out := &dataplane.Network{}
	if err := json.Unmarshal(text, out); err != nil {
		t.Fatal(err)
	}
	out.DNAT = sorted.Of(n.DNAT.Slice()...)
	for g := range n.VPNGateways {
		for i := range n.VPNGateways[g].Connections { // which are not written
			out.VPNGateways[g].Connections[i].PSK = n.VPNGateways[g].Connections[i].PSK
		}
		for i, s := range n.VPNGateways[g].SSL {
			out.VPNGateways[g].SSL[i].Key, out.VPNGateways[g].SSL[i].TLSCrypt = s.Key, s.TLSCrypt
		}
	}
	return out
}

// each calls f for each value in v that is no struct, slice or pointer, with its path.
func each(v reflect.Value, path string, f func(string, reflect.Value)) {
	switch {
	case v.Type() == reflect.TypeFor[sorted.Set[dataplane.DNAT]]():
	case v.Type() == reflect.TypeFor[netip.Addr](), v.Type() == reflect.TypeFor[netip.Prefix](), v.Type() == reflect.TypeFor[time.Time]():
		f(path, v)
	case v.Kind() == reflect.Pointer:
		if !v.IsNil() {
			each(v.Elem(), path, f)
		}
	case v.Kind() == reflect.Slice:
		for i := range v.Len() {
			each(v.Index(i), path+"[]", f)
		}
	case v.Kind() == reflect.Struct:
		for i := range v.NumField() {
			if field := v.Type().Field(i); field.Anonymous {
				each(v.Field(i), path, f)
			} else {
				each(v.Field(i), strings.TrimPrefix(path+"."+field.Name, "."), f)
			}
		}
	default:
		f(path, v)
	}
}

func alter(t *testing.T, path string, v reflect.Value) {
	t.Helper()
	switch x := v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(x.Add(time.Second)))
		return
	case netip.Addr:
		if !x.IsValid() {
			x = netip.IPv4Unspecified()
		}
		v.Set(reflect.ValueOf(x.Next()))
		return
	case netip.Prefix:
		if !x.IsValid() {
			x = netip.MustParsePrefix("10.0.0.0/8")
		}
		v.Set(reflect.ValueOf(netip.PrefixFrom(x.Addr(), (x.Bits()+1)%33)))
		return
	}
	switch v.Kind() {
	case reflect.Bool:
		v.SetBool(!v.Bool())
	case reflect.String:
		v.SetString(v.String() + "x")
	case reflect.Int, reflect.Int64:
		v.SetInt(v.Int() + 1)
	case reflect.Uint8, reflect.Uint16, reflect.Uint32:
		v.SetUint(v.Uint() + 1)
	default:
		t.Fatalf("%s is a %s, which the test does not change", path, v.Kind())
	}
}
