package link

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"strings"

	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// moveIn moves a device from a namespace into the network's, under a new name
// and with an alias that says where it came from. All three happen in one
// message, so that a crash cannot leave a device whose origin is not known.
func (l *Links) moveIn(device, namespace, name, alias string) error {
	from, err := l.open(namespace)
	if err != nil {
		return err
	}
	defer from.Close()
	link, err := find(from.Namespace, device)
	if err != nil {
		return err
	}
	if link == nil {
		return l.missing(device, namespace, "the device")
	}
	if err := move(from.Namespace, link.Index, l.ns, name, alias); err != nil {
		return fmt.Errorf("move device %s from %s: %w", device, from, err)
	}
	return nil
}

// remove deletes a link of ours, or gives it back if it was moved in.
func (l *Links) remove(link *Link) error {
	device, namespace, moved := parseMoved(link.Alias)
	if !moved {
		if !isOurs(link) {
			return foreignName(link, "it")
		}
		if err := gone(l.ns.Netlink().LinkDel(link.kernel)); err != nil {
			return fmt.Errorf("delete link %s: %w", link.Name, err)
		}
		return nil
	}
	to, err := l.open(namespace)
	if errors.Is(err, fs.ErrNotExist) {
		// Its home is gone; the daemon's own namespace is the next best.
		to, err = l.open("")
	}
	if err != nil {
		return fmt.Errorf("give device %s back: %w", device, err)
	}
	defer to.Close()
	// The kernel moves first and renames then: it would be there under a name
	// that nobody knows.
	if taken, err := find(to.Namespace, device); err != nil || taken != nil {
		return errors.Join(err, fmt.Errorf("give device %s back to %s: a link of that name is there; rename it", device, to))
	}
	if err := move(l.ns, link.Index, to.Namespace, device, ""); err != nil {
		return fmt.Errorf("give device %s back to %s: %w", device, to, err)
	}
	return nil
}

// RemoveAll removes all our links. Devices that were moved in are given back
// under their old names, down, as the kernel moves them.
func (l *Links) RemoveAll(ctx context.Context) error {
	list, err := readLinks(ctx, l.ns)
	if err != nil {
		return err
	}
	var errs []error
	for _, link := range list {
		if link.Name == "lo" || !isOurs(link) {
			continue
		}
		if err := ctx.Err(); err != nil {
			return errors.Join(append(errs, err)...)
		}
		errs = append(errs, l.remove(link))
	}
	return errors.Join(errs...)
}

// missing says why a device is not where it should be.
func (l *Links) missing(device, namespace, what string) error {
	where := "the daemon's network namespace"
	if namespace != "" {
		where = "network namespace " + namespace
	}
	if user := whoHas(device, namespace); user != "" {
		return fmt.Errorf("%s %s is used by %s already; a device that is moved serves one VSwitch or uplink", what, device, user)
	}
	return fmt.Errorf("%s %s is missing in %s; create it there, or name another one in the configuration", what, device, where)
}

// whoHas looks through the namespaces of all networks for a device that was
// moved in.
func whoHas(device, namespace string) string {
	names, err := netns.List()
	if err != nil {
		return ""
	}
	for _, name := range names {
		network, ok := strings.CutPrefix(name, dataplane.Namespace(""))
		if !ok {
			continue
		}
		if link := findMoved(name, device, namespace); link != nil {
			if link.Name == dataplane.UplinkName {
				return "network " + network + " as its uplink"
			}
			role, _, _ := strings.Cut(strings.TrimPrefix(link.Alias, ours), ",")
			return "network " + network + " as " + role
		}
	}
	return ""
}

func findMoved(in, device, namespace string) *Link {
	ns, err := netns.Open(in)
	if err != nil {
		return nil
	}
	defer ns.Close()
	list, err := readLinks(context.Background(), ns)
	if err != nil {
		return nil
	}
	for _, link := range list {
		if d, from, ok := parseMoved(link.Alias); ok && d == device && from == namespace {
			return link
		}
	}
	return nil
}

// move moves a link to another namespace, renames it and sets its alias, in
// one RTM_NEWLINK.
func move(from *netns.Namespace, index int, to *netns.Namespace, name, alias string) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	req.AddData(nl.NewRtAttr(unix.IFLA_NET_NS_FD, nl.Uint32Attr(uint32(to.Handle()))))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated(name)))
	req.AddData(nl.NewRtAttr(unix.IFLA_IFALIAS, []byte(alias)))
	return execute(from, req)
}

// mostLearned is how many Ethernet addresses a bridge learns: as many as its VSwitch can
// have private addresses. Without a bound, whoever makes up senders takes the machine's memory
// (some 130 bytes for each, for 5 minutes).
const mostLearned = 1 << 16

// bridgeSetting is an attribute of a bridge.
type bridgeSetting struct {
	attribute int
	value     uint32
}

// learning bounds what a bridge learns: from Linux 6.7, others take no notice.
var learning = bridgeSetting{unix.IFLA_BR_FDB_MAX_LEARNED, mostLearned}

// configureBridge turns the spanning tree of a bridge off, and bounds what it learns.
func configureBridge(ns *netns.Namespace, index int) error {
	return setBridge(ns, index, bridgeSetting{nl.IFLA_BR_STP_STATE, 0}, bridgeSetting{nl.IFLA_BR_FORWARD_DELAY, 0}, learning)
}

func setBridge(ns *netns.Namespace, index int, settings ...bridgeSetting) error {
	req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(index)
	req.AddData(msg)
	info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
	info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated("bridge"))
	data := info.AddRtAttr(nl.IFLA_INFO_DATA, nil)
	for _, s := range settings {
		data.AddRtAttr(s.attribute, nl.Uint32Attr(s.value))
	}
	req.AddData(info)
	return execute(ns, req)
}

// BoundLearning bounds what the bridges of a network learn that an earlier version has
// made: it is not among what a State tells.
func (l *Links) BoundLearning(s *State, n *dataplane.Network) error {
	for i := range n.Switches {
		sw := &n.Switches[i]
		have := s.Links[sw.Link()]
		if sw.Attachment.Kind != dataplane.AttachBridge || have == nil || have.Kind != "bridge" || !isOurs(have) {
			continue
		}
		if err := gone(setBridge(l.ns, have.Index, learning)); err != nil {
			return fmt.Errorf("bound what %s learns: %w", have.Name, err)
		}
	}
	return nil
}

// execute sends a request that the library has no call for.
func execute(ns *netns.Namespace, req *nl.NetlinkRequest) error {
	return ns.Do(func() error {
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
}

// gone is err, unless it says that what was to be deleted is not there.
func gone(err error) error {
	if errors.Is(err, unix.ENODEV) || errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ESRCH) {
		return nil
	}
	return err
}
