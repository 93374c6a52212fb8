package shape

import (
	"errors"
	"fmt"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// makeIFB makes the device, in the place of a link of another kind.
func makeIFB(ns *netns.Namespace, name string, instead netlink.Link) error {
	if instead != nil {
		if err := ns.Netlink().LinkDel(instead); err != nil {
			return fmt.Errorf("remove the %s that has its name: %w", instead.Type(), err)
		}
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = name
	if err := ns.Netlink().LinkAdd(&netlink.Ifb{LinkAttrs: attrs}); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add IFB device (CONFIG_IFB is needed): %w", err)
	}
	return nil
}

func setUp(ns *netns.Namespace, name string) error {
	link, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return err
	}
	return ns.Netlink().LinkSetUp(link)
}

// set makes the bucket the queue of a link. One that is there is changed, with
// what waits in it, unless it could hold larger packets than the new one: such a
// packet (GSO) would never be due, and bar the way to all behind it. Then what
// waits is lost, and the first packets after it pass unhindered.
func (b bucket) set(ns *netns.Namespace, name string) error {
	link, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return err
	}
	there, err := netns.Dump(func() ([]netlink.Qdisc, error) { return ns.Netlink().QdiscList(link) })
	if err != nil {
		return err
	}
	for _, q := range there {
		old, ok := q.(*netlink.Tbf)
		if !ok || old.Parent != netlink.HANDLE_ROOT || float64(old.Rate)*float64(old.Buffer) <= float64(b.rate)*float64(b.burst) {
			continue
		}
		if err := gone(ns.Netlink().QdiscDel(old)); err != nil {
			return fmt.Errorf("remove queueing discipline tbf: %w", err)
		}
	}
	// Without a handle, the kernel takes that of a bucket that is there.
	tbf := &netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: link.Attrs().Index, Parent: netlink.HANDLE_ROOT},
		Rate:       b.rate, Limit: b.limit, Buffer: b.burst,
	}
	if err := ns.Netlink().QdiscReplace(tbf); err != nil {
		return fmt.Errorf("set queueing discipline tbf (CONFIG_NET_SCH_TBF is needed): %w", err)
	}
	return nil
}

// lead leads what passes a link to the direction's queue, in the place of
// whatever filters have the same priority. In between, packets pass unhindered.
func (d direction) lead(ns *netns.Namespace, name string) error {
	link, err := ns.Netlink().LinkByName(name)
	if err != nil {
		return fmt.Errorf("link %s: %w", name, err)
	}
	ifb, err := ns.Netlink().LinkByName(d.ifb)
	if err != nil {
		return fmt.Errorf("link %s: %w", d.ifb, err)
	}
	index := link.Attrs().Index
	qdisc := clsact(index)
	if err := ns.Netlink().QdiscAdd(qdisc); err != nil && !errors.Is(err, unix.EEXIST) {
		return fmt.Errorf("add queueing discipline clsact (CONFIG_NET_SCH_INGRESS is needed): %w", err)
	}
	there, err := d.filters(ns, index)
	if err != nil || leads(there, ifb.Attrs().Index) {
		return err
	}
	if len(there) > 0 {
		// Those of one priority are of one kind and protocol.
		all := *there[0].Attrs()
		all.Handle = 0
		if err := gone(ns.Netlink().FilterDel(&netlink.GenericFilter{FilterAttrs: all, FilterType: there[0].Type()})); err != nil {
			return fmt.Errorf("remove other traffic filter: %w", err)
		}
	}
	filter := &netlink.U32{
		FilterAttrs: netlink.FilterAttrs{LinkIndex: index, Parent: d.hook, Priority: d.priority, Protocol: unix.ETH_P_ALL},
		Actions:     []netlink.Action{netlink.NewMirredAction(ifb.Attrs().Index)},
	}
	if err := ns.Netlink().FilterAdd(filter); err != nil {
		return fmt.Errorf("add traffic filter (CONFIG_NET_CLS_U32 and CONFIG_NET_ACT_MIRRED are needed): %w", err)
	}
	return nil
}

// leave takes a filter away, and the place for filters where it was the last.
func leave(ns *netns.Namespace, f netlink.Filter) error {
	all := *f.Attrs()
	all.Handle = 0
	if err := gone(ns.Netlink().FilterDel(&netlink.GenericFilter{FilterAttrs: all, FilterType: f.Type()})); err != nil {
		return err
	}
	link := &netlink.GenericLink{LinkAttrs: netlink.LinkAttrs{Index: all.LinkIndex}}
	for _, hook := range []uint32{netlink.HANDLE_MIN_INGRESS, netlink.HANDLE_MIN_EGRESS} {
		left, err := netns.Dump(func() ([]netlink.Filter, error) { return ns.Netlink().FilterList(link, hook) })
		if err != nil {
			return err
		}
		if len(left) > 0 {
			return nil
		}
	}
	return gone(ns.Netlink().QdiscDel(clsact(all.LinkIndex)))
}

func clsact(index int) netlink.Qdisc {
	return &netlink.GenericQdisc{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: index, Handle: netlink.MakeHandle(0xffff, 0), Parent: netlink.HANDLE_CLSACT},
		QdiscType:  "clsact",
	}
}
