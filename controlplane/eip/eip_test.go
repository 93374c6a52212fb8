package eip_test

import (
	"context"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/settings"
)

var (
	ctx   = context.Background()
	alice = planetest.Alice
	bob   = planetest.Bob
)

func request(region string) eip.Request {
	return eip.Request{Region: region, Bandwidth: 5, ByTraffic: true}
}

func status(p *planetest.Plane, id string) eip.Status {
	e, ok := p.DB.View().ElasticIPs.Get(id)
	if !ok {
		return -1
	}
	return eip.StatusOf(p.DB.Observed, e)
}

func TestAllocate(t *testing.T) {
	p := planetest.New(t)
	made, err := p.EIP.Allocate(ctx, alice, request(planetest.Region))
	if err != nil {
		t.Fatal(err)
	}
	e, _ := p.DB.View().ElasticIPs.Get(made.ID)
	if e.Address != made.Address || e.Bandwidth != 5 || !e.ByTraffic || e.Prepaid ||
		e.PublicNetwork != "internet" || e.Binding != nil || e.VPC != "" || !e.Expires.IsZero() || made.Order != "" || !e.CreatedAt.Equal(planetest.Now) {
		t.Errorf("%+v, %+v", made, e)
	}
	if s := status(p, made.ID); s != eip.Available {
		t.Errorf("status %v", s)
	}
}

func TestAllocatePrePaid(t *testing.T) {
	p := planetest.New(t)
	in := request(planetest.Region)
	in.Prepaid = true
	for _, c := range []struct {
		years  bool
		period int
		want   fault.Reason
		until  time.Time
	}{
		{false, 0, fault.PeriodMissing, time.Time{}}, {true, 0, fault.PeriodMissing, time.Time{}},
		{false, 10, fault.PeriodInvalid, time.Time{}}, {true, 4, fault.PeriodInvalid, time.Time{}}, {false, -1, fault.PeriodInvalid, time.Time{}},
		{false, 1, "", planetest.Now.AddDate(0, 1, 0)}, {false, 9, "", planetest.Now.AddDate(0, 9, 0)}, {true, 3, "", planetest.Now.AddDate(3, 0, 0)},
	} {
		in.Years, in.Period = c.years, c.period
		made, err := p.EIP.Allocate(ctx, alice, in)
		if c.want != "" {
			planetest.Refused(t, err, c.want)
			continue
		}
		if err != nil {
			t.Fatal(err)
		}
		if len(made.Order) != 15 {
			t.Errorf("order %q", made.Order)
		}
		if e, _ := p.DB.View().ElasticIPs.Get(made.ID); !e.Expires.Equal(c.until) {
			t.Errorf("paid until %v, want %v", e.Expires, c.until)
		}
	}
	// A period of a PostPaid one is not looked at.
	in.Prepaid, in.Period = false, 99
	if _, err := p.EIP.Allocate(ctx, alice, in); err != nil {
		t.Error(err)
	}
}

func TestAllocateRefused(t *testing.T) {
	p := planetest.New(t)
	try := func(in eip.Request) error { _, err := p.EIP.Allocate(ctx, alice, in); return err }
	planetest.Refused(t, try(request("cn-nowhere")), fault.RegionNotFound)
	planetest.Refused(t, try(request(planetest.Unserved)), fault.NoFreeElasticIP)
	for _, mbit := range []int{0, -1, 5001} {
		in := request(planetest.Region)
		in.Bandwidth = mbit
		planetest.Refused(t, try(in), fault.BandwidthInvalid)
	}
	p.Settings.Quotas["elastic_ips"] = 2
	p.NewEIP(alice)
	p.EIPIn(alice, planetest.Elsewhere) // the quota is of a region
	p.NewEIP(alice)
	planetest.Refused(t, try(request(planetest.Region)), fault.QuotaElasticIP)
	p.NewEIP(bob)
}

// An address that is asked for is given if it is free.
func TestAllocateAddress(t *testing.T) {
	p := planetest.New(t)
	in := request(planetest.Region)
	in.Address = netip.MustParseAddr("203.0.113.12")
	made, err := p.EIP.Allocate(ctx, alice, in)
	if err != nil || made.Address != in.Address {
		t.Fatalf("%v, %v", made, err)
	}
	for _, taken := range []string{"203.0.113.12", "203.0.113.9", "203.0.113.1"} { // taken, of no range, the gateway's
		in.Address = netip.MustParseAddr(taken)
		_, err := p.EIP.Allocate(ctx, bob, in)
		planetest.Refused(t, err, fault.NoFreeElasticIP)
	}
}

// TestPool allocates everything there is: every address once, in no order, and
// then an end.
func TestPool(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Quotas["elastic_ips"] = 1000
	p.Settings.Public[0].Pool = append(p.Settings.Public[0].Pool, settings.Range{First: netip.MustParseAddr("203.0.113.1"), Last: netip.MustParseAddr("203.0.113.1")})
	const size = 30 // the gateway's own address is not for allocation
	var got []netip.Addr
	var id string
	for range size {
		e := p.NewEIP(alice)
		if slices.Contains(got, e.Address) {
			t.Fatalf("%s is allocated twice", e.Address)
		}
		got, id = append(got, e.Address), e.ID
	}
	if slices.IsSortedFunc(got, netip.Addr.Compare) {
		t.Error("addresses are allocated in order")
	}
	slices.SortFunc(got, netip.Addr.Compare)
	for _, a := range []string{"203.0.113.10", "203.0.113.29", "203.0.113.40", "203.0.113.49"} {
		if !slices.Contains(got, netip.MustParseAddr(a)) {
			t.Errorf("%s of the pool was not allocated", a)
		}
	}
	_, err := p.EIP.Allocate(ctx, bob, request(planetest.Region))
	planetest.Refused(t, err, fault.NoFreeElasticIP)
	e, _ := p.DB.View().ElasticIPs.Get(id)
	if err := p.EIP.Release(ctx, alice, id); err != nil {
		t.Fatal(err)
	}
	if again := p.NewEIP(bob); again.Address != e.Address {
		t.Errorf("%s is allocated, but only %s is free", again.Address, e.Address)
	}

	p.Settings.Public[0].Pool = nil
	_, err = p.EIP.Allocate(ctx, bob, request(planetest.Region))
	planetest.Refused(t, err, fault.NoFreeElasticIP)
}

func TestAllocateAtOnce(t *testing.T) {
	p := planetest.New(t)
	p.Settings.Quotas["elastic_ips"] = 1000
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			for range 3 {
				if _, err := p.EIP.Allocate(ctx, alice, request(planetest.Region)); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	seen := make(map[netip.Addr]bool)
	for e := range p.DB.View().ElasticIPs.All() {
		seen[e.Address] = true
	}
	if len(seen) != 24 {
		t.Errorf("%d addresses for 24 elastic IPs", len(seen))
	}
}
