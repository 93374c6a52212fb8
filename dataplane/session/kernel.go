package session

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/asm"
	"github.com/cilium/ebpf/btf"
	"github.com/cilium/ebpf/link"
	"github.com/mdlayher/genetlink"
	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// kernelTypes are what the kernel tells of its types. To decode them takes longer
// than all else in loading the programs, so that it is done once in a process.
var kernelTypes atomic.Pointer[btf.Cache]

func init() { kernelTypes.Store(btf.NewCache()) }

// HaveTCX reports whether the kernel attaches classifiers by tcx (Linux 6.6).
// It tries on a link that does not exist: a kernel without tcx does not get as
// far as to look for it.
func HaveTCX() bool {
	p, err := ebpf.NewProgram(&ebpf.ProgramSpec{
		Type: ebpf.SchedCLS, License: "GPL", Instructions: asm.Instructions{asm.Mov.Imm(asm.R0, -1), asm.Return()},
	})
	if err != nil {
		return false
	}
	defer p.Close()
	const noLink = 1<<31 - 1
	l, err := link.AttachTCX(link.TCXOptions{Interface: noLink, Program: p, Attach: ebpf.AttachTCXIngress})
	if err == nil {
		l.Close()
		return true
	}
	return errors.Is(err, unix.ENODEV)
}

// What a device says that it can do with XDP (enum netdev_xdp_act).
const (
	xdpBasic    = 1 << 0
	xdpRedirect = 1 << 1
	xdpTransmit = 1 << 2 // can be redirected to
)

// errNoFeatures says that the kernel does not tell what devices can do.
var errNoFeatures = errors.New("the kernel does not say what devices can do with XDP (it does from Linux 6.3)")

// xdpFeatures asks the kernel what a link can do with XDP, over generic netlink
// (family netdev, Documentation/netlink/specs/netdev.yaml).
func xdpFeatures(ns *netns.Namespace, index int) (uint64, error) {
	const (
		cmdDevGet    = 1 // NETDEV_CMD_DEV_GET
		attrIfindex  = 1 // NETDEV_A_DEV_IFINDEX
		attrFeatures = 3 // NETDEV_A_DEV_XDP_FEATURES
	)
	c, err := genetlink.Dial(&netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		return 0, fmt.Errorf("open generic netlink: %w", err)
	}
	defer c.Close()
	family, err := c.GetFamily("netdev")
	if errors.Is(err, os.ErrNotExist) {
		return 0, errNoFeatures
	}
	if err != nil {
		return 0, fmt.Errorf("find the netlink family netdev: %w", err)
	}
	attrs := netlink.NewAttributeEncoder()
	attrs.Uint32(attrIfindex, uint32(index))
	data, err := attrs.Encode()
	if err != nil {
		return 0, err
	}
	answers, err := c.Execute(genetlink.Message{Header: genetlink.Header{Command: cmdDevGet, Version: 1}, Data: data}, family.ID, netlink.Request)
	if err != nil {
		return 0, fmt.Errorf("ask what link %d can do with XDP: %w", index, err)
	}
	for _, a := range answers {
		d, err := netlink.NewAttributeDecoder(a.Data)
		if err != nil {
			return 0, err
		}
		for d.Next() {
			if d.Type() == attrFeatures {
				return d.Uint64(), d.Err()
			}
		}
	}
	return 0, nil
}
