package lab

import (
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/api/aliyun"
	"sluice/controlplane/resource"
	"sluice/dataplane"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// HostInterface is the name of a host's only interface.
const HostInterface = "eth0"

// HostOptions say what host of a VPC to add.
type HostOptions struct {
	Name       string
	VSwitch    string       // id
	Region     string       // of the VSwitch; default the lab's own
	IP         netip.Addr   // the zero Addr is the next free one of the VSwitch
	Further    []netip.Addr // addresses of its interface besides IP
	InstanceID string       // in the inventory; default i-<Name>
	// Unregistered keeps the host out of the inventory.
	Unregistered bool
	// Serve runs an HTTP server on port 80 of the host.
	Serve bool
	// Client is that of the VSwitch's account; default the lab's own.
	Client *aliyun.Client
}

// HostAdd makes a host: a namespace with one interface that is plugged into a
// VSwitch, its address and default route, and an entry in the inventory. It
// waits until the VSwitch is there. When it fails, nothing of it remains.
func (l *Lab) HostAdd(ctx context.Context, o HostOptions) (Host, error) {
	h, err := l.hostAdd(ctx, o)
	if err != nil {
		return Host{}, fmt.Errorf("add host %s: %w", o.Name, err)
	}
	return *h, nil
}

func (l *Lab) hostAdd(ctx context.Context, o HostOptions) (*Host, error) {
	if err := checkName("host name", o.Name); err != nil {
		return nil, err
	}
	if o.InstanceID == "" {
		o.InstanceID = "i-" + o.Name
	}
	vpc, block, err := l.awaitVSwitch(ctx, o)
	if err != nil {
		return nil, err
	}
	network := dataplane.Namespace(vpc)
	gateway, err := gatewayIn(network, o.VSwitch, block)
	if err != nil {
		return nil, err
	}
	h := &Host{
		Name: o.Name, Namespace: l.namespace(o.Name),
		VPC: vpc, VSwitch: o.VSwitch, Gateway: gateway,
	}
	return h, l.change(func(s *state) error {
		used, err := l.usedAddresses(ctx, o.VSwitch)
		if err != nil {
			return err
		}
		for _, other := range s.Hosts {
			if other.VSwitch != o.VSwitch {
				continue
			}
			for _, a := range append(other.Further, other.IP()) {
				used[a] = true
			}
		}
		ip, err := pickPrivate(block, resource.PlanOf(block, gateway), o.IP, used)
		if err != nil {
			return err
		}
		h.Address = netip.PrefixFrom(ip, block.Bits())
		used[ip] = true
		for _, more := range o.Further {
			if more, err = pickPrivate(block, resource.PlanOf(block, gateway), more, used); err != nil {
				return err
			}
			used[more] = true
			h.Further = append(h.Further, more)
		}
		if !o.Unregistered {
			h.InstanceID = o.InstanceID
		}
		return l.plug(ctx, s, h, network, func(_ *netlink.Handle, port netlink.Link) error {
			return link.Plug(network, o.VSwitch, port.Attrs().Name)
		}, func() error {
			if !o.Unregistered {
				if err := l.register(ctx, h); err != nil {
					return err
				}
			}
			if o.Serve {
				return l.serve(ctx, s, h)
			}
			return nil
		})
	})
}

// plug makes the namespace of a host, and a veth pair from it into the network's
// namespace, where enslave connects the port. finish is done last. All of it is
// undone if a step fails.
func (l *Lab) plug(ctx context.Context, s *state, h *Host, network string, enslave func(*netlink.Handle, netlink.Link) error, finish func() error) (err error) {
	if s.host(h.Name) != nil {
		return fmt.Errorf("the lab has a host of that name already; take another name, or remove it with: sluicectl lab host remove %s", h.Name)
	}
	if err := l.claimNamespace(s, h); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, l.removeHost(context.WithoutCancel(ctx), s, h))
		}
	}()
	if err := wire(h, network, enslave); err != nil {
		return err
	}
	return finish()
}

// claimNamespace records a host and makes its namespace.
func (l *Lab) claimNamespace(s *state, h *Host) error {
	// Before the record, which Down goes by: it must never name what is not ours.
	switch there, err := exists(h.Namespace); {
	case err != nil:
		return err
	case there:
		return fmt.Errorf("network namespace %s exists already; take another name, or remove it with: ip netns del %[1]s", h.Namespace)
	}
	s.Hosts = append(s.Hosts, h)
	if err := s.save(l.Dir); err != nil {
		return err
	}
	if err := createNamespace(h.Namespace); err != nil {
		return errors.Join(err, netns.Delete(h.Namespace))
	}
	return nil
}

func wire(h *Host, network string, enslave func(*netlink.Handle, netlink.Link) error) error {
	return inNamespace(network, func(outer *netlink.Handle, outerNS *netns.Namespace) error {
		return inNamespace(h.Namespace, func(inner *netlink.Handle, _ *netns.Namespace) error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = HostInterface
			pair := &netlink.Veth{LinkAttrs: attrs, PeerName: portName(h.Name), PeerNamespace: netlink.NsFd(outerNS.Handle())}
			if err := inner.LinkAdd(pair); err != nil {
				return fmt.Errorf("make the host's link: %w", err)
			}
			port, err := outer.LinkByName(portName(h.Name))
			if err != nil {
				return fmt.Errorf("find the host's port: %w", err)
			}
			if err := enslave(outer, port); err != nil {
				return fmt.Errorf("plug the host in: %w", err)
			}
			if err := outer.LinkSetUp(port); err != nil {
				return fmt.Errorf("set the host's port up: %w", err)
			}
			return configure(inner, HostInterface, h)
		})
	})
}

// configure gives a host's interface its address and route, and notes its MAC.
func configure(nl *netlink.Handle, ifname string, h *Host) error {
	dev, err := nl.LinkByName(ifname)
	if err != nil {
		return fmt.Errorf("find %s: %w", ifname, err)
	}
	h.MAC = dev.Attrs().HardwareAddr.String()
	addr, err := netlink.ParseAddr(h.Address.String())
	if err != nil {
		return err
	}
	if err := nl.AddrAdd(dev, addr); err != nil {
		return fmt.Errorf("give %s the address %s: %w", ifname, h.Address, err)
	}
	for _, a := range h.Further {
		further := &netlink.Addr{IPNet: netipx.PrefixIPNet(netip.PrefixFrom(a, h.Address.Bits()))}
		if err := nl.AddrAdd(dev, further); err != nil {
			return fmt.Errorf("give %s the address %s: %w", ifname, a, err)
		}
	}
	if err := nl.LinkSetUp(dev); err != nil {
		return fmt.Errorf("set %s up: %w", ifname, err)
	}
	if !h.Gateway.IsValid() {
		return nil
	}
	route := &netlink.Route{LinkIndex: dev.Attrs().Index, Gw: h.Gateway.AsSlice()}
	if err := nl.RouteAdd(route); err != nil {
		return fmt.Errorf("route by %s: %w", h.Gateway, err)
	}
	return nil
}

// portName is the name of a host's port in the network's namespace, of at most
// 15 bytes.
func portName(host string) string {
	if len(host) <= 10 {
		return "port-" + host
	}
	sum := sha256.Sum256([]byte(host))
	return fmt.Sprintf("port-%x", sum[:5])
}

// HostRemove removes a host of a VPC or of the Internet, and its entry in the
// inventory.
func (l *Lab) HostRemove(ctx context.Context, name string) error {
	if name == InternetHost {
		return fmt.Errorf("host %s goes with the lab only: sluicectl lab down", name)
	}
	if _, err := l.Host(name); err != nil {
		return err
	}
	return l.change(func(s *state) error {
		h := s.host(name)
		if h == nil {
			return nil // somebody else was faster
		}
		if err := l.removeHost(ctx, s, h); err != nil {
			return fmt.Errorf("remove host %s: %w", name, err)
		}
		return nil
	})
}

// removeHost undoes plug. The host stays in the record until all is gone.
func (l *Lab) removeHost(ctx context.Context, s *state, h *Host) error {
	// A host that something still depends on stays as it is.
	if h.Registered {
		if err := l.unregister(ctx, h); err != nil {
			return err
		}
	}
	var errs []error
	if h.Server != nil {
		errs = append(errs, h.Server.Kill())
	}
	// The namespace takes the veth pair with it, but only when its last socket
	// is closed: the port goes first, so that nobody sees it in between.
	errs = append(errs, removeLink(l.networkOf(h), portName(h.Name)), netns.Delete(h.Namespace))
	err := errors.Join(errs...)
	if err == nil {
		s.drop(h.Name)
	}
	return err
}

func (l *Lab) networkOf(h *Host) string {
	if h.Internet || h.Classic {
		return l.namespace(InternetHost)
	}
	return dataplane.Namespace(h.VPC)
}

// removeLink removes a link of a namespace; that it is absent, or that the
// namespace is, is fine.
func removeLink(namespace, name string) error {
	err := inNamespace(namespace, func(nl *netlink.Handle, _ *netns.Namespace) error {
		dev, err := nl.LinkByName(name)
		if errors.As(err, new(netlink.LinkNotFoundError)) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("find link %s in %s: %w", name, namespace, err)
		}
		if err := nl.LinkDel(dev); err != nil {
			return fmt.Errorf("remove link %s of %s: %w", name, namespace, err)
		}
		return nil
	})
	if errors.Is(err, netns.ErrNotExist) {
		return nil
	}
	return err
}
