package lab

import (
	"context"
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/api/admin"
	"sluice/dataplane/netns"
)

// makeClassic makes the bridge of the classic network.
func (l *Lab) makeClassic() error {
	return inNamespace(l.namespace(InternetHost), func(nl *netlink.Handle, _ *netns.Namespace) error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = ClassicBridge
		bridge := &netlink.Bridge{LinkAttrs: attrs}
		if err := nl.LinkAdd(bridge); err != nil {
			return fmt.Errorf("make bridge %s: %w", ClassicBridge, err)
		}
		return nl.LinkSetUp(bridge)
	})
}

// ClassicAdd makes a host of the classic network, and puts it into the inventory as i-<name>, an
// instance of the lab's own account. It has no route but to that network. When it fails, nothing
// of it remains.
func (l *Lab) ClassicAdd(ctx context.Context, name string, ip netip.Addr) (Host, error) {
	if err := checkName("host name", name); err != nil {
		return Host{}, err
	}
	h := &Host{Name: name, Namespace: l.namespace(name), Classic: true, Address: netip.PrefixFrom(ip, ClassicPrefix.Bits()), InstanceID: "i-" + name}
	err := l.change(func(s *state) error {
		return l.plug(ctx, s, h, l.namespace(InternetHost), func(nl *netlink.Handle, port netlink.Link) error {
			bridge, err := nl.LinkByName(ClassicBridge)
			if err != nil {
				return fmt.Errorf("find bridge %s, which a lab with a classic network has: %w", ClassicBridge, err)
			}
			return nl.LinkSetMaster(port, bridge)
		}, func() error {
			return l.withAdmin(func(c *admin.Client) error {
				_, err := c.AddClassicInstance(ctx, admin.NewClassicInstance{ID: h.InstanceID, Account: s.Account, Region: s.Region, Address: ip.String(), MAC: h.MAC})
				h.Registered = err == nil
				return err
			})
		})
	})
	if err != nil {
		return Host{}, fmt.Errorf("add host %s: %w", name, err)
	}
	return *h, nil
}

// routeClassic gives a host of the classic network the routes to the blocks of the VPC that it is
// linked to, and takes others away.
func (l *Lab) routeClassic(ctx context.Context, h *Host) error {
	var to admin.ClassicInstance
	err := l.withAdmin(func(c *admin.Client) error {
		list, err := c.ClassicInstances(ctx)
		for _, i := range list {
			if i.ID == h.InstanceID {
				to = i
			}
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("plug host %s: %w", h.Name, err)
	}
	return inNamespace(h.Namespace, func(inner *netlink.Handle, _ *netns.Namespace) error {
		dev, err := inner.LinkByName(HostInterface)
		if err != nil {
			return err
		}
		have, err := inner.RouteList(dev, netlink.FAMILY_V4)
		if err != nil {
			return err
		}
		var errs []error
		for i := range have {
			if have[i].Gw != nil {
				errs = append(errs, inner.RouteDel(&have[i]))
			}
		}
		for _, text := range to.Blocks {
			block, err := netip.ParsePrefix(text)
			router, err2 := netip.ParseAddr(to.Router)
			if err := errors.Join(err, err2); err != nil {
				return err
			}
			errs = append(errs, inner.RouteReplace(&netlink.Route{LinkIndex: dev.Attrs().Index, Dst: netipx.PrefixIPNet(block), Gw: router.AsSlice()}))
		}
		return errors.Join(errs...)
	})
}
