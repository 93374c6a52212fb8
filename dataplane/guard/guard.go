package guard

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// ErrUnsupported is what errors wrap where the kernel cannot hold the guard:
// it needs Linux 5.1 with CONFIG_BPF_SYSCALL, CONFIG_NET_SCH_INGRESS (clsact)
// and CONFIG_NET_CLS_BPF.
var ErrUnsupported = errors.New("the kernel cannot classify packets by BPF at the egress of a link")

// The place and name of the classifier. No other comes before priority 1; but
// programs that are attached by tcx run before all of clsact, and what they
// answer other than TCX_NEXT is final.
const (
	filterName = "sluice-guard"
	priority   = 1
	handle     = 1
)

// Apply makes link ifname of namespace ns send nothing but ARP, and IPv4 with a
// source that is public or in one of the prefixes of allow, which must be IPv4.
// The link must carry Ethernet frames. Prefixes without private addresses make
// no difference.
//
// A guard that is already there and does the same is left as it is, whoever
// attached it. One that does something else is exchanged as a whole: each
// packet meets the old one or the new one. Apply reports whether it had to
// change anything; after an error, a former guard is still there.
//
// The error wraps ErrUnsupported where the kernel lacks what is needed.
func Apply(ns netns.NsHandle, ifname string, allow []netip.Prefix) (changed bool, err error) {
	g, err := open(ns, ifname, allow)
	if err != nil {
		return false, fmt.Errorf("guard link %s: %w", ifname, err)
	}
	defer g.close()
	if changed, err = g.apply(); err != nil {
		return changed, fmt.Errorf("guard link %s: %w", ifname, err)
	}
	return changed, nil
}

// Guarded reports whether Apply with the same arguments would find nothing to
// change. It changes nothing.
func Guarded(ns netns.NsHandle, ifname string, allow []netip.Prefix) (bool, error) {
	g, err := open(ns, ifname, allow)
	if err != nil {
		return false, fmt.Errorf("look for the guard of link %s: %w", ifname, err)
	}
	defer g.close()
	_, clsact, err := g.qdisc()
	if err == nil && clsact {
		var ok bool
		if ok, err = g.attached(); err == nil {
			return ok, nil
		}
	}
	if err != nil {
		return false, fmt.Errorf("look for the guard of link %s: %w", ifname, err)
	}
	return false, nil
}

// apply attaches the classifier unless it is attached.
//
// A crash after the qdisc leaves a link without a guard, as it was before; the
// classifier itself is there or not.
func (g *guard) apply() (changed bool, err error) {
	other, clsact, err := g.qdisc()
	if err != nil {
		return false, err
	}
	if other != "" {
		return false, fmt.Errorf("it has a qdisc %s in the place of clsact: remove it", other)
	}
	if clsact {
		ok, err := g.attached()
		if ok || err != nil {
			return false, err
		}
	}
	// Loaded before the link is touched: most failures are here.
	if err := rlimit.RemoveMemlock(); err != nil {
		return false, fmt.Errorf("allow the memory for BPF programs: %w", unsupported(err))
	}
	p, err := load(g.insns)
	if err != nil {
		return false, err
	}
	defer p.Close() // the link keeps it
	if !clsact {
		err := g.nl.QdiscAdd(&netlink.GenericQdisc{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: g.index(), Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
			QdiscType:  "clsact",
		})
		if err != nil {
			return false, fmt.Errorf("add qdisc clsact: %w", unsupported(err))
		}
	}
	// With the handle of one that exists, the kernel exchanges the program
	// under it in one step.
	err = g.nl.FilterReplace(&netlink.BpfFilter{
		FilterAttrs:  netlink.FilterAttrs{LinkIndex: g.index(), Parent: netlink.HANDLE_MIN_EGRESS, Handle: handle, Protocol: unix.ETH_P_ALL, Priority: priority},
		Fd:           p.FD(),
		Name:         filterName,
		DirectAction: true,
	})
	if err != nil {
		return !clsact, fmt.Errorf("attach the classifier: %w", unsupported(err))
	}
	return true, nil
}

// unsupported adds ErrUnsupported to what a kernel answers that lacks a
// facility.
func unsupported(err error) error {
	if isUnsupported(err) {
		return fmt.Errorf("%w: %w", ErrUnsupported, err)
	}
	return err
}

// isUnsupported tells what a kernel without the BPF system call, clsact or BPF
// classifiers answers from other errors: an unknown kind is ENOENT.
func isUnsupported(err error) bool {
	for _, e := range []error{ebpf.ErrNotSupported, unix.ENOSYS, unix.ENOENT, unix.EOPNOTSUPP} {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
