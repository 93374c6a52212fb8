package nat_test

import (
	"context"
	"crypto/rand"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
)

// bench is a VPC with a NAT gateway:
//
//	vpc-a 10.0.0.0/16: vsw-1 10.0.1.0/24, vsw-2 10.0.2.0/24, vsw-ha 10.0.3.0/24 with a HaVip
//	203.0.113.11 to .14 on the gateway, .20 bound to i-own at 10.0.1.20, .30 not bound
type bench struct {
	*nattest.World
	s  *nat.Service
	g  nat.NewGateway
	c  identity.Caller
	ip func(last string) netip.Addr
}

func newBench(t *testing.T) *bench {
	t.Helper()
	w := nattest.New(t)
	b := &bench{World: w, s: service(w), c: nattest.Caller(), ip: public}
	w.Put(
		nattest.VPC("vpc-a", "10.0.0.0/16"),
		nattest.VSwitch("vsw-1", "vpc-a", "10.0.1.0/24"),
		nattest.VSwitch("vsw-2", "vpc-a", "10.0.2.0/24"),
		nattest.VSwitch("vsw-ha", "vpc-a", "10.0.3.0/24"),
		nattest.Instance("i-own", "vpc-a", "vsw-1", "10.0.1.20", resource.Host),
		nattest.Instance("i-ecs", "vpc-a", "vsw-1", "10.0.1.21", resource.Host),
		nattest.Instance("i-slb", "vpc-a", "vsw-1", "10.0.1.22", resource.LoadBalancer),
		nattest.HaVip("havip-1", "vpc-a", "vsw-ha", "10.0.3.5"),
		nattest.ElasticIP("eip-own", "203.0.113.20", "vpc-a", resource.BoundToHost, "i-own"),
		nattest.ElasticIP("eip-free", "203.0.113.30", "", "", ""),
	)
	w.Follow()
	g, err := b.s.CreateGateway(context.Background(), b.c, nat.Gateway{Region: nattest.Region, VPC: "vpc-a", Limits: nattest.Small})
	if err != nil {
		t.Fatal(err)
	}
	b.g = g
	for _, last := range []string{"11", "12", "13", "14"} {
		w.Put(nattest.ElasticIP("eip-"+last, "203.0.113."+last, "vpc-a", resource.BoundToNATGateway, g.ID))
	}
	w.Follow()
	return b
}

func service(w *nattest.World) *nat.Service {
	return nat.New(w.DB, w.Settings, func() time.Time { return nattest.Time }, rand.Reader, slog.New(slog.DiscardHandler))
}

func public(last string) netip.Addr { return netip.MustParseAddr("203.0.113." + last) }

// forward returns a good DNAT entry; change makes another one of it.
func (b *bench) forward(change ...func(*nat.ForwardEntry)) nat.ForwardEntry {
	e := nat.ForwardEntry{
		Region: nattest.Region, Table: b.g.ForwardTable,
		ExternalIP: public("11"), ExternalPort: 80, Protocol: resource.TCP,
		InternalIP: netip.MustParseAddr("10.0.1.5"), InternalPort: 8080,
	}
	for _, fn := range change {
		fn(&e)
	}
	return e
}

// snat returns a good SNAT entry; change makes another one of it.
func (b *bench) snat(change ...func(*nat.SNATEntry)) nat.SNATEntry {
	e := nat.SNATEntry{Region: nattest.Region, Table: b.g.SNATTable, VSwitch: "vsw-1", Pool: []netip.Addr{public("13")}}
	for _, fn := range change {
		fn(&e)
	}
	return e
}

func (b *bench) mustForward(t *testing.T, e nat.ForwardEntry) string {
	t.Helper()
	id, err := b.s.CreateForwardEntry(context.Background(), b.c, e)
	if err != nil {
		t.Fatal(err)
	}
	b.Follow()
	return id
}

func (b *bench) mustSNAT(t *testing.T, e nat.SNATEntry) string {
	t.Helper()
	id, err := b.s.CreateSNATEntry(context.Background(), b.c, e)
	if err != nil {
		t.Fatal(err)
	}
	b.Follow()
	return id
}

// refused checks that a call was refused for a reason; an empty one is for a
// call that works.
func refused(t *testing.T, err error, want fault.Reason) {
	t.Helper()
	var f *fault.Error
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && !errors.As(err, &f):
		t.Errorf("%v; want it refused: %s", err, want)
	case want != "" && f.Reason != want:
		t.Errorf("refused: %v; want %s", err, want)
	case want != "" && f.Detail == "":
		t.Errorf("%s without a detail", want)
	}
}
