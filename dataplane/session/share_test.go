package session

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"sluice/bpf"
	"sluice/dataplane"
)

// shareOf makes an exception of a host, or of a block of hosts.
func (f *fixture) shareOf(host [4]byte, bits uint32, l hostLimits) {
	f.put("shares", &hostKey{PrefixLength: bits, Addr: word4(host[0], host[1], host[2], host[3])}, &l)
}

// Whatever hosts open and end, in any order, none has more open than its share, all
// together not more than their gateway allows, and nothing less than that is refused.
func TestHostShares(t *testing.T) {
	const most, each, own, of = 30, 8, 12, 5
	f := limited(t, func(s *configured) { s.Connections, s.HostConnections = most, each })
	f.shareOf([4]byte{10, 0, 1, 20}, 32, hostLimits{Connections: own})
	f.shareOf([4]byte{10, 0, 1, 21}, 32, hostLimits{}) // all that there is
	f.shareOf([4]byte{10, 0, 1, 32}, 28, hostLimits{Connections: of})
	share := map[string]int{"10.0.1.20": own, "10.0.1.21": most, "10.0.1.33": of, "10.0.1.34": of, "10.0.1.50": each, "10.0.1.51": each, "10.0.1.52": each}
	hosts := []string{"10.0.1.20", "10.0.1.21", "10.0.1.33", "10.0.1.34", "10.0.1.50", "10.0.1.51", "10.0.1.52"}
	type connection struct {
		host string
		port int
	}
	var open []connection
	has, refused, port := map[string]int{}, map[string]uint64{}, 1024
	r := rand.New(rand.NewPCG(uint64(time.Now().UnixNano()), 1))
	for step := range 4000 {
		// More are opened than ended, until all is taken; then the other way round.
		if end := r.IntN(100) < 35+30*((step/500)%2); end && len(open) > 0 {
			i := r.IntN(len(open))
			f.end(t, open[i].host, open[i].port)
			has[open[i].host]--
			open = append(open[:i], open[i+1:]...)
			continue
		}
		c := connection{hosts[r.IntN(len(hosts))], port}
		port++
		verdict := int32(tcNext)
		switch {
		case has[c.host] >= share[c.host]:
			verdict = tcShot
			refused[c.host]++
		case len(open) >= most:
			verdict = tcShot
		}
		if got := f.run(t, switchIngress, opening(c.host, c.port).frame(), skb{}).Verdict; got != verdict {
			t.Fatalf("step %d: verdict %d for %s, which has %d of %d open, of %d of %d; want %d", step, got, c.host, has[c.host], share[c.host], len(open), most, verdict)
		}
		if verdict == tcNext {
			open = append(open, c)
			has[c.host]++
		}
	}
	s, err := f.readSlots()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range s.addresses {
		if host := address(a.Addr).String(); a.Addr != 0 && (a.Snat != uint64(has[host]) || a.Refused != refused[host]) {
			t.Errorf("%s: %d open by SNAT, %d refused; want %d, %d", host, a.Snat, a.Refused, has[host], refused[host])
		}
	}
}

// What a host opens too fast takes nothing of its gateway's rate.
func TestHostShareOfRate(t *testing.T) {
	const each, all = 5, 12
	hour := uint64(time.Hour)
	f := limited(t, func(s *configured) {
		s.Interval, s.Burst, s.HostInterval, s.HostBurst = hour, (all-1)*hour, hour, (each-1)*hour
	})
	f.shareOf([4]byte{10, 0, 1, 21}, 32, hostLimits{Interval: hour, Burst: hour})
	want := func(host string, n int, why bpf.GatewayStat) {
		t.Helper()
		for i := range n {
			if got := f.run(t, switchIngress, opening(host, 1024+i).frame(), skb{}).Verdict; got != tcNext {
				t.Fatalf("connection %d of %s: verdict %d", i, host, got)
			}
		}
		for i := range 50 {
			f.want(t, opening(host, 5000+i), tcShot, why)
		}
	}
	want("10.0.1.20", each, bpf.GatewayStatSTAT_REFUSED_SHARE_RATE)
	want("10.0.1.21", 2, bpf.GatewayStatSTAT_REFUSED_SHARE_RATE)
	want("10.0.1.22", each, bpf.GatewayStatSTAT_REFUSED_SHARE_RATE)
	want("10.0.1.23", all-2*each-2, bpf.GatewayStatSTAT_REFUSED_RATE)
}

// Hosts that have no slot of their own have one share together.
func TestHostShareWithoutSlot(t *testing.T) {
	f := limited(t, func(s *configured) { s.Slots, s.Connections, s.HostConnections = 1, 100, 3 })
	for i := range 3 {
		f.want(t, opening("10.0.1.20", 1024+i), tcNext)
	}
	f.want(t, opening("10.0.1.20", 1030), tcShot, bpf.GatewayStatSTAT_REFUSED_SHARE)
	for i := range 3 {
		f.want(t, opening(fmt.Sprintf("10.0.1.%d", 30+i), 1024), tcNext)
	}
	f.want(t, opening("10.0.1.40", 1024), tcShot, bpf.GatewayStatSTAT_REFUSED_SHARE)
	f.end(t, "10.0.1.31", 1024)
	f.want(t, opening("10.0.1.41", 1024), tcNext)
}

// What each host may have is so many percent of its gateway's limits, as they are.
func TestLimitsOf(t *testing.T) {
	small := dataplane.Limits{Connections: 10_000, NewPerSecond: 1000}
	for _, c := range []struct {
		of      dataplane.Limits
		percent int
		most    uint32
		rate    uint64
	}{
		{small, 0, 0, 0}, {small, 100, 0, 0}, {small, 50, 5000, 500}, {small, 1, 100, 10},
		{dataplane.Limits{Connections: 30, NewPerSecond: 30}, 1, 1, 1}, {dataplane.Limits{}, 50, 0, 0},
	} {
		l := limitsOf(c.of, c.percent)
		var rate uint64
		if l.HostInterval > 0 {
			rate = uint64(time.Second) / l.HostInterval
		}
		if l.HostConnections != c.most || rate != c.rate || l.Connections != uint32(c.of.Connections) {
			t.Errorf("%d percent of %+v: %+v", c.percent, c.of, l)
		}
	}
}
