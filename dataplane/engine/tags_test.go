package engine

import (
	"fmt"
	"net/netip"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// forms are frames in which a host may send a packet: the kernel takes tags of priority
// off, however many there are and of whichever kind.
var forms = []struct {
	name  string
	wrap  func([]byte) []byte
	taken bool // as what is in it
}{
	{"plain", nil, true},
	{"tagged", tagged, true},
	{"service tag", serviceTagged, true},
	{"two tags", func(f []byte) []byte { return tagged(tagged(f)) }, false},
	{"two service tags", func(f []byte) []byte { return serviceTagged(serviceTagged(f)) }, false},
	{"both", func(f []byte) []byte { return serviceTagged(tagged(f)) }, false},
	{"both the other way round", func(f []byte) []byte { return tagged(serviceTagged(f)) }, false},
	{"three tags", func(f []byte) []byte { return tagged(tagged(tagged(f))) }, false},
}

// What a packet may do does not depend on the frame that it comes in: none crosses the
// gateway without a session, none gets more than its host's share, and none passes the
// bandwidth of an elastic IP by.
func TestTagsHideNothing(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		const most, sent = 40, 60
		c := newCrowd(t, func(n *dataplane.Network) {
			n.Shortcut, n.HostShare = on, 50
			n.NATGateways[0].Limits = dataplane.Limits{Connections: 2 * most}
			n.Bandwidths = []dataplane.Bandwidth{{ID: "eip-1", Elastic: n.Elastic[1:], Outbound: 1000, Inbound: 1000}}
		})
		held := func() uint64 {
			all, err := c.e.Bandwidths(t.Context())
			if err != nil || len(all) != 1 {
				t.Fatalf("%+v, %v", all, err)
			}
			return all[0].Inbound.Packets
		}
		outside := nstest.NewMeter(t, c.public, "pub0", false)
		inside := nstest.NewMeter(t, c.client, "eth0", false)
		stranger := netip.MustParseAddrPort("203.0.113.100:53")
		for i, form := range forms {
			t.Run(form.name, func(t *testing.T) {
				flush(t, c.ns)
				nstest.Eventually(t, func() error {
					if now, _ := open(traffic(t, c.e, c.n.ID), dataplane.SessionSNAT); now > 0 {
						return fmt.Errorf("%d sessions are left", now)
					}
					return nil
				})
				before := traffic(t, c.e, c.n.ID)
				_, opened := open(before, dataplane.SessionSNAT)
				_, left := outside.Read()
				c.inside.wrap = form.wrap
				for k := range sent {
					c.inside.send(t, unix.IPPROTO_UDP, netip.AddrPortFrom(netip.MustParseAddr("10.0.1.6"), uint16(2000+100*i+k)), stranger, 0)
				}
				c.inside.wrap = nil
				// One in a plain frame is the last to come through.
				c.inside.send(t, unix.IPPROTO_ICMP, netip.AddrPortFrom(netip.MustParseAddr("10.0.1.6"), uint16(900+i)), netip.AddrPortFrom(netip.MustParseAddr("203.0.113.1"), 0), 0)
				want, refusals := uint64(most), uint64(sent-most)
				if !form.taken {
					want, refusals = 0, 0
				}
				nstest.Eventually(t, func() error {
					got := traffic(t, c.e, c.n.ID)
					_, now := open(got, dataplane.SessionSNAT)
					_, gone := outside.Read()
					no := of(got, "10.0.1.6").Share - of(before, "10.0.1.6").Share
					// The ping has a session, if there is a place left for it.
					if n := now - opened; n != want && n != want+1 || gone-left != n || no < refusals || no > refusals+1 {
						return fmt.Errorf("%d sessions were opened, %d packets left, %d were refused; want %d, %d and %d", n, gone-left, no, want, want, refusals)
					}
					return nil
				})
			})
		}
		// From outside likewise.
		service := netip.MustParseAddrPort("203.0.113.11:80")
		neighbour(t, c.ns, "vsw-a", netip.MustParseAddr("10.0.1.5"), nstest.Link(t, c.client, "eth0").Attrs().HardwareAddr)
		for i, form := range forms {
			t.Run("from outside, "+form.name, func(t *testing.T) {
				_, opened := open(traffic(t, c.e, c.n.ID), dataplane.SessionDNAT)
				_, arrived := inside.Read()
				passed := held()
				c.outside.wrap = form.wrap
				for k := range 10 {
					c.outside.send(t, unix.IPPROTO_TCP, netip.AddrPortFrom(stranger.Addr(), uint16(3000+100*i+k)), service, flagSYN)
				}
				c.outside.wrap = nil
				c.outside.send(t, unix.IPPROTO_TCP, netip.AddrPortFrom(stranger.Addr(), uint16(2900+i)), service, flagSYN)
				want := uint64(1)
				if form.taken {
					want = 11
				}
				nstest.Eventually(t, func() error {
					_, now := open(traffic(t, c.e, c.n.ID), dataplane.SessionDNAT)
					if _, got := inside.Read(); now-opened != want || got-arrived != want || held()-passed != want {
						return fmt.Errorf("%d sessions were opened, %d packets arrived, %d passed the bandwidth; want %d", now-opened, got-arrived, held()-passed, want)
					}
					return nil
				})
			})
		}
	})
}
