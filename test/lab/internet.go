package lab

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/dataplane/netns"
)

func (l *Lab) namespace(host string) string { return l.Name + "-" + host }

// makeInternet makes the public network: a bridge, the gateway's address on it,
// and an HTTP server.
func (l *Lab) makeInternet(ctx context.Context) error {
	h := &Host{
		Name: InternetHost, Namespace: l.namespace(InternetHost), Internet: true,
		Address: netip.PrefixFrom(PublicGateway, PublicPrefix.Bits()),
	}
	return l.change(func(s *state) error {
		if err := l.claimNamespace(s, h); err != nil {
			return err
		}
		err := inNamespace(h.Namespace, func(nl *netlink.Handle, _ *netns.Namespace) error {
			attrs := netlink.NewLinkAttrs()
			attrs.Name = PublicBridge
			// A bridge without an address of its own takes that of a port, and
			// changes it with the ports.
			attrs.HardwareAddr = net.HardwareAddr{0x02, 0, 203, 0, 113, 1}
			if err := nl.LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
				return fmt.Errorf("make bridge %s: %w", PublicBridge, err)
			}
			return configure(nl, PublicBridge, h)
		})
		if err != nil {
			return fmt.Errorf("public network: %w", err)
		}
		return l.serve(ctx, s, h)
	})
}

// InternetAdd adds a host to the public network, with an HTTP server of its
// own. Its address is outside the pool of elastic IPs; the zero Addr is the
// next free one.
func (l *Lab) InternetAdd(ctx context.Context, name string, ip netip.Addr) (Host, error) {
	if err := checkName("host name", name); err != nil {
		return Host{}, err
	}
	h := &Host{Name: name, Namespace: l.namespace(name), Internet: true}
	err := l.change(func(s *state) error {
		used := map[netip.Addr]bool{}
		for _, o := range s.Hosts {
			used[o.IP()] = true
		}
		ip, err := pickPublic(ip, used)
		if err != nil {
			return err
		}
		h.Address = netip.PrefixFrom(ip, PublicPrefix.Bits())
		return l.plug(ctx, s, h, l.namespace(InternetHost), func(nl *netlink.Handle, port netlink.Link) error {
			bridge, err := nl.LinkByName(PublicBridge)
			if err != nil {
				return fmt.Errorf("find bridge %s: %w", PublicBridge, err)
			}
			return nl.LinkSetMaster(port, bridge)
		}, func() error { return l.serve(ctx, s, h) })
	})
	if err != nil {
		return Host{}, fmt.Errorf("add Internet host %s: %w", name, err)
	}
	return *h, nil
}

func pickPublic(ip netip.Addr, used map[netip.Addr]bool) (netip.Addr, error) {
	last := lastAddr(PublicPrefix)
	fits := func(a netip.Addr) bool {
		return PublicPrefix.Contains(a) && a != PublicPrefix.Addr() && a != last &&
			(a.Less(PoolFirst) || PoolLast.Less(a)) && !used[a]
	}
	if ip.IsValid() {
		if !fits(ip) {
			return ip, fmt.Errorf("address %s will not do; take a free one of %s outside the elastic IPs %s-%s", ip, PublicPrefix, PoolFirst, PoolLast)
		}
		return ip, nil
	}
	for a := PublicPrefix.Addr(); PublicPrefix.Contains(a); a = a.Next() {
		if fits(a) {
			return a, nil
		}
	}
	return ip, fmt.Errorf("no address of %s outside the elastic IPs %s-%s is free", PublicPrefix, PoolFirst, PoolLast)
}

// servicePort is where a host's HTTP server listens.
const servicePort = "80"

// serve starts the HTTP server of a host and returns when it answers.
func (l *Lab) serve(ctx context.Context, s *state, h *Host) error {
	address := net.JoinHostPort(h.IP().String(), servicePort)
	log := filepath.Join(l.Dir, "http-"+h.Name+".log")
	p, err := startDetached(l.Dir, h.Namespace, log, s.Sluicectl, "lab", "serve", "--name", h.Name, "--listen", address)
	if err != nil {
		return err
	}
	h.Server = &p
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	return Await(ctx, "wait for the HTTP server of "+h.Name, func() error {
		if !p.Alive() {
			cancel()
			return fmt.Errorf("it ended; its log is %s", log)
		}
		_, err := Get(ctx, dialer(h.Namespace), "http://"+address+"/")
		return err
	})
}
