package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/test/lab"
)

// Floors are programs that do the least of what Sluice's have to do: they show
// what can not be saved on this machine.
var (
	hashFloor = contender{"hash", "floor: XDP programs that find each flow in a hash map, write its headers and count",
		flowFloor("bench_hash", flowHash(1<<21), (*floor).hashInstructions)}
	lineFloor = contender{"line", "floor: XDP programs that find each flow in one cache line, write its headers and count",
		flowFloor("bench_line", flowLines(1<<22), (*floor).lineInstructions)}
	emptyFloor = contender{"empty", "floor: plain nftables, and tc programs at both links that do nothing",
		withEmpty}
	tallyFloor = contender{"tally", "floor: plain nftables, and tc programs at the VSwitch that find each flow in one cache line and count there",
		withTable("bench_tally", flowLines(1<<22), (*floor).tallyInstructions,
			hook{vswitchID, ebpf.AttachTCXIngress}, hook{vswitchID, ebpf.AttachTCXEgress})}
	insertFloor = contender{"insert", "floor: plain nftables, and a tc program that puts each new flow into a hash map",
		withTable("bench_insert", flowHash(1<<21), (*floor).insertInstructions,
			hook{vswitchID, ebpf.AttachTCXIngress})}
	keepFloor = contender{"keep", "floor: plain nftables, and a tc program that writes each new flow into one cache line",
		withTable("bench_keep", flowLines(1<<22), (*floor).keepInstructions,
			hook{vswitchID, ebpf.AttachTCXIngress})}
)

// floored marks what is said of a floor's figure.
func floored(what string) string { return "floor; " + what }

// A flow's key is its addresses, ports and protocol as they are in the packet.
// Its value is as large as what Sluice keeps of a direction.
const (
	flowKeySize   = 16
	flowValueSize = 52
	lineSize      = 64 // a cache line, with the key and as much of the value as is used
)

// floorSlots are the counters of a floor, each with bytes and packets.
const floorSlots = 1024

// flowHash is a map of n flows, as Sluice's of sessions is.
func flowHash(n uint32) ebpf.MapSpec {
	return ebpf.MapSpec{Type: ebpf.Hash, KeySize: flowKeySize, ValueSize: flowValueSize, MaxEntries: n, Flags: unix.BPF_F_NO_PREALLOC}
}

// flowLines is an array of n lines. That it can be mapped into a process makes
// it begin at a page: in others each line lies across two of the cache (Linux
// 6.18).
func flowLines(n uint32) ebpf.MapSpec {
	return ebpf.MapSpec{Type: ebpf.Array, KeySize: 4, ValueSize: lineSize, MaxEntries: n, Flags: unix.BPF_F_MMAPABLE}
}

// floor is what a flow floor's programs keep.
type floor struct {
	flows   *ebpf.Map // key -> value, or number -> key and value
	volumes *ebpf.Map // slot -> bytes, packets; for each processor
}

func newFloor(name string, flows ebpf.MapSpec) (_ *floor, err error) {
	f := new(floor)
	flows.Name = name
	if f.flows, err = ebpf.NewMap(&flows); err != nil {
		return nil, fmt.Errorf("make the map of flows: %w", err)
	}
	f.volumes, err = ebpf.NewMap(&ebpf.MapSpec{
		Name: "bench_volumes", Type: ebpf.PerCPUArray, KeySize: 4, ValueSize: 16, MaxEntries: floorSlots,
	})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("make the counters: %w", err), f.flows.Close())
	}
	return f, nil
}

// Close implements io.Closer. Programs that are attached hold their maps.
func (f *floor) Close() error { return errors.Join(f.flows.Close(), f.volumes.Close()) }

// flowFloor builds a redirector that has to know the flow of a packet first.
func flowFloor(name string, flows ebpf.MapSpec, instructions func(f *floor, to int) asm.Instructions) builder {
	return func(ctx context.Context, t *rig, g *gateway) error {
		f, err := newFloor(name, flows)
		if err != nil {
			return err
		}
		g.attachment = append(g.attachment, f)
		if flows.Type == ebpf.Hash {
			g.flows = f.flows
		}
		return byXDP(name, func(to int) asm.Instructions { return instructions(f, to) })(ctx, t, g)
	}
}

// hook is where a tc program is attached in a gateway.
type hook struct {
	link string
	at   ebpf.AttachType
}

// withEmpty builds plain nftables with a program wherever Sluice has one, which
// does nothing.
func withEmpty(ctx context.Context, t *rig, g *gateway) error {
	if err := plainNFT.build(ctx, t, g); err != nil {
		return err
	}
	return g.attachTC("bench_empty", nothing(),
		hook{vswitchID, ebpf.AttachTCXIngress}, hook{vswitchID, ebpf.AttachTCXEgress},
		hook{dataplane.UplinkName, ebpf.AttachTCXIngress}, hook{dataplane.UplinkName, ebpf.AttachTCXEgress})
}

// withTable builds plain nftables with a program at hooks that keeps what is new.
func withTable(name string, flows ebpf.MapSpec, instructions func(f *floor) asm.Instructions, hooks ...hook) builder {
	return func(ctx context.Context, t *rig, g *gateway) error {
		if err := plainNFT.build(ctx, t, g); err != nil {
			return err
		}
		f, err := newFloor(name, flows)
		if err != nil {
			return err
		}
		g.attachment = append(g.attachment, f)
		if flows.Type == ebpf.Hash {
			g.flows = f.flows
		}
		return g.attachTC(name, instructions(f), hooks...)
	}
}

// attachTC attaches a program at hooks of the gateway.
func (g *gateway) attachTC(name string, instructions asm.Instructions, hooks ...hook) error {
	p, err := newTC(name, instructions)
	if err != nil {
		return err
	}
	defer p.Close() // its links hold it
	return lab.In(g.namespace, func() error {
		for _, h := range hooks {
			dev, err := netlink.LinkByName(h.link)
			if err != nil {
				return fmt.Errorf("find %s: %w", h.link, err)
			}
			at, err := link.AttachTCX(link.TCXOptions{Program: p, Interface: dev.Attrs().Index, Attach: h.at})
			if err != nil {
				return fmt.Errorf("attach %s to %s: %w", name, h.link, err)
			}
			g.attachment = append(g.attachment, at)
		}
		return nil
	})
}

func newTC(name string, instructions asm.Instructions) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{Name: name, Type: ebpf.SchedCLS, License: "GPL", Instructions: instructions})
	if err != nil {
		return nil, fmt.Errorf("load %s: %w", name, err)
	}
	return p, nil
}

// haveTCX says whether the kernel attaches tc programs as links (Linux 6.6),
// and tells whoever watches if not.
func (r *run) haveTCX() bool {
	p, err := newTC("bench_probe", nothing())
	if err == nil {
		defer p.Close()
		const noLink = 1<<31 - 1
		_, err = link.AttachTCX(link.TCXOptions{Program: p, Interface: noLink, Attach: ebpf.AttachTCXIngress})
	}
	have := errors.Is(err, unix.ENODEV)
	if !have {
		r.say("floors in tc: left out: %v", err)
	}
	return have
}

// emptyMap deletes all elements of a hash map of flows.
func emptyMap(m *ebpf.Map) error {
	var cursor ebpf.MapBatchCursor
	keys, values := make([][flowKeySize]byte, 4096), make([][flowValueSize]byte, 4096)
	for {
		_, err := m.BatchLookupAndDelete(&cursor, keys, values, nil)
		if errors.Is(err, ebpf.ErrKeyNotExist) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("empty the map of flows: %w", err)
		}
	}
}
