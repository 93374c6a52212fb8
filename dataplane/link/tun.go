package link

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/plan"
)

// tunDevice is where TUN devices are made and opened.
const tunDevice = "/dev/net/tun"

func serverAlias(id string) string { return ours + "SSL-VPN server " + id }

// planServer plans the TUN device of an SSL-VPN server.
func (l *Links) planServer(p *Plan, s *State, server *dataplane.SSLServer) {
	name, alias := server.Link(), serverAlias(server.ID)
	have := s.Links[name]
	if have != nil && !isTUN(have) {
		p.going[name] = have
		have = nil
	}
	if have == nil {
		p.Make = append(p.Make, plan.Change{
			What: "make TUN device " + name, Makes: name,
			Do: func(context.Context) error {
				if err := l.makeWay(p, name); err != nil {
					return err
				}
				return l.makeTUN(name, alias, server.MTU())
			},
		})
	} else {
		l.planSettings(p, have, name, alias, nil, server.MTU())
	}
	l.planAddresses(p, have, name, []netip.Prefix{netip.PrefixFrom(server.Own(), server.Pool.Bits())})
}

// isTUN reports whether a link is a TUN device that stays when nobody has it open.
func isTUN(have *Link) bool {
	k, ok := have.kernel.(*netlink.Tuntap)
	return ok && k.Mode == netlink.TUNTAP_MODE_TUN && !k.NonPersist && k.Flags&netlink.TUNTAP_MULTI_QUEUE == 0
}

// makeTUN makes a TUN device, down and without addresses. Until it is complete, it is one
// that goes with the process.
func (l *Links) makeTUN(name, alias string, mtu int) error {
	var f *os.File
	err := l.ns.Do(func() (err error) {
		if f, err = os.OpenFile(tunDevice, os.O_RDWR, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI | unix.IFF_TUN_EXCL)
		return unix.IoctlIfreq(int(f.Fd()), unix.TUNSETIFF, request)
	})
	if f != nil {
		defer f.Close()
	}
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, unix.ENODEV) {
		return fmt.Errorf("this machine has no TUN devices (CONFIG_TUN, module tun); load the module: %w", err)
	}
	if err != nil {
		return fmt.Errorf("make TUN device %s in %s: %w", name, l.ns, err)
	}
	return l.onLink(name, func(k netlink.Link) error {
		nl := l.ns.Netlink()
		if err := errors.Join(nl.LinkSetGroup(k, Group), nl.LinkSetAlias(k, alias), nl.LinkSetMTU(k, mtu)); err != nil {
			return err
		}
		return unix.IoctlSetInt(int(f.Fd()), unix.TUNSETPERSIST, 1)
	})(nil)
}
