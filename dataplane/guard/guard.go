package guard

import (
	"context"
	"errors"
	"fmt"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/change"
	"sluice/dataplane/netns"
)

// ErrUnsupported is what New's error wraps where the kernel cannot run the
// guard at all.
var ErrUnsupported = errors.New("the kernel cannot run a BPF traffic classifier")

const (
	filterName = "sluice-guard"
	priority   = 1 // before all other filters
	handle     = 1
)

// Guard attaches the program to uplinks.
type Guard struct {
	mu   sync.Mutex
	tags map[Params]string // of programs that were loaded once
}

// New tries once whether the kernel takes the program. The error wraps
// ErrUnsupported and says what is missing; without a guard, translation alone
// keeps private sources off the public side.
func New() (*Guard, error) {
	// Kernels before 5.11 charge programs to a limit that is low by default.
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("%w: raise the limit of locked memory: %w", ErrUnsupported, err)
	}
	g := &Guard{tags: map[Params]string{}}
	if _, err := g.tag(Params{}); err != nil {
		return nil, fmt.Errorf("%w (CONFIG_BPF_SYSCALL and CAP_BPF are needed): %w", ErrUnsupported, err)
	}
	return g, nil
}

func load(p Params) (*ebpf.Program, error) { return ebpf.NewProgram(Program(p)) }

// tag returns the kernel's hash of the program. It is the kernel that is
// asked, since how it hashes depends on its version.
func (g *Guard) tag(p Params) (string, error) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if t, ok := g.tags[p]; ok {
		return t, nil
	}
	prog, err := load(p)
	if err != nil {
		return "", err
	}
	defer prog.Close()
	info, err := prog.Info()
	if err != nil {
		return "", fmt.Errorf("ask for the program's tag: %w", err)
	}
	if info.Tag == "" {
		return "", errors.New("the kernel gives the program no tag")
	}
	g.tags[p] = info.Tag
	return info.Tag, nil
}

// Plan compares what is attached to link index in namespace ns, with the
// program for p. Index 0 is a link that is not there yet.
func (g *Guard) Plan(ns *netns.Namespace, name string, index int, p Params) (*change.Plan, error) {
	if index != 0 {
		attached, err := g.attached(ns, index, p)
		if err != nil || attached {
			return &change.Plan{}, err
		}
	}
	return &change.Plan{Add: []change.Change{{
		What: "attach guard to " + name, Makes: name,
		Do: func(context.Context) error { return attach(ns, name, p) },
	}}}, nil
}

func (g *Guard) attached(ns *netns.Namespace, index int, p Params) (bool, error) {
	want, err := g.tag(p)
	if err != nil {
		return false, fmt.Errorf("load guard: %w", err)
	}
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: index}}
	filters, err := ns.Netlink().FilterList(link, netlink.HANDLE_MIN_EGRESS)
	if err != nil && !errors.Is(err, netlink.ErrDumpInterrupted) {
		return false, fmt.Errorf("list traffic filters of the uplink in %s: %w", ns, err)
	}
	for _, f := range filters {
		b, ok := f.(*netlink.BpfFilter)
		if ok && b.Tag == want && b.DirectAction && b.Priority == priority && b.Protocol == unix.ETH_P_ALL {
			return true, nil
		}
	}
	return false, nil
}

// attach puts the program in the place of an earlier one in one step.
func attach(ns *netns.Namespace, name string, p Params) error {
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
	prog, err := load(p)
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
