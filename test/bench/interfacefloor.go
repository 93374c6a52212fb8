package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/link"
	"github.com/vishvananda/netlink"

	"sluice/dataplane/netns"
)

// transit is the link at each end of the pair between two namespaces that are joined by hand.
const transit = "transit"

// ledAcross builds two namespaces joined by hand, through which programs lead every IPv4 packet: at each
// they do what any router has to, by constants, and know no flows.
func ledAcross() builder {
	return untouching(func(ctx context.Context, t *rig, g *gateway) error {
		if err := joinedByHand()(ctx, t, g); err != nil {
			return err
		}
		near, err := netns.Open(g.namespace)
		if err != nil {
			return err
		}
		defer near.Close()
		far, err := netns.Open(g.second)
		if err != nil {
			return err
		}
		defer far.Close()
		for _, way := range []struct {
			ns       *netns.Namespace
			from, to string
			outer    string // who gets what leaves by to, in the rig's namespace; empty: the next namespace
		}{
			{near, vswitchID, transit, ""}, {far, transit, g.uplink, g.outside.outer},
			{far, g.uplink, transit, ""}, {near, transit, vswitchID, g.inside.outer},
		} {
			if err := g.lead(way.ns, way.from, way.to, way.outer); err != nil {
				return fmt.Errorf("lead packets from %s to %s: %w", way.from, way.to, err)
			}
		}
		return nil
	})
}

// lead attaches a program that leads packets from one link of a namespace to another.
func (g *gateway) lead(ns *netns.Namespace, from, to, outer string) error {
	in, err := ns.Netlink().LinkByName(from)
	if err != nil {
		return err
	}
	out, err := ns.Netlink().LinkByName(to)
	if err != nil {
		return err
	}
	macs, redirect := make([]byte, 12), asm.FnRedirectPeer
	if outer != "" {
		next, err := netlink.LinkByName(outer)
		if err != nil {
			return err
		}
		copy(macs, next.Attrs().HardwareAddr)
		redirect = asm.FnRedirect
	}
	copy(macs[6:], out.Attrs().HardwareAddr)
	p, err := newTC("bench_lead", leadInstructions(macs, out.Attrs().Index, redirect))
	if err != nil {
		return err
	}
	defer p.Close() // its link holds it
	return ns.Do(func() error {
		at, err := link.AttachTCX(link.TCXOptions{Program: p, Interface: in.Attrs().Index, Attach: ebpf.AttachTCXIngress})
		if err == nil {
			g.attachment = append(g.attachment, at)
		}
		return err
	})
}

// leadInstructions write the hardware addresses, take one off the TTL, and redirect; what is not IPv4 is
// left to the kernel.
func leadInstructions(macs net.HardwareAddr, to int, redirect asm.BuiltinFunc) asm.Instructions {
	const offTTL, offCheck, offType = offIP + 8, offIP + 10, 12
	ins := asm.Instructions{
		asm.LoadMem(asm.R6, asm.R1, skbData, asm.Word),
		asm.LoadMem(asm.R2, asm.R1, skbDataEnd, asm.Word),
		asm.Mov.Reg(asm.R3, asm.R6),
		asm.Add.Imm(asm.R3, offIP+20),
		asm.JGT.Reg(asm.R3, asm.R2, "pass"),
		asm.LoadMem(asm.R1, asm.R6, offType, asm.Half),
		asm.JNE.Imm(asm.R1, int32(binary.NativeEndian.Uint16([]byte{8, 0})), "pass"),
	}
	for i := 0; i < len(macs); i += 4 {
		ins = append(ins,
			asm.Mov.Imm32(asm.R1, int32(binary.NativeEndian.Uint32(macs[i:]))),
			asm.StoreMem(asm.R6, int16(i), asm.R1, asm.Word))
	}
	return append(ins,
		asm.LoadMem(asm.R1, asm.R6, offTTL, asm.Byte),
		asm.Sub.Imm(asm.R1, 1),
		asm.StoreMem(asm.R6, offTTL, asm.R1, asm.Byte),
		// The checksum grows by what the word of the TTL has lost (RFC 1141).
		asm.LoadMem(asm.R1, asm.R6, offCheck, asm.Half),
		asm.Add.Imm(asm.R1, int32(binary.NativeEndian.Uint16([]byte{1, 0}))),
		asm.Mov.Reg(asm.R2, asm.R1),
		asm.RSh.Imm(asm.R2, 16),
		asm.Add.Reg(asm.R1, asm.R2),
		asm.StoreMem(asm.R6, offCheck, asm.R1, asm.Half),
		asm.Mov.Imm(asm.R1, int32(to)),
		asm.Mov.Imm(asm.R2, 0),
		redirect.Call(),
		asm.Return(),
		asm.Mov.Imm(asm.R0, tcUnspec).WithSymbol("pass"),
		asm.Return(),
	)
}

// floorsAcross are the floors of router interfaces, where the kernel can have them.
func (r *run) floorsAcross() []contender {
	if !r.haveTCX() {
		return nil
	}
	return []contender{{"ri_lead", "floor: two namespaces joined by hand, and tc programs that lead every packet across without knowing its flow", ledAcross()}}
}

// addLead reports the floor's figures.
func (r *run) addLead(rates map[string][]float64, what string) error {
	lead, ok := rates["ri_lead"]
	if !ok {
		return nil
	}
	return errors.Join(r.report.addRatio("ri_pps_lead_over_route", rates["route"], lead, floored(what)), r.report.addRatio("ri_pps_over_lead", lead, rates["ri"], what))
}
