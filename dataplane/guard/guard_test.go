package guard

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
	"os"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/mdlayher/packet"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const uplink = "public"

// newNamespace makes a namespace that has no name, with a veth pair of which
// both ends are in it.
func newNamespace(t testing.TB) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("needs root: makes network namespaces")
	}
	var ns netns.NsHandle
	err := onThread(func() (err error) { ns, err = netns.New(); return err })
	if err != nil {
		t.Fatalf("make a network namespace: %v", err)
	}
	t.Cleanup(func() { ns.Close() })
	nl, err := netlink.NewHandleAt(ns, unix.NETLINK_ROUTE)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(nl.Close)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = uplink
	if err := nl.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: "peer"}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{uplink, "peer"} {
		if err := nl.LinkSetUp(link(t, nl, name)); err != nil {
			t.Fatal(err)
		}
	}
	return ns, nl
}

// onThread runs f on a thread of its own, which ends with it.
func onThread(f func() error) error {
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		done <- f()
	}()
	return <-done
}

func link(t testing.TB, nl *netlink.Handle, name string) netlink.Link {
	t.Helper()
	l, err := nl.LinkByName(name)
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func mustApply(t testing.TB, ns netns.NsHandle, want bool, allow ...string) {
	t.Helper()
	changed, err := Apply(ns, uplink, prefixes(allow...))
	if err != nil {
		t.Fatal(err)
	}
	if changed != want {
		t.Errorf("Apply with %v: changed %v, want %v", allow, changed, want)
	}
	if ok, err := Guarded(ns, uplink, prefixes(allow...)); err != nil || !ok {
		t.Errorf("Guarded after Apply with %v: %v, %v", allow, ok, err)
	}
}

// attachedPrograms returns the ids of the programs at the egress.
func attachedPrograms(t testing.TB, nl *netlink.Handle) (ids []int) {
	t.Helper()
	list, err := nl.FilterList(link(t, nl, uplink), netlink.HANDLE_MIN_EGRESS)
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range list {
		ids = append(ids, f.(*netlink.BpfFilter).Id)
	}
	return ids
}

func TestApply(t *testing.T) {
	ns, nl := newNamespace(t)
	if ok, err := Guarded(ns, uplink, nil); ok || err != nil {
		t.Fatalf("Guarded without a guard: %v, %v", ok, err)
	}
	mustApply(t, ns, true)
	first := attachedPrograms(t, nl)
	if len(first) != 1 {
		t.Fatalf("programs %v, want one", first)
	}
	mustApply(t, ns, false)
	mustApply(t, ns, false, "203.0.113.0/24")
	if now := attachedPrograms(t, nl); fmt.Sprint(now) != fmt.Sprint(first) {
		t.Errorf("programs %v after the same again, want %v", now, first)
	}
	if ok, err := Guarded(ns, uplink, prefixes("10.9.0.0/24")); ok || err != nil {
		t.Errorf("Guarded with other prefixes: %v, %v", ok, err)
	}
	mustApply(t, ns, true, "10.9.0.0/24")
	second := attachedPrograms(t, nl)
	if len(second) != 1 || second[0] == first[0] {
		t.Errorf("programs %v, want one other than %v", second, first)
	}
	mustApply(t, ns, false, "10.9.0.0/25", "10.9.0.128/25")

	// What others take away comes back.
	if err := nl.FilterDel(&netlink.BpfFilter{FilterAttrs: netlink.FilterAttrs{LinkIndex: link(t, nl, uplink).Attrs().Index,
		Parent: netlink.HANDLE_MIN_EGRESS, Handle: handle, Protocol: unix.ETH_P_ALL, Priority: priority}}); err != nil {
		t.Fatal(err)
	}
	mustApply(t, ns, true, "10.9.0.0/24")
	if err := nl.QdiscDel(clsact(t, nl)); err != nil {
		t.Fatal(err)
	}
	mustApply(t, ns, true, "10.9.0.0/24")
}

func clsact(t testing.TB, nl *netlink.Handle) netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link(t, nl, uplink).Attrs().Index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}

// attach attaches a program that passes everything.
func attach(t testing.TB, nl *netlink.Handle, name string, handle uint32, priority uint16, direct bool) {
	t.Helper()
	p, err := load(asm.Instructions{asm.Mov.Imm(asm.R0, 0), asm.Return()})
	if err != nil {
		t.Fatal(err)
	}
	defer p.Close()
	if err := nl.FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: link(t, nl, uplink).Attrs().Index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: handle, Protocol: unix.ETH_P_ALL, Priority: priority},
		Fd:          p.FD(), Name: name, DirectAction: direct,
	}); err != nil {
		t.Fatal(err)
	}
}

func TestAnotherProgramUnderOurName(t *testing.T) {
	ns, nl := newNamespace(t)
	if err := nl.QdiscAdd(clsact(t, nl)); err != nil {
		t.Fatal(err)
	}
	attach(t, nl, filterName, handle, priority, true)
	mustApply(t, ns, true)
	if n := len(attachedPrograms(t, nl)); n != 1 {
		t.Errorf("%d programs, want 1", n)
	}
}

func TestForeign(t *testing.T) {
	t.Run("classifier before ours", func(t *testing.T) {
		ns, nl := newNamespace(t)
		mustApply(t, ns, true)
		attach(t, nl, "foreign", handle+1, priority, true)
		if _, err := Apply(ns, uplink, nil); err == nil || !strings.Contains(err.Error(), "foreign") {
			t.Errorf("error %v, want one that tells of the foreign classifier", err)
		}
		if ok, err := Guarded(ns, uplink, nil); ok || err == nil {
			t.Errorf("Guarded: %v, %v", ok, err)
		}
	})
	t.Run("classifier after ours", func(t *testing.T) {
		ns, nl := newNamespace(t)
		if err := nl.QdiscAdd(clsact(t, nl)); err != nil {
			t.Fatal(err)
		}
		attach(t, nl, "foreign", 1, 7, true)
		mustApply(t, ns, true)
		mustApply(t, ns, true, "10.0.0.0/8")
		if n := len(attachedPrograms(t, nl)); n != 2 {
			t.Errorf("%d programs, want ours and the foreign one", n)
		}
	})
	t.Run("ingress qdisc", func(t *testing.T) {
		ns, nl := newNamespace(t)
		if err := nl.QdiscAdd(&netlink.Ingress{QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link(t, nl, uplink).Attrs().Index,
			Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_INGRESS}}); err != nil {
			t.Fatal(err)
		}
		if _, err := Apply(ns, uplink, nil); err == nil || !strings.Contains(err.Error(), "ingress") {
			t.Errorf("error %v, want one that names the qdisc", err)
		}
	})
}

func TestWrongLink(t *testing.T) {
	ns, _ := newNamespace(t)
	for _, name := range []string{"absent", "lo"} {
		if changed, err := Apply(ns, name, nil); err == nil || changed {
			t.Errorf("link %s: changed %v, error %v", name, changed, err)
		}
	}
}

func TestUnsupported(t *testing.T) {
	for _, err := range []error{unix.ENOENT, unix.ENOSYS, unix.EOPNOTSUPP, ebpf.ErrNotSupported} {
		if !isUnsupported(fmt.Errorf("add qdisc: %w", err)) {
			t.Errorf("%v is not taken for a missing facility", err)
		}
	}
	for _, err := range []error{unix.EPERM, unix.EINVAL, unix.ENODEV} {
		if isUnsupported(err) {
			t.Errorf("%v is taken for a missing facility", err)
		}
	}
}

// wire sends frames by the uplink and sees what comes out of its other end.
type wire struct {
	t        testing.TB
	out, in  *packet.Conn
	sequence uint32
}

func newWire(t testing.TB, ns netns.NsHandle) *wire {
	t.Helper()
	w := &wire{t: t}
	err := onThread(func() error {
		if err := netns.Set(ns); err != nil {
			return err
		}
		for _, end := range []struct {
			name     string
			protocol int
			conn     **packet.Conn
		}{{uplink, 0, &w.out}, {"peer", unix.ETH_P_ALL, &w.in}} {
			ifi, err := net.InterfaceByName(end.name)
			if err != nil {
				return err
			}
			if *end.conn, err = packet.Listen(ifi, packet.Raw, end.protocol, nil); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.out.Close(); w.in.Close() })
	return w
}

func (w *wire) send(b []byte) error {
	_, err := w.out.WriteTo(b, &packet.Addr{HardwareAddr: net.HardwareAddr(b[:6])})
	return err
}

// passes reports whether the frame comes out, by sending another one after it
// that does. Frames are told apart by their bytes from 34 on, or by length.
func (w *wire) passes(frame []byte) bool {
	w.t.Helper()
	w.sequence++
	if len(frame) > 40 {
		binary.BigEndian.PutUint32(frame[36:], w.sequence)
	}
	// The kernel may tell that a packet was dropped.
	if err := w.send(frame); err != nil && !strings.Contains(err.Error(), unix.ENOBUFS.Error()) {
		w.t.Fatal(err)
	}
	fence := ipv4("192.0.2.1")
	binary.BigEndian.PutUint32(fence[36:], w.sequence)
	if err := w.send(fence); err != nil {
		w.t.Fatal(err)
	}
	if err := w.in.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		w.t.Fatal(err)
	}
	seen, b := false, make([]byte, 9000)
	for {
		n, _, err := w.in.ReadFrom(b)
		if err != nil {
			w.t.Fatalf("read what comes out: %v", err)
		}
		switch {
		case bytes.Equal(b[:n], fence):
			return seen
		case bytes.Equal(b[:n], frame):
			seen = true
		}
	}
}

func TestPackets(t *testing.T) {
	ns, _ := newNamespace(t)
	w := newWire(t, ns)
	if !w.passes(ipv4("10.0.0.1")) {
		t.Fatal("without a guard, nothing must be dropped")
	}
	check := func(what string, b []byte, want bool) {
		t.Helper()
		if got := w.passes(b); got != want {
			t.Errorf("%s: passes %v, want %v", what, got, want)
		}
	}
	mustApply(t, ns, true, "203.0.113.0/24", "10.7.0.0/24")
	check("private source", ipv4("10.0.0.1"), false)
	check("shared source", ipv4("100.64.0.1"), false)
	check("allowed private source", ipv4("10.7.0.9"), true)
	check("public source", ipv4("203.0.113.10"), true)
	check("ARP", frame(unix.ETH_P_ARP, "10.0.0.1"), true)
	check("IPv6", frame(unix.ETH_P_IPV6, "1.1.1.1"), false)
	for _, n := range []int{15, 20, 26, 29} {
		check(fmt.Sprintf("IPv4 of %d bytes", n), ipv4("10.0.0.1")[:n], false)
	}
	check("IPv4 of 30 bytes, private", ipv4("10.0.0.1")[:30], false)
	check("IPv4 of 30 bytes, public", ipv4("1.1.1.1")[:30], true)

	mustApply(t, ns, true, "203.0.113.0/24")
	check("source no longer allowed", ipv4("10.7.0.9"), false)
	check("public source", ipv4("203.0.113.10"), true)
}

// TestNoGap exchanges the guard while private sources are being sent.
func TestNoGap(t *testing.T) {
	ns, _ := newNamespace(t)
	w := newWire(t, ns)
	mustApply(t, ns, true)
	stop, done := make(chan struct{}), make(chan int)
	go func() {
		sent, b := 0, ipv4("172.16.0.1")
		for {
			select {
			case <-stop:
				done <- sent
				return
			default:
				_ = w.send(b) // dropped
				sent++
			}
		}
	}()
	for i := range 50 {
		if _, err := Apply(ns, uplink, []netip.Prefix{netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, byte(i), 0}), 24)}); err != nil {
			t.Error(err)
			break
		}
	}
	close(stop)
	sent := <-done
	if sent < 50 {
		t.Errorf("only %d packets were sent meanwhile", sent)
	}
	// All of them are before the fence.
	fence := ipv4("192.0.2.7")
	if err := w.send(fence); err != nil {
		t.Fatal(err)
	}
	if err := w.in.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	for b := make([]byte, 9000); ; {
		n, _, err := w.in.ReadFrom(b)
		if err != nil {
			t.Fatal(err)
		}
		if bytes.Equal(b[:n], fence) {
			return
		}
		if n > 30 && bytes.Equal(b[26:30], []byte{172, 16, 0, 1}) {
			t.Fatal("a private source came out while the guard was exchanged")
		}
	}
}
