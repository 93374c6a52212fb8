package arpwatch

import (
	"net"
	"net/netip"
	"testing"

	"github.com/mdlayher/packet"
	"golang.org/x/sys/unix"

	"sluice/dataplane/garp"
	"sluice/dataplane/internal/nstest"
)

// What is said of the addresses is heard, whether the kernel looks for them or there are too
// many for that, and nothing else; and so is the answer to a question.
func TestListen(t *testing.T) {
	for name, more := range map[string]int{"filtered": 0, "as many as can be": mostFiltered - 2, "too many": mostFiltered} {
		t.Run(name, func(t *testing.T) {
			here, there := nstest.New(t), nstest.New(t)
			nstest.Veth(t, here, "a", there, "b")
			nstest.Address(t, here, "a", "10.0.0.1/16")
			nstest.Address(t, there, "b", "10.0.0.2/16")
			wanted, last := netip.MustParseAddr("10.0.1.1"), netip.MustParseAddr("10.0.0.2")
			addrs := []netip.Addr{wanted}
			for a := netip.MustParseAddr("10.0.2.0"); more > 0; more-- {
				addrs, a = append(addrs, a), a.Next()
			}
			addrs = append(addrs, last)
			a, b := nstest.Link(t, here, "a").Attrs(), nstest.Link(t, there, "b").Attrs()
			heard := make(chan Heard, 100)
			l, err := Listen(here, Link{Index: a.Index, MAC: a.HardwareAddr, Own: netip.MustParseAddr("10.0.0.1")}, addrs,
				func(h Heard) { heard <- h }, func(err error) { t.Error(err) })
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			var conn *packet.Conn
			err = there.Do(func() (err error) {
				conn, err = packet.Listen(&net.Interface{Index: b.Index, HardwareAddr: b.HardwareAddr}, packet.Raw, unix.ETH_P_ARP, nil)
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
			defer conn.Close()
			frames, err := garp.Frames(b.HardwareAddr, []netip.Addr{netip.MustParseAddr("10.9.9.9"), wanted})
			if err != nil {
				t.Fatal(err)
			}
			multicast, err := garp.Frames(net.HardwareAddr{1, 0, 0x5e, 0, 0, 1}, []netip.Addr{wanted})
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range append(append(multicast, frames[2][:20], frames[2][:30]), frames...) {
				if _, err := conn.WriteTo(f, &packet.Addr{HardwareAddr: net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}}); err != nil {
					t.Fatal(err)
				}
			}
			for range 2 { // as a request, and as an answer
				if h := <-heard; h.Address != wanted || h.MAC.String() != b.HardwareAddr.String() {
					t.Errorf("heard %+v", h)
				}
			}
			for _, of := range []net.HardwareAddr{nil, b.HardwareAddr} {
				if err := l.Ask(last, of); err != nil {
					t.Fatal(err)
				}
				if h := <-heard; h.Address != last || h.MAC.String() != b.HardwareAddr.String() {
					t.Errorf("%v is asked, and heard %+v", of, h)
				}
			}
		})
	}
}
