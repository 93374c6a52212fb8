package egressfilter

import (
	"context"
	"errors"
	"fmt"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
	"sluice/dataplane/plan"
)

// ErrUnsupported is what New's error wraps where the kernel cannot run the
// egress filter at all.
var ErrUnsupported = errors.New("the kernel cannot run a BPF traffic classifier")

const (
	filterName = "sluice-guard"
	filterKind = "bpf"
	priority   = 1 // before all other filters
	handle     = 1
)

// Filter attaches the program to uplinks.
type Filter struct{}

// New tries once whether the kernel takes the program. The error wraps
// ErrUnsupported and says what is missing; without an egress filter, translation alone
// keeps private sources off the public side.
func New() (*Filter, error) {
	// Kernels before 5.11 charge programs to a limit that is low by default.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("%w: raise the limit of locked memory: %w", ErrUnsupported, err)
	}
	spec, err := Program(Params{})
	if err != nil {
		return nil, err
	}
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		return nil, fmt.Errorf("%w (CONFIG_BPF_SYSCALL and CAP_BPF are needed): %w", ErrUnsupported, err)
	}
	return &Filter{}, prog.Close()
}

// Plan compares what is attached to link index in namespace ns, with the
// program for p. Index 0 is a link that is not there yet. A filter of somebody
// else's that would see packets before the egress filter, and could let them pass, is
// taken away; filters after it are not touched.
func (g *Filter) Plan(ns *netns.Namespace, name string, index int, p Params) (*plan.Plan, error) {
	spec, err := Program(p)
	if err != nil {
		return nil, err
	}
	todo := &plan.Plan{}
	var found filters
	if index != 0 {
		if found, err = readFilters(ns, index, spec); err != nil {
			return nil, err
		}
	}
	// One of another kind or protocol does not let ours in beside it, and goes
	// before; another BPF program goes when ours is there.
	if found.instead != nil {
		todo.Add = append(todo.Add, remove(ns, name, found.instead))
	}
	if !found.attached {
		todo.Add = append(todo.Add, plan.Change{
			What: "attach the egress filter to " + name, Makes: name,
			Do: func(context.Context) error { return attach(ns, name, spec) },
		})
	}
	for _, f := range found.beside {
		todo.Add = append(todo.Add, remove(ns, name, f))
	}
	return todo, nil
}

// filters are those of the filter's priority.
type filters struct {
	attached bool             // ours is there
	instead  netlink.Filter   // stands for all in its place, which are of one kind and protocol
	beside   []netlink.Filter // may come before it: the one that came last is asked first
}

func readFilters(ns *netns.Namespace, index int, spec *ebpf.ProgramSpec) (filters, error) {
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	list, err := netns.Dump(func() ([]netlink.Filter, error) { return ns.Netlink().FilterList(link, netlink.HANDLE_MIN_EGRESS) })
	if err != nil {
		return filters{}, fmt.Errorf("list traffic filters of the uplink in %s: %w", ns, err)
	}
	var found filters
	for _, f := range list {
		a := f.Attrs()
		if a.Priority != priority || (a.Chain != nil && *a.Chain != 0) {
			continue
		}
		if f.Type() != filterKind || a.Protocol != unix.ETH_P_ALL {
			all := *a
			all.Handle = 0
			found.instead = &netlink.GenericFilter{FilterAttrs: all, FilterType: f.Type()}
			continue
		}
		b, ok := f.(*netlink.BpfFilter)
		if a.Handle != handle || !ok {
			found.beside = append(found.beside, f)
			continue
		}
		if b.DirectAction {
			if found.attached, err = hasTag(spec, b.Tag); err != nil {
				return filters{}, err
			}
		}
	}
	return found, nil
}

func remove(ns *netns.Namespace, name string, f netlink.Filter) plan.Change {
	return plan.Change{
		What: fmt.Sprintf("remove foreign traffic filter of kind %s before the egress filter of %s", f.Type(), name), Makes: name,
		Do: func(context.Context) error {
			err := ns.Netlink().FilterDel(f)
			if errors.Is(err, unix.ENOENT) {
				return nil
			}
			return err
		},
	}
}

// attach puts the program in the place of an earlier one in one step.
func attach(ns *netns.Namespace, name string, spec *ebpf.ProgramSpec) error {
	link, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	qdisc := &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
	if err := ns.Netlink().QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add queueing discipline clsact (CONFIG_NET_SCH_INGRESS is needed): %w", err)
	}
	prog, err := ebpf.NewProgram(spec)
	if err != nil {
		return err
	}
	defer prog.Close() // the filter keeps it
	filter := &netlink.BpfFilter{
		FilterAttrs: netlink.FilterAttrs{
			LinkIndex: index, Parent: netlink.HANDLE_MIN_EGRESS, Handle: handle, Priority: priority, Protocol: unix.ETH_P_ALL,
		},
		Fd: prog.FD(), Name: filterName, DirectAction: true,
	}
	if err := ns.Netlink().FilterReplace(filter); err != nil {
		return fmt.Errorf("add traffic filter (CONFIG_NET_CLS_BPF is needed): %w", err)
	}
	return nil
}
