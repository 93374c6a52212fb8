package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Link is one link as the kernel has it.
type Link struct {
	Name      string
	Index     int
	Kind      string // "bridge", "veth", "macvlan", "vxlan", "vlan"; "device" for hardware
	Alias     string
	Group     uint32
	Up        bool
	NoARP     bool
	MTU       int
	MAC       string
	Master    int // index of the bridge that it is a port of, or 0
	Parent    int // index of the veth's other end, or of the macvlan's or VLAN's parent
	ParentNS  int // id of the namespace that Parent is in, -1 for the same one
	Addresses []netip.Prefix

	kernel netlink.Link
}

// State is what the kernel has for one network.
type State struct {
	Links map[string]*Link // those in the namespace, by name

	outside  *outside         // of the uplink; nil without one
	classic  *outside         // of the link to the classic network; nil without one
	underlay map[string]*Link // parents of VLANs and VXLANs in the daemon's namespace; nil values are missing
}

// outside is the other side's end of an uplink, or of the link to the classic network.
type outside struct {
	device *Link // the bridge, parent or device; nil where it is missing
	end    *Link // the link that has the network's: the outer end of a veth pair
	err    error // the namespace cannot be opened
	nsHere int   // id of the outer namespace, as seen from the network's
	nsOut  int   // id of the network's namespace, as seen from the outer one
}

// Links is the links of one network's namespace.
type Links struct {
	ns   *netns.Namespace
	self *netns.Namespace

	// Asked says whether the network with the other end of a router interface asks for its
	// end, too: only then it may be linked. nil: none is.
	Asked func(*dataplane.RouterInterface) bool
	// Linked is told of each that has been linked; nil: nobody is.
	Linked func(*dataplane.RouterInterface)
}

// New returns the links of namespace ns; self is the daemon's own namespace,
// where devices come from. Both stay open and the caller's. It does not touch
// the kernel.
func New(ns, self *netns.Namespace) *Links { return &Links{ns: ns, self: self} }

// Read returns what the kernel has of network n.
func (l *Links) Read(ctx context.Context, n *dataplane.Network) (*State, error) {
	s := &State{Links: map[string]*Link{}, underlay: map[string]*Link{}}
	list, err := readLinks(ctx, l.ns)
	if err != nil {
		return nil, err
	}
	byIndex := make(map[int]*Link, len(list))
	for _, link := range list {
		s.Links[link.Name] = link
		byIndex[link.Index] = link
	}
	addresses, err := netns.Dump(func() ([]netlink.Addr, error) {
		return l.ns.Netlink().AddrList(nil, netlink.FAMILY_V4)
	})
	if err != nil {
		return nil, fmt.Errorf("list addresses in %s: %w", l.ns, err)
	}
	for _, a := range addresses {
		p, ok := netipx.FromStdIPNet(a.IPNet)
		if link := byIndex[a.LinkIndex]; ok && link != nil {
			link.Addresses = append(link.Addresses, p)
		}
	}
	for i := range n.Switches {
		if a := &n.Switches[i].Attachment; a.Kind == dataplane.AttachVLAN || a.Kind == dataplane.AttachVXLAN || a.Kind == dataplane.AttachMacvlan {
			if s.underlay[a.Device], err = find(l.self, a.Device); err != nil {
				return nil, err
			}
		}
	}
	if c := n.Classic; c != nil {
		if s.classic, err = l.readOutside(c.Namespace, c.Device, dataplane.ClassicEnd(n.ID)); err != nil {
			return nil, err
		}
	}
	if u := n.Uplink; u != nil {
		end := ""
		if u.Mode == dataplane.UplinkBridge {
			end = dataplane.LinkName(n.ID)
		}
		if s.outside, err = l.readOutside(u.Namespace, u.Device, end); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// readOutside reads a device in a named namespace, and the outer end of a pair there, unless its
// name is empty.
func (l *Links) readOutside(namespace, device, end string) (*outside, error) {
	out, err := l.open(namespace)
	if err != nil {
		return &outside{err: err}, nil
	}
	defer out.Close()
	o := &outside{}
	if o.device, err = find(out.Namespace, device); err != nil {
		return nil, err
	}
	if end != "" {
		if o.end, err = find(out.Namespace, end); err != nil {
			return nil, err
		}
	}
	if o.nsHere, err = l.ns.Netlink().GetNetNsIdByFd(int(out.Handle())); err != nil {
		return nil, fmt.Errorf("id of namespace %s in %s: %w", out, l.ns, err)
	}
	if o.nsOut, err = out.Netlink().GetNetNsIdByFd(int(l.ns.Handle())); err != nil {
		return nil, fmt.Errorf("id of namespace %s in %s: %w", l.ns, out, err)
	}
	return o, nil
}

// opened is a namespace that Close closes only if it was opened for this use.
type opened struct {
	*netns.Namespace
	borrowed bool
}

func (o opened) Close() {
	if !o.borrowed {
		o.Namespace.Close()
	}
}

func (l *Links) open(name string) (opened, error) {
	if name == "" {
		return opened{l.self, true}, nil
	}
	ns, err := netns.Open(name)
	return opened{ns, false}, err
}

func readLinks(ctx context.Context, ns *netns.Namespace) ([]*Link, error) {
	list, err := netns.Dump(ns.Netlink().LinkList)
	if err != nil {
		return nil, fmt.Errorf("list links in %s: %w", ns, err)
	}
	out := make([]*Link, 0, len(list))
	for _, k := range list {
		out = append(out, fromKernel(k))
	}
	return out, nil
}

// find returns the link of that name, or nil.
func find(ns *netns.Namespace, name string) (*Link, error) {
	k, err := ns.Netlink().LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for link %s in %s: %w", name, ns, err)
	}
	return fromKernel(k), nil
}

func fromKernel(k netlink.Link) *Link {
	a := k.Attrs()
	return &Link{
		Name: a.Name, Index: a.Index, Kind: k.Type(), Alias: a.Alias, Group: a.Group,
		Up: a.RawFlags&unix.IFF_UP != 0, NoARP: a.RawFlags&unix.IFF_NOARP != 0, MTU: a.MTU, MAC: a.HardwareAddr.String(),
		Master: a.MasterIndex, Parent: a.ParentIndex, ParentNS: a.NetNsID, kernel: k,
	}
}

// Index returns the index of a link in the namespace, or 0.
func (s *State) Index(name string) int {
	if link := s.Links[name]; link != nil {
		return link.Index
	}
	return 0
}

// String returns our links as text, one line for each, sorted by name.
func (s *State) String() string {
	names := make(map[int]string, len(s.Links))
	var list []*Link
	for _, link := range s.Links {
		names[link.Index] = link.Name
		if isOurs(link) || strings.HasPrefix(link.Alias, portPrefix) {
			list = append(list, link)
		}
	}
	slices.SortFunc(list, func(a, b *Link) int { return strings.Compare(a.Name, b.Name) })
	var b strings.Builder
	for _, link := range list {
		fmt.Fprintf(&b, "link %s: %s", link.Name, link.Kind)
		if !link.Up {
			b.WriteString(" down")
		}
		fmt.Fprintf(&b, " mtu %d", link.MTU)
		if link.Master != 0 {
			fmt.Fprintf(&b, " port of %s", names[link.Master])
		}
		if link.Alias != "" {
			fmt.Fprintf(&b, " alias %q", link.Alias)
		}
		b.WriteByte('\n')
		slices.SortFunc(link.Addresses, netip.Prefix.Compare)
		for _, a := range link.Addresses {
			fmt.Fprintf(&b, "\taddress %s\n", a)
		}
	}
	return b.String()
}
