package nstest

import (
	"errors"
	"testing"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Meter counts the IPv4 packets that pass a link in one direction.
type Meter struct {
	t     testing.TB
	count *ebpf.Map
}

// NewMeter counts what a link receives, or what it sends. A packet that stands
// for several on the wire counts as one: whoever wants those has them cut before,
// by switching TSO and GSO off at the sender.
func NewMeter(t testing.TB, ns *netns.Namespace, name string, sent bool) *Meter {
	t.Helper()
	count, err := ebpf.NewMap(&ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: 8, MaxEntries: 2})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { count.Close() })
	const (
		length, protocol = 0, 16 // in struct __sk_buff
		ipv4             = 0x0008
		ethernet         = 14
		next             = -1 // TCX_NEXT, TC_ACT_UNSPEC
	)
	add := func(key int64, done string) asm.Instructions {
		return asm.Instructions{
			asm.StoreImm(asm.RFP, -4, key, asm.Word),
			asm.LoadMapPtr(asm.R1, count.FD()),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -4),
			asm.FnMapLookupElem.Call(),
			asm.JEq.Imm(asm.R0, 0, done),
			asm.StoreXAdd(asm.R0, asm.R7, asm.DWord),
		}
	}
	code := asm.Instructions{
		asm.Mov.Reg(asm.R6, asm.R1),
		asm.LoadMem(asm.R7, asm.R6, protocol, asm.Word),
		asm.JNE.Imm(asm.R7, ipv4, "out"),
		asm.LoadMem(asm.R7, asm.R6, length, asm.Word),
		asm.Add.Imm(asm.R7, -ethernet),
	}
	code = append(code, add(0, "out")...)
	code = append(code, asm.Mov.Imm(asm.R7, 1))
	code = append(code, add(1, "out")...)
	code = append(code, asm.Mov.Imm(asm.R0, next).WithSymbol("out"), asm.Return())
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Type: ebpf.SchedCLS, Instructions: code, License: "GPL"})
	if err != nil {
		t.Fatalf("%+v", err)
	}
	defer p.Close()
	if err := ns.Do(func() error { return attach(t, ns, name, p, sent) }); err != nil {
		t.Fatalf("count at %s in %s: %v", name, ns, err)
	}
	return &Meter{t, count}
}

// attach has a program see what a link receives or sends, after all others that
// are there: by tcx, or by clsact before Linux 6.6.
func attach(t testing.TB, ns *netns.Namespace, name string, p *ebpf.Program, sent bool) error {
	k, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return err
	}
	at, parent := ebpf.AttachTCXIngress, uint32(netlink.HANDLE_MIN_INGRESS)
	if sent {
		at, parent = ebpf.AttachTCXEgress, netlink.HANDLE_MIN_EGRESS
	}
	index := k.Attrs().Index
	l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: at})
	if err == nil {
		t.Cleanup(func() { l.Close() })
		return nil
	}
	if !errors.Is(err, ebpf.ErrNotSupported) {
		return err
	}
	clsact := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	if err := ns.Netlink().QdiscAdd(clsact); err != nil && !errors.Is(err, unix.EEXIST) {
		return err
	}
	// It goes with the link.
	const last = 1000 // priority
	return ns.Netlink().FilterAdd(&netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: parent, Priority: last, Protocol: unix.ETH_P_ALL},
		Fd:          p.FD(), Name: "meter", DirectAction: true,
	})
}

// Read returns the bytes at layer 3 and the packets so far.
func (m *Meter) Read() (bytes, packets uint64) {
	m.t.Helper()
	for key, to := range []*uint64{&bytes, &packets} {
		if err := m.count.Lookup(uint32(key), to); err != nil {
			m.t.Fatal(err)
		}
	}
	return bytes, packets
}
