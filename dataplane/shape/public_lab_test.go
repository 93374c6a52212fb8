package shape_test

import (
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/shape"
)

// outside is a public network: a bridge with a host on it, and networks behind ports,
// which here are one host each with all its elastic IPs.
type outside struct {
	public   *netns.Namespace
	dir      string
	networks map[string]*netns.Namespace
	shaper   *shape.Shaper
}

const server = "203.0.113.1"

func newOutside(t *testing.T, networks ...string) *outside {
	t.Helper()
	o := &outside{public: nstest.New(t), dir: t.TempDir(), networks: map[string]*netns.Namespace{}}
	nstest.Command(t, o.public, "ip", "link", "add", "pub0", "type", "bridge")
	nstest.Address(t, o.public, "pub0", server+"/24")
	for _, id := range networks {
		o.networks[id] = nstest.New(t)
		nstest.Veth(t, o.public, id, o.networks[id], "public")
		nstest.Command(t, o.public, "ip", "link", "set", id, "master", "pub0")
		nstest.Up(t, o.public, id)
		nstest.Up(t, o.networks[id], "public")
	}
	for _, ns := range o.networks {
		carriers(t, ns)
	}
	carriers(t, o.public)
	o.start(t)
	t.Cleanup(func() { o.shaper.Close() })
	return o
}

// start begins anew with what a process has left.
func (o *outside) start(t *testing.T) {
	t.Helper()
	if o.shaper != nil {
		o.shaper.Close()
	}
	var err error
	if o.shaper, err = shape.New(o.dir, o.public); err != nil {
		t.Fatal(err)
	}
}

func site(id string) *shape.Site { return &shape.Site{Device: "pub0", Link: id, Outside: true} }

func (o *outside) address(t *testing.T, id string, addresses ...netip.Addr) {
	t.Helper()
	for _, a := range addresses {
		nstest.Address(t, o.networks[id], "public", a.String()+"/24")
	}
}

// apply applies, and fails unless nothing is left to do then.
func (o *outside) apply(t *testing.T, id string, want ...dataplane.Bandwidth) shape.Result {
	t.Helper()
	r, err := o.shaper.Apply(id, site(id), want, false)
	if err != nil {
		t.Fatal(err)
	}
	if left := o.shaper.Differs(id, 0); len(left) > 0 {
		t.Fatalf("after Apply there is still to do: %q", left)
	}
	if again, err := o.shaper.Apply(id, site(id), want, true); err != nil || again.Changes > 0 || len(again.Repairs) > 0 {
		t.Fatalf("a second Apply: %+v, %v", again, err)
	}
	return r
}

func elastic(last ...byte) (all []netip.Addr) {
	for _, n := range last {
		all = append(all, netip.AddrFrom4([4]byte{203, 0, 113, n}))
	}
	return all
}

// What is applied is what is read back; the next process changes nothing, and the last
// network leaves nothing behind.
func TestBandwidthsAreHeld(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "vpc-a", "vpc-b")
	whole := dataplane.Bandwidth{ID: "cbwp-1", Elastic: elastic(10, 11), Outbound: 50, Inbound: 50}
	part := dataplane.Bandwidth{ID: "eip-12", Within: "cbwp-1", Elastic: elastic(12), Outbound: 5}
	alone := dataplane.Bandwidth{ID: "eip-13", Elastic: elastic(13), Outbound: 5, Inbound: 10}
	other := whole
	other.Elastic = elastic(20)
	o.apply(t, "vpc-a", whole, part, alone)
	o.apply(t, "vpc-b", other)
	whole.Outbound, other.Outbound = 20, 20
	if r := o.apply(t, "vpc-a", whole, part, alone); r.Changes == 0 {
		t.Error("another rate changes nothing")
	}
	o.start(t)
	for id, want := range map[string][]dataplane.Bandwidth{"vpc-a": {whole, part, alone}, "vpc-b": {other}} {
		if r := o.apply(t, id, want...); r.Changes != 0 {
			t.Errorf("the next process makes %d changes of %s", r.Changes, id)
		}
	}
	for _, id := range []string{"vpc-a", "vpc-b"} {
		if err := o.shaper.Withdraw(id); err != nil {
			t.Fatal(err)
		}
	}
	for _, text := range []string{nstest.Command(t, o.public, "ip", "-br", "link"), nstest.Command(t, o.public, "tc", "qdisc")} {
		if strings.Contains(text, "bw-") || strings.Contains(text, "clsact") {
			t.Errorf("left behind:\n%s", text)
		}
	}
}

// Whatever networks want one after the other, in whole packages, parts and alone, is what
// the kernel holds then, and what it would hold had it been asked for at first.
func TestRandomBandwidths(t *testing.T) {
	t.Parallel()
	seed := uint64(20261129)
	random := rand.New(rand.NewPCG(seed, 0))
	ids := []string{"vpc-a", "vpc-b", "vpc-c"}
	o := newOutside(t, ids...)
	rate := func() int { return []int{0, 1, 5, 10, 200, 1000}[random.IntN(6)] }
	// A network's bandwidths: those of its own, and of packages that others have, too.
	packages := map[string]*dataplane.Bandwidth{}
	for i := range 3 {
		packages[fmt.Sprintf("pack-%d", i)] = &dataplane.Bandwidth{ID: fmt.Sprintf("pack-%d", i), Outbound: 50, Inbound: 50}
	}
	wants := func(n int) (all []dataplane.Bandwidth) {
		free := random.Perm(12)
		take := func(count int) (out []netip.Addr) {
			count = min(count, len(free))
			for _, i := range free[:count] {
				out = append(out, elastic(byte(10+20*n+i))...)
			}
			free = free[count:]
			slices.SortFunc(out, netip.Addr.Compare)
			return out
		}
		for i := range random.IntN(4) {
			all = append(all, dataplane.Bandwidth{ID: fmt.Sprintf("eip-%d-%d", n, i), Elastic: take(1), Outbound: rate(), Inbound: rate()})
		}
		for id, p := range packages {
			if random.IntN(2) == 0 {
				continue
			}
			whole := *p
			whole.Elastic = take(random.IntN(4))
			all = append(all, whole)
			for i := range random.IntN(3) {
				all = append(all, dataplane.Bandwidth{ID: fmt.Sprintf("part-%d-%d", n, i) + id, Within: id, Elastic: take(1), Outbound: rate(), Inbound: rate()})
			}
		}
		slices.SortFunc(all, func(a, b dataplane.Bandwidth) int { return strings.Compare(a.ID, b.ID) })
		return all
	}
	now := map[string][]dataplane.Bandwidth{}
	steps := 100
	if testing.Short() {
		steps = 40
	}
	for step := range steps {
		n := random.IntN(len(ids))
		id := ids[n]
		switch random.IntN(6) {
		case 0: // one thing alone is another
			if len(now[id]) > 0 {
				now[id] = slices.Clone(now[id])
				b := &now[id][random.IntN(len(now[id]))]
				b.Outbound, b.Inbound = rate(), rate()
			}
		case 1:
			p := packages[fmt.Sprintf("pack-%d", random.IntN(3))]
			p.Outbound, p.Inbound = rate(), rate()
			now[id] = wants(n)
		case 2:
			o.start(t)
		default:
			now[id] = wants(n)
		}
		if _, err := o.shaper.Apply(id, site(id), now[id], false); err != nil {
			t.Fatalf("step %d: %v", step, err)
		}
		if len(now[id]) == 0 {
			continue
		}
		if left := o.shaper.Differs(id, 0); len(left) > 0 {
			t.Fatalf("step %d: after Apply of %+v there is still to do: %q", step, now[id], left)
		}
		if again, err := o.shaper.Apply(id, site(id), now[id], true); err != nil || again.Changes > 0 || len(again.Repairs) > 0 {
			t.Fatalf("step %d: a second Apply of %+v: %+v, %v", step, now[id], again, err)
		}
	}
	for _, id := range ids {
		if err := o.shaper.Withdraw(id); err != nil {
			t.Fatal(err)
		}
	}
	if left := nstest.Command(t, o.public, "ip", "-br", "link"); strings.Contains(left, "bw-") {
		t.Errorf("left behind:\n%s", left)
	}
}

// What was counted of a package stays with it when addresses with packets that were dropped
// leave it, while it gets another bandwidth, and when they come back; nothing is to be put
// right then.
func TestCountsStay(t *testing.T) {
	t.Parallel()
	o := newOutside(t, "vpc-a")
	o.address(t, "vpc-a", elastic(10, 11)...)
	whole := dataplane.Bandwidth{ID: "cbwp-1", Outbound: 1, Inbound: 1}
	part := func(n byte) dataplane.Bandwidth {
		return dataplane.Bandwidth{ID: fmt.Sprintf("eip-%d", n), Within: "cbwp-1", Elastic: elastic(n), Outbound: 1, Inbound: 1}
	}
	alone := func(n byte) dataplane.Bandwidth {
		b := part(n)
		b.Within = ""
		return b
	}
	o.apply(t, "vpc-a", whole, part(10), part(11))
	counted := func(id string) dataplane.BandwidthCount {
		t.Helper()
		all, err := o.shaper.Traffic()
		if err != nil {
			t.Fatal(err)
		}
		for _, b := range all {
			if b.ID == id {
				return b.Outbound
			}
		}
		t.Fatalf("%s is not among %+v", id, all)
		return dataplane.BandwidthCount{}
	}
	flood := func(n byte) {
		t.Helper()
		before := counted("cbwp-1").Dropped
		var c net.Conn
		err := o.networks["vpc-a"].Do(func() (err error) {
			d := net.Dialer{LocalAddr: &net.UDPAddr{IP: elastic(n)[0].AsSlice()}}
			c, err = d.Dial("udp4", server+":9")
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		nstest.Eventually(t, func() error {
			for range 50 {
				_, _ = c.Write(make([]byte, 1000)) // refusals are of the one before
			}
			if counted("cbwp-1").Dropped == before {
				return fmt.Errorf("nothing was dropped")
			}
			return nil
		})
	}
	for step, want := range [][]dataplane.Bandwidth{
		{whole, alone(10), part(11)}, {whole, part(10), part(11)}, {whole, part(10)}, {whole, part(10), alone(11)}, {whole, part(10), part(11)},
	} {
		flood([]byte{10, 11, 10, 10, 10}[step]) // which is in the package then
		before := counted("cbwp-1")
		want[0].Outbound += step + 1
		o.apply(t, "vpc-a", want...)
		if after := counted("cbwp-1"); after.Dropped < before.Dropped || after.Bytes < before.Bytes || after.Packets < before.Packets || after.Limit != want[0].Outbound {
			t.Errorf("step %d: counted were %+v, and are %+v", step, before, after)
		}
	}
}

// In a package no address takes another's share by more connections, nor has a package
// anything of another; together they have no more than the limit.
func TestAddressesShare(t *testing.T) {
	t.Parallel()
	const mbit, took = 20, 2 * time.Second
	o := newOutside(t, "vpc-a")
	o.address(t, "vpc-a", elastic(10, 11, 12)...)
	o.apply(t, "vpc-a",
		dataplane.Bandwidth{ID: "pack-1", Elastic: elastic(10, 11), Outbound: mbit, Inbound: mbit},
		dataplane.Bandwidth{ID: "pack-2", Elastic: elastic(12), Outbound: mbit, Inbound: mbit})
	var mu sync.Mutex
	got := map[string]int{}
	var l net.Listener
	err := o.public.Do(func() (err error) { l, err = net.Listen("tcp4", server+":0"); return err })
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	start := make(chan struct{}) // when all are connected: a full queue loses SYNs, too
	var began time.Time
	var all sync.WaitGroup
	all.Go(func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			all.Go(func() {
				defer c.Close()
				from := c.RemoteAddr().(*net.TCPAddr).IP.String()
				<-start
				_ = c.SetReadDeadline(began.Add(took))
				for b := make([]byte, 1<<16); ; {
					n, err := c.Read(b)
					mu.Lock()
					got[from] += n
					mu.Unlock()
					if err != nil {
						return
					}
				}
			})
		}
	})
	for source, flows := range map[string]int{"203.0.113.10": 1, "203.0.113.11": 12, "203.0.113.12": 4} {
		for range flows {
			var c net.Conn
			err := o.networks["vpc-a"].Do(func() (err error) {
				d := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(source)}, Timeout: 5 * time.Second}
				c, err = d.Dial("tcp4", l.Addr().String())
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			all.Go(func() {
				defer c.Close()
				<-start
				_ = c.SetWriteDeadline(began.Add(took))
				for b := make([]byte, 1<<14); ; {
					if _, err := c.Write(b); err != nil {
						return
					}
				}
			})
		}
	}
	began = time.Now()
	close(start)
	time.AfterFunc(took, func() { l.Close() })
	all.Wait()
	one, many, other := got["203.0.113.10"], got["203.0.113.11"], got["203.0.113.12"]
	t.Logf("%d bytes by one connection, %d by twelve, %d by others", one, many, other)
	for name, sum := range map[string]int{"pack-1": one + many, "pack-2": other} {
		if most := mbit*1e6/8*time.Since(began).Seconds() + 16<<10 + mbit*1e6/8/100; float64(sum) > most {
			t.Errorf("%s: %d bytes, of %.0f that may pass", name, sum, most)
		}
	}
	// Of equal shares, but for who begins first and who else uses the machine.
	if one < (one+many)/3 {
		t.Errorf("one connection has %d bytes, and twelve of another address %d", one, many)
	}
	if other < (one+many)/2 {
		t.Errorf("another package has %d bytes, of as many as may be as this one, which has %d", other, one+many)
	}
	counted, err := o.shaper.Traffic()
	if err != nil || len(counted) != 2 || counted[0].Outbound.Bytes < uint64(one+many) || counted[0].Outbound.Dropped == 0 {
		t.Errorf("counted are %+v, %v", counted, err)
	}
}
