package engine

import (
	"errors"
	"fmt"
	"net/netip"
	"testing"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/sorted"
)

// newTagged returns a network whose two VSwitches are 802.1Q links on one
// device, with a host at the far end of each: server has an SNAT entry and DNAT
// entries, mapped an elastic IP of its own. It skips the test where the kernel
// has no such links.
func newTagged(t *testing.T, shortcut bool) *populated {
	t.Helper()
	p := &populated{site: newSite(t), server: nstest.New(t), mapped: nstest.New(t)}
	far := nstest.New(t)
	nstest.Veth(t, p.public, "trunk0", far, "trunk0")
	host := func(ns *netns.Namespace, vlan int, address, gateway string) {
		t.Helper()
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.ParentIndex, attrs.Namespace = "eth0", nstest.Link(t, far, "trunk0").Attrs().Index, netlink.NsFd(ns.Handle())
		err := far.Netlink().LinkAdd(&netlink.Vlan{LinkAttrs: attrs, VlanId: vlan, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
		if errors.Is(err, unix.EOPNOTSUPP) {
			t.Skip("this kernel has no 802.1Q links (CONFIG_VLAN_8021Q, module 8021q)")
		}
		if err != nil {
			t.Fatal(err)
		}
		nstest.Address(t, ns, "eth0", address)
		nstest.Default(t, ns, gateway)
	}
	nstest.Up(t, far, "trunk0")
	nstest.Up(t, p.public, "trunk0")
	host(p.server, 12, "10.0.1.5/24", "10.0.1.253")
	host(p.mapped, 13, "10.0.2.7/24", "10.0.2.253")

	addr := netip.MustParseAddr
	p.n = p.network(t)
	p.n.Shortcut = shortcut
	for i, vlan := range []uint16{12, 13} {
		p.n.Switches[i].Attachment = dataplane.Attachment{Kind: dataplane.AttachVLAN, Device: "trunk0", VLAN: vlan}
	}
	p.n.Elastic = append(p.n.Elastic, addr(mappedAt))
	p.n.Mappings = []dataplane.Mapping{{External: addr(mappedAt), Internal: addr("10.0.2.7")}}
	p.n.DNAT = sorted.Set[dataplane.DNAT]{}
	for _, protocol := range []uint8{unix.IPPROTO_TCP, unix.IPPROTO_UDP} {
		for port, internal := range map[uint16]uint16{80: 8080, 81: 8081} {
			p.n.DNAT = p.n.DNAT.With(dataplane.DNAT{External: addr("203.0.113.11"), Protocol: protocol, ExternalPort: port, Internal: addr("10.0.1.5"), InternalPort: internal})
		}
	}
	p.e = p.engine(t)
	mustApply(t, p.e, p.n)
	for _, ns := range []*netns.Namespace{p.server, p.mapped} {
		nstest.Echo(t, ns, 8080)
		nstest.Listen(t, ns, 8081)
	}
	nstest.Echo(t, p.public, 9000)
	nstest.Listen(t, p.public, 9001)
	// Neighbours are known, and nobody is asked for any more.
	nstest.Ping(t, p.server, "10.0.1.253", 1)
	nstest.Ping(t, p.mapped, "10.0.2.253", 1)
	return p
}

// Packets pass by VSwitches that are VLANs of one device as by others: open
// connections take the shortcut, whoever opened them, and look the same with it
// as without.
func TestTrafficOverVLANs(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newTagged(t, on)
		leaked := privateSources(t, p.public, "pub0")
		for _, network := range []string{"tcp4", "udp4"} {
			for _, c := range []struct {
				from       *netns.Namespace
				echo, asks string
				want       string
			}{
				{p.server, outsideEcho, "203.0.113.1:9001", "203.0.113.10"},
				{p.mapped, outsideEcho, "203.0.113.1:9001", mappedAt},
				{p.public, "203.0.113.11:80", "203.0.113.11:81", outsideAt},
				{p.public, mappedEcho, "203.0.113.12:8081", outsideAt},
			} {
				p.flow(t, c.from, network, c.echo)
				// Each datagram is answered with the source that it came with.
				asks := nstest.MustDial(t, c.from, network, c.asks)
				before := p.traffic(t).Shortcut.Hits
				for range 20 {
					nstest.Eventually(t, func() error {
						got, err := nstest.Ask(asks)
						if err != nil {
							return err
						}
						if from, err := netip.ParseAddrPort(got); err != nil || from.Addr().String() != c.want {
							t.Fatalf("%s to %s is seen as %s, want %s", network, c.asks, got, c.want)
						}
						return nil
					})
				}
				if hits := p.traffic(t).Shortcut.Hits - before; (hits >= 30) != on {
					t.Errorf("%s to %s: %d of 40 packets took the shortcut", network, c.asks, hits)
				}
			}
		}
		nstest.Eventually(t, seenAs(p.mapped, "tcp4", "203.0.113.11:81", mappedAt)) // hairpin
		nstest.Eventually(t, seenAs(p.mapped, "tcp4", "10.0.1.5:8081", "10.0.2.7")) // between VSwitches
		if n := leaked(); n > 0 {
			t.Errorf("%d packets left with a private source", n)
		}
		p.e.Invalidate(p.n.ID)
		if o := mustApply(t, p.e, p.n); o.Changes != 0 {
			t.Errorf("an audit changed %d objects", o.Changes)
		}
	})
}

// What passes by VLANs is counted to the byte: the tag is not in it.
func TestExactCountsOfVLANs(t *testing.T) {
	t.Parallel()
	for _, offloads := range []bool{true, false} {
		t.Run(fmt.Sprintf("offloads=%v", offloads), func(t *testing.T) { exactCountsOfVLANs(t, offloads) })
	}
}

func exactCountsOfVLANs(t *testing.T, offloads bool) {
	p := newTagged(t, true)
	ns := inNetwork(t, p.n.ID)
	hosts := map[string]*netns.Namespace{"10.0.1.5": p.server, "10.0.2.7": p.mapped}
	// What leaves the gateway is cut to packets before it is measured; with the
	// offloads off the hosts send nothing else, and complete their checksums.
	for _, link := range []string{dataplane.UplinkName, "vsw-a", "vsw-b"} {
		nstest.Switch(t, ns, link, nstest.TSO, false)
		nstest.Switch(t, ns, link, nstest.GSO, false)
	}
	for ns, links := range map[*netns.Namespace][]string{p.public: {p.n.ID, "pub0"}, p.server: {"eth0"}, p.mapped: {"eth0"}} {
		for _, link := range links {
			nstest.Switch(t, ns, link, nstest.Checksum, offloads)
			nstest.Switch(t, ns, link, nstest.TSO, offloads)
			nstest.Switch(t, ns, link, nstest.GSO, offloads)
		}
	}
	start := p.traffic(t)
	left := nstest.NewMeter(t, p.public, p.n.ID, false)
	sent, received := nstest.NewMeter(t, p.public, "trunk0", false), map[string]*nstest.Meter{}
	for name, h := range hosts {
		received[name] = nstest.NewMeter(t, h, "eth0", false)
	}

	const size = 1<<19 + 1
	for _, c := range []struct {
		from *netns.Namespace
		to   string
	}{{p.server, outsideEcho}, {p.public, "203.0.113.11:80"}, {p.mapped, outsideEcho}, {p.public, mappedEcho}} {
		nstest.Stream(t, c.from, c.to, size)
		nstest.Datagrams(t, c.from, c.to, oddSizes...)
	}
	nstest.Ping(t, p.server, outsideAt, 0, 1, 33, 1473, 5000)
	nstest.Ping(t, p.public, mappedAt, 0, 1, 33, 1473, 5000)

	nstest.Eventually(t, func() error {
		c := p.traffic(t)
		var in, out dataplane.Volume
		for name := range hosts {
			got, before := of(c, name), of(start, name)
			if got, want := minus(got.Inbound, before.Inbound), measured(received[name]); got != want {
				return fmt.Errorf("%s received %+v, counted are %+v", name, want, got)
			}
			add(&in, got.Inbound)
			add(&out, got.Outbound)
		}
		if out != c.Outbound || in != c.Inbound {
			return fmt.Errorf("of all addresses %+v and %+v, of the network %+v and %+v", out, in, c.Outbound, c.Inbound)
		}
		if got, want := minus(c.Outbound, start.Outbound), measured(left); got != want {
			return fmt.Errorf("to the outside went %+v, counted are %+v", want, got)
		}
		if got, want := minus(c.Outbound, start.Outbound), measured(sent); !offloads && got != want {
			return fmt.Errorf("the hosts sent %+v, counted are %+v", want, got)
		}
		return nil
	})
	got := p.traffic(t)
	t.Logf("out %+v, in %+v, %+v", got.Outbound, got.Inbound, got.Shortcut)
	hits, all := got.Shortcut.Hits, got.Shortcut.Hits
	for _, m := range got.Shortcut.Misses {
		all += m.Count
	}
	if hits < 200 {
		t.Errorf("%d packets took the shortcut", hits)
	}
	if packets := got.Outbound.Packets + got.Inbound.Packets; !offloads && all != packets {
		t.Errorf("%d packets took the shortcut or did not for a reason, of %d", all, packets)
	}
	if least := uint64(4 * size); got.Outbound.Bytes < least || got.Inbound.Bytes < least {
		t.Errorf("counted are %+v and %+v, of more than %d bytes each", got.Outbound, got.Inbound, least)
	}
}
