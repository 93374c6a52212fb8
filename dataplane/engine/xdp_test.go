package engine

import (
	"fmt"
	"net"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
	"sluice/dataplane/session"
)

// wired is a network whose only VSwitch and whose uplink are devices: a wire to
// a host, and one to the public network.
type wired struct {
	*site
	e    *Engine
	n    *dataplane.Network
	host *netns.Namespace
}

// The outer ends of the wires.
const (
	hostEnd   = "eth0"     // in the host
	publicEnd = "pub-port" // on the public bridge
)

// newWired makes one. With napi the other ends of the wires have NAPI, without
// which a veth cannot be redirected to.
func newWired(t *testing.T, shortcut, napi bool) *wired {
	t.Helper()
	return newWiredBy(t, dataplane.UplinkDevice, shortcut, napi, session.Options{})
}

// newWiredBy is newWired with the uplink's device used in another mode, and other options.
func newWiredBy(t *testing.T, mode dataplane.UplinkMode, shortcut, napi bool, o session.Options) *wired {
	t.Helper()
	w := &wired{site: newSite(t), host: nstest.New(t)}
	nstest.Veth(t, w.public, "wan0", w.public, publicEnd)
	nstest.Command(t, w.public, "ip", "link", "set", publicEnd, "master", "pub0")
	nstest.Veth(t, w.public, "lan0", w.host, hostEnd)
	nstest.Address(t, w.host, hostEnd, "10.0.1.5/24")
	nstest.Default(t, w.host, "10.0.1.253")
	nstest.Up(t, w.public, publicEnd)
	nstest.Up(t, w.public, "wan0")
	if napi {
		nstest.Switch(t, w.host, hostEnd, nstest.GRO, true)
		nstest.Switch(t, w.public, publicEnd, nstest.GRO, true)
	}
	w.n = w.network(t)
	w.n.Shortcut = shortcut
	w.n.Uplink.Mode, w.n.Uplink.Device = mode, "wan0"
	w.n.Switches = w.n.Switches[:1]
	w.n.Switches[0].Attachment = dataplane.Attachment{Kind: dataplane.AttachDevice, Device: "lan0"}
	w.n.Routes = w.n.Routes[:1]
	w.n.DNAT = w.n.DNAT.With(dataplane.DNAT{External: w.n.Elastic[1], Protocol: 17, ExternalPort: 53, Internal: w.n.DNAT.Slice()[0].Internal, InternalPort: 8080})
	w.e = w.engineWith(t, o)
	mustApply(t, w.e, w.n)
	nstest.Echo(t, w.host, 8080)
	nstest.Echo(t, w.public, 9000)
	nstest.Ping(t, w.host, "10.0.1.253", 1)
	return w
}

func (w *wired) mode(t *testing.T) (modes []string) {
	t.Helper()
	ns := inNetwork(t, w.n.ID)
	links := session.Links(w.n, nil, func(name string) int { return nstest.Link(t, ns, name).Attrs().Index })
	for _, a := range w.e.networks[w.n.ID].sessions.Attachments(links, w.n.Shortcut) {
		modes = append(modes, string(a.By))
		t.Logf("%+v", a)
	}
	return modes
}

// Packets pass in the driver as they do elsewhere, are counted to the byte, and
// take the longer way where the driver cannot have them: those with a checksum
// that is left for a device to complete, and all of them where a device cannot be
// redirected to.
func TestXDP(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		shortcut, napi, whole bool
		mode                  string
	}{
		{true, true, true, "xdp"},
		{true, true, false, "xdp"},
		{true, false, true, "tcx"},
		{false, true, true, "tcx"},
		{true, false, true, "clsact"},
		{false, true, true, "clsact"},
	} {
		t.Run(fmt.Sprintf("shortcut=%v,napi=%v,checksums=%v,%s", c.shortcut, c.napi, c.whole, c.mode), func(t *testing.T) {
			w := newWiredBy(t, dataplane.UplinkDevice, c.shortcut, c.napi, session.Options{TCXAtOnce: c.mode == "tcx"})
			if modes := w.mode(t); len(modes) != 2 || modes[0] != c.mode || modes[1] != c.mode {
				t.Fatalf("programs are attached by %v, want %s", modes, c.mode)
			}
			for _, end := range []struct {
				ns   *netns.Namespace
				link string
			}{{w.host, hostEnd}, {w.public, publicEnd}, {w.public, "pub0"}} {
				nstest.Switch(t, end.ns, end.link, nstest.Checksum, !c.whole)
				// With XDP at its other end a wire takes no large packets anyway.
				if c.mode != "xdp" {
					nstest.Switch(t, end.ns, end.link, nstest.TSO, false)
					nstest.Switch(t, end.ns, end.link, nstest.GSO, false)
				}
			}
			ns := inNetwork(t, w.n.ID)
			// What the driver sends does not pass where others are attached.
			out, in := nstest.NewMeter(t, ns, dataplane.UplinkName, true), nstest.NewMeter(t, ns, "vsw-a", true)
			start := traffic(t, w.e, w.n.ID)
			const size = 4 << 20
			for range 3 {
				nstest.Stream(t, w.host, outsideEcho, size/4)
				nstest.Stream(t, w.public, serverStream, size/4)
			}
			nstest.Datagrams(t, w.host, outsideEcho, oddSizes...)
			nstest.Datagrams(t, w.public, serverUDP, oddSizes...)
			small := make([]int, 300)
			for i := range small {
				small[i] = 1 + i*4
			}
			nstest.Datagrams(t, w.host, outsideEcho, small...)
			nstest.Datagrams(t, w.public, serverUDP, small...)
			got := traffic(t, w.e, w.n.ID)
			stack := measured(out)
			add(&stack, measured(in))
			total := minus(got.Outbound, start.Outbound)
			add(&total, minus(got.Inbound, start.Inbound))
			t.Logf("%+v counted, %+v by the stack, %d hits, %+v", total, stack, got.Shortcut.Hits, got.Shortcut.Misses)
			if hits := got.Shortcut.Hits; (hits > 1000) != c.shortcut || hits > 0 && !c.shortcut {
				t.Errorf("%d packets took the shortcut", hits)
			}
			// All that the stack did not send was sent in the driver.
			if inDriver := total.Packets - min(stack.Packets, total.Packets); (inDriver > total.Packets/2) != (c.mode == "xdp" && c.whole) {
				t.Errorf("%d of %d packets were sent in the driver", inDriver, total.Packets)
			}
			if least := uint64(4 * 3 * size / 4); total.Bytes < least {
				t.Errorf("%d bytes were counted of more than %d", total.Bytes, least)
			}
		})
	}
}

// What the driver carries is counted to the byte.
func TestXDPCounts(t *testing.T) {
	t.Parallel()
	w := newWired(t, true, true)
	for _, end := range []struct {
		ns   *netns.Namespace
		link string
	}{{w.host, hostEnd}, {w.public, publicEnd}, {w.public, "pub0"}} {
		nstest.Switch(t, end.ns, end.link, nstest.Checksum, false)
	}
	// Of datagrams each is one packet, whichever way it takes.
	out, in := nstest.NewMeter(t, w.host, hostEnd, true), nstest.NewMeter(t, w.public, publicEnd, true)
	before := traffic(t, w.e, w.n.ID)
	var conns []net.Conn
	for _, c := range []struct {
		from *netns.Namespace
		to   string
	}{{w.host, outsideEcho}, {w.public, serverUDP}} {
		conns = append(conns, nstest.MustDial(t, c.from, "udp4", c.to))
	}
	for size := 1; size <= 1472; size += 3 {
		for _, c := range conns {
			nstest.Eventually(t, func() error { return say(c, make([]byte, size)) })
		}
	}
	after := traffic(t, w.e, w.n.ID)
	if got, want := minus(after.Outbound, before.Outbound), measured(out); got != want {
		t.Errorf("the host sent %+v, counted are %+v", want, got)
	}
	if got, want := minus(after.Inbound, before.Inbound), measured(in); got != want {
		t.Errorf("outside sent %+v, counted are %+v", want, got)
	}
	if hits := after.Shortcut.Hits; hits < 1900 {
		t.Errorf("%d packets took the shortcut", hits)
	}
}
