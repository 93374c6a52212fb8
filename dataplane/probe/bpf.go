package probe

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/mdlayher/genetlink"
	mdlayher "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/bpf"
)

// load loads a program that returns a constant.
func load(kind ebpf.ProgramType, result int32) (*ebpf.Program, error) {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:         kind,
		License:      "GPL",
		Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, result), asm.Return()},
	})
	if err != nil {
		return nil, fmt.Errorf("load a BPF program: %w", err)
	}
	return p, nil
}

const (
	actOK   = 0 // TC_ACT_OK, also TCX_PASS
	xdpPass = 2
)

// attach tries to attach a program that returns a constant to a link.
func attach(s *stage, kind ebpf.ProgramType, result int32, try func(index int, p *ebpf.Program) error) (string, error) {
	dev, err := s.veth()
	if err != nil {
		return "", err
	}
	p, err := load(kind, result)
	if err != nil {
		return "", err
	}
	defer p.Close()
	return "", try(dev.Attrs().Index, p)
}

func tryClsact(s *stage) (string, error) {
	return attach(s, ebpf.SchedCLS, actOK, func(index int, p *ebpf.Program) error {
		err := s.nl.QdiscAdd(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
			QdiscType:  "clsact",
		})
		if err != nil {
			return fmt.Errorf("add clsact: %w", err)
		}
		err = s.nl.FilterAdd(&netlink.BpfFilter{
			FilterAttrs:  netlink.FilterAttrs{LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: 1, Protocol: unix.ETH_P_ALL, Priority: 1},
			Fd:           p.FD(),
			Name:         "probe",
			DirectAction: true,
		})
		if err != nil {
			return fmt.Errorf("add a BPF classifier: %w", err)
		}
		return nil
	})
}

func tryTCX(s *stage) (string, error) {
	return attach(s, ebpf.SchedCLS, actOK, func(index int, p *ebpf.Program) error {
		l, err := link.AttachTCX(link.TCXOptions{Interface: index, Program: p, Attach: ebpf.AttachTCXEgress})
		if err != nil {
			return fmt.Errorf("attach by tcx: %w", err)
		}
		return l.Close()
	})
}

func tryXDP(s *stage) (string, error) {
	return attach(s, ebpf.XDP, xdpPass, func(index int, p *ebpf.Program) error {
		l, err := link.AttachXDP(link.XDPOptions{Interface: index, Program: p, Flags: link.XDPDriverMode})
		if err != nil {
			return fmt.Errorf("attach by XDP: %w", err)
		}
		return l.Close()
	})
}

// tryXDPFeatures looks for the netlink family that tells what the driver of a
// device can do with XDP.
func tryXDPFeatures(s *stage) (string, error) {
	c, err := genetlink.Dial(&mdlayher.Config{NetNS: int(s.ns)})
	if err != nil {
		return "", fmt.Errorf("open generic netlink: %w", err)
	}
	defer c.Close()
	_, err = c.GetFamily("netdev")
	if errors.Is(err, fs.ErrNotExist) {
		return "", lacking("there is no netlink family netdev")
	}
	return "", err
}

// trySessions loads the programs that count, limit and speed up sessions, with
// maps of their own, and attaches them nowhere.
func trySessions(*stage) (string, error) {
	all, err := bpf.Gateway()
	if err != nil {
		return "", err
	}
	spec := all.Copy()
	for _, m := range spec.Maps {
		if m.Type == ebpf.Hash {
			m.MaxEntries = 1
		}
	}
	c, err := ebpf.NewCollection(spec)
	if err == nil {
		c.Close()
		return "", nil
	}
	return "", whyNotLoaded(err)
}

func tryDropped(*stage) (string, error) {
	spec, err := bpf.Ports()
	if err != nil {
		return "", err
	}
	c, err := ebpf.NewCollection(spec)
	if err != nil {
		return "", whyNotLoaded(err)
	}
	defer c.Close()
	l, err := link.AttachTracing(link.TracingOptions{Program: c.Programs[bpf.PortsProgDropped], AttachType: ebpf.AttachTraceRawTp})
	if err != nil {
		return "", err
	}
	return "", l.Close()
}

// whyNotLoaded tells a program that the kernel does not take from a machine that
// cannot tell.
func whyNotLoaded(err error) error {
	if refused, ok := errors.AsType[*ebpf.VerifierError](err); ok && !errors.Is(err, unix.EPERM) {
		return lacking("%v", refused)
	}
	if errors.Is(err, btf.ErrNotFound) {
		return lacking("%v", err)
	}
	return err
}

func tryBTF(*stage) (string, error) {
	_, err := btf.LoadKernelSpec()
	return "", err
}

// tryKfuncs loads a classifier that looks up a connection, which shows that the
// function is there and that classifiers may call it.
func tryKfuncs(*stage) (string, error) {
	lookup, err := kfunc("bpf_skb_ct_lookup")
	if err != nil {
		return "", err
	}
	release, err := kfunc("bpf_ct_release")
	if err != nil {
		return "", err
	}
	const (
		tupleSize = 12 // struct bpf_sock_tuple, ipv4
		optsSize  = 12 // struct bpf_ct_opts as of 5.18; longer ones are accepted too
	)
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type:    ebpf.SchedCLS,
		License: "GPL",
		Instructions: asm.Instructions{
			// r1 is the packet.
			asm.Mov.Imm(asm.R0, 0),
			asm.StoreMem(asm.RFP, -16, asm.R0, asm.DWord),
			asm.StoreMem(asm.RFP, -8, asm.R0, asm.DWord),
			asm.StoreMem(asm.RFP, -32, asm.R0, asm.DWord),
			asm.StoreMem(asm.RFP, -24, asm.R0, asm.DWord),
			asm.Mov.Reg(asm.R2, asm.RFP),
			asm.Add.Imm(asm.R2, -16),
			asm.Mov.Imm(asm.R3, tupleSize),
			asm.Mov.Reg(asm.R4, asm.RFP),
			asm.Add.Imm(asm.R4, -32),
			asm.Mov.Imm(asm.R5, optsSize),
			lookup,
			asm.JEq.Imm(asm.R0, 0, "none"),
			asm.Mov.Reg(asm.R1, asm.R0),
			release,
			asm.Mov.Imm(asm.R0, actOK).WithSymbol("none"),
			asm.Return(),
		},
	})
	if err != nil {
		return "", fmt.Errorf("load a program that looks up a connection: %w", err)
	}
	return "", p.Close()
}

// kfunc returns the call of a kernel function that is built in.
func kfunc(name string) (asm.Instruction, error) {
	spec, err := btf.LoadKernelSpec()
	if err != nil {
		return asm.Instruction{}, err
	}
	var fn *btf.Func
	if err := spec.TypeByName(name, &fn); err != nil {
		if errors.Is(err, btf.ErrNotFound) {
			return asm.Instruction{}, inModule(name)
		}
		return asm.Instruction{}, err
	}
	id, err := spec.TypeID(fn)
	if err != nil {
		return asm.Instruction{}, err
	}
	return asm.Instruction{
		OpCode:   asm.OpCode(asm.JumpClass).SetJumpOp(asm.Call),
		Src:      asm.PseudoKfuncCall,
		Constant: int64(id),
	}, nil
}

// inModule tells a function that this kernel does not have from one that is in
// the conntrack module, whose call is not tried.
func inModule(name string) error {
	spec, err := btf.LoadKernelModuleSpec("nf_conntrack")
	if err == nil {
		var fn *btf.Func
		if err = spec.TypeByName(name, &fn); err == nil {
			return fmt.Errorf("%s is in the module nf_conntrack, from which it is not tried", name)
		}
	}
	return lacking("the kernel has no function %s", name)
}
