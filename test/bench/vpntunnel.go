package main

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/test/lab"
	"sluice/test/strongswan"
)

// pair is a tunnel of Sluice and one made by hand, to the same site.
type pair struct {
	s          *site
	gateway    *near
	host       lab.Host // of the gateway's VPC
	hand, far  *far
	handHost   string // namespace of a host behind it
	handEnd    end
	connection string
	loading    []float64      // ms of --load-all
	echo       netip.AddrPort // at the far site
}

// againstSwanctl compares a tunnel of Sluice with one between two plain
// strongSwans.
func againstSwanctl(ctx context.Context, r *run, s *site) (err error) {
	rounds := 10
	if r.quick {
		rounds = 1
	}
	r.say("a tunnel of a VPN gateway and one made by hand, %d rounds", rounds)
	p := &pair{s: s}
	if p.gateway, err = s.addNear(ctx, 31); err != nil {
		return err
	}
	if p.host, err = s.lab.HostAdd(ctx, lab.HostOptions{Name: "vpnhost", VSwitch: p.gateway.vswitch}); err != nil {
		return err
	}
	for _, f := range []struct {
		to   **far
		name string
		lan  string
	}{{&p.far, "farend", "192.168.200.1"}, {&p.hand, "byhand", "192.168.201.1"}} {
		if *f.to, err = s.addFar(ctx, r, f.name, netip.MustParseAddr(f.lan)); err != nil {
			return err
		}
		defer func() { err = errors.Join(err, (*f.to).Close()) }()
	}
	if p.handHost, err = r.hostBehind(p.hand); err != nil {
		return err
	}
	p.handEnd = end{"hand", p.hand.IP(), p.far.IP(), p.hand.block(), p.far.block()}
	err = p.far.Load(ctx, swanctl(
		end{"sluice", p.far.IP(), p.gateway.address, p.far.block(), p.gateway.block},
		end{"hand", p.far.IP(), p.hand.IP(), p.far.block(), p.hand.block()}))
	if err != nil {
		return err
	}
	to, stop, err := echo(p.far.Host.Namespace, p.far.lan)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	p.echo = to

	values, err := alternate(ctx, rounds,
		func() (float64, error) { return p.up(ctx) },
		func() (float64, error) { return p.upByHand(ctx) })
	if err != nil {
		return err
	}
	err = errors.Join(
		r.report.add("tunnel_up_over_swanctl", median(values[0])/median(values[1]), ratio,
			fmt.Sprintf("medians of %d each; from the answer of CreateVpnConnection, and from the beginning of swanctl --load-all and --initiate, to a packet and its answer", len(values[0]))),
		r.report.add("tunnel_up_ms", median(values[0]), millis, fmt.Sprintf("by Sluice; worst %.3g", quantile(values[0], 1))),
		r.report.add("tunnel_up_swanctl_ms", median(values[1]), millis, fmt.Sprintf("by hand; worst %.3g; --load-all %.3g of it", quantile(values[1], 1), median(p.loading))),
	)
	if err != nil || !r.installed("iperf3") {
		return err
	}
	return p.bulk(ctx, r)
}

// up makes the tunnel of Sluice anew, and returns the time to the first packet
// in milliseconds.
func (p *pair) up(ctx context.Context) (float64, error) {
	if p.connection != "" {
		if err := p.s.insist(ctx, "DeleteVpnConnection", nil, "VpnConnectionId", p.connection); err != nil {
			return 0, err
		}
		p.connection = ""
	}
	if err := p.none(ctx, "sluice"); err != nil {
		return 0, err
	}
	id, err := p.s.connect(ctx, p.gateway, p.far)
	began := time.Now()
	if err != nil {
		return 0, err
	}
	p.connection = id
	if err := awaitEcho(ctx, p.host.Namespace, p.host.IP(), p.echo); err != nil {
		return 0, err
	}
	return float64(time.Since(began)) / float64(time.Millisecond), nil
}

// upByHand does the same with swanctl.
func (p *pair) upByHand(ctx context.Context) (float64, error) {
	if err := p.hand.Load(ctx, swanctl()); err != nil {
		return 0, err
	}
	// There is none at first.
	_, _ = p.hand.Swanctl(ctx, "--terminate", "--ike", "hand")
	if err := p.none(ctx, "hand"); err != nil {
		return 0, err
	}
	began := time.Now()
	if err := p.hand.Load(ctx, swanctl(p.handEnd)); err != nil {
		return 0, err
	}
	p.loading = append(p.loading, float64(time.Since(began))/float64(time.Millisecond))
	if _, err := p.hand.Swanctl(ctx, "--initiate", "--ike", "hand", "--child", "lan"); err != nil {
		return 0, err
	}
	if err := awaitEcho(ctx, p.handHost, behind(p.hand), p.echo); err != nil {
		return 0, err
	}
	return float64(time.Since(began)) / float64(time.Millisecond), nil
}

// behind is the address of the host behind a site.
func behind(f *far) netip.Addr { return after(f.lan, 9) }

// hostBehind makes a host in the network of a site, which forwards for it: as
// many hops as with a VPN gateway.
func (r *run) hostBehind(f *far) (namespace string, err error) {
	namespace = r.name("vpnhost")
	if err := createNamespace(namespace); err != nil {
		return "", err
	}
	inner, err := netns.Open(namespace)
	if err != nil {
		return "", err
	}
	defer inner.Close()
	outer, err := netns.Open(f.Host.Namespace)
	if err != nil {
		return "", err
	}
	defer outer.Close()
	err = outer.Set(netns.Sysctl{Path: "ipv4/conf/all/rp_filter", Value: "0"}, netns.Sysctl{Path: "ipv4/ip_forward", Value: "1"})
	if err != nil {
		return "", err
	}
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "lan"
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: "eth0", PeerNamespace: netlink.NsFd(inner.Handle())}
	if err := outer.Netlink().LinkAdd(veth); err != nil {
		return "", fmt.Errorf("add a host to %s: %w", f.Host.Namespace, err)
	}
	router := after(f.lan, 252)
	for _, side := range []struct {
		nl      *netlink.Handle
		link    string
		address netip.Addr
	}{{outer.Netlink(), "lan", router}, {inner.Netlink(), "eth0", behind(f)}} {
		l, err := side.nl.LinkByName(side.link)
		if err != nil {
			return "", err
		}
		ip := netipx.PrefixIPNet(netip.PrefixFrom(side.address, 24))
		ip.IP = side.address.AsSlice()
		if err := errors.Join(side.nl.AddrAdd(l, &netlink.Addr{IPNet: ip}), side.nl.LinkSetUp(l)); err != nil {
			return "", fmt.Errorf("set %s up with address %s: %w", side.link, side.address, err)
		}
	}
	return namespace, inner.Netlink().RouteAdd(&netlink.Route{Gw: router.AsSlice()})
}

// none waits until the far site has no SA of a connection.
func (p *pair) none(ctx context.Context, name string) error {
	return poll(ctx, "wait for the old tunnel to go", func() error {
		out, err := p.far.Swanctl(ctx, "--list-sas", "--ike", name)
		if err == nil && strings.Contains(out, name) {
			err = errors.New(out)
		}
		return err
	})
}

// bulk compares TCP through both tunnels, which are up. The one made by hand has
// the queue that the gateway's bandwidth is; at first it has none.
func (p *pair) bulk(ctx context.Context, r *run) error {
	rounds, length := 40, 2 // single pairs are a tenth apart
	if r.quick {
		rounds, length = 1, 1
	}
	r.say("TCP through both tunnels, %d rounds", rounds)
	start := func(namespace string, c *exec.Cmd) error { return lab.In(namespace, c.Start) }
	near := func() (float64, error) {
		return iperf(ctx, p.host.Namespace, p.far.Host.Namespace, p.far.lan, length, start)
	}
	hand := func() (float64, error) {
		return iperf(ctx, p.handHost, p.far.Host.Namespace, p.far.lan, length, start)
	}
	free, err := hand()
	if err != nil {
		return err
	}
	// Where charon carries both over a TUN device.
	limited, err := limitLike(p.gateway.vpc, p.hand.Host.Namespace, strongswan.LibipsecDevice)
	if err != nil {
		return err
	}
	note := "one TCP connection of iperf3; the gateway's queue is not found, the one by hand has none"
	if limited {
		note = fmt.Sprintf("one TCP connection of iperf3; both limited to %d Mbit/s by a queue", vpnBandwidth)
		if free < 0.9*vpnBandwidth*1e6 {
			note += ", which charon's own ESP does not reach here"
		}
	}
	values, err := alternate(ctx, rounds, hand, near)
	if err != nil {
		return err
	}
	return errors.Join(
		r.report.addRatio("ipsec_tcp_over_swanctl", values[0], values[1], note),
		r.report.add("ipsec_tcp", median(values[1]), bitRate, "through a tunnel of Sluice"),
		r.report.add("ipsec_tcp_swanctl", median(values[0]), bitRate, "through the one made by hand, with such a limit"),
		r.report.add("ipsec_tcp_swanctl_free", free, bitRate, "through the one made by hand without the limit, one sample"),
	)
}

// limitLike gives a device of a namespace the queue that the bandwidth of a VPC's VPN
// gateway is, where it is one of the VPC's links. It reports whether there is one.
func limitLike(vpc, namespace, device string) (bool, error) {
	var tbf *netlink.Tbf
	err := lab.In(dataplane.Namespace(vpc), func() error {
		all, err := netlink.QdiscList(nil)
		for _, q := range all {
			if t, ok := q.(*netlink.Tbf); ok {
				tbf = t
			}
		}
		return err
	})
	if err != nil || tbf == nil {
		return false, err
	}
	return true, lab.In(namespace, func() error {
		l, err := netlink.LinkByName(device)
		if err != nil {
			return err
		}
		return netlink.QdiscReplace(&netlink.Tbf{
			QdiscAttrs: netlink.QdiscAttrs{LinkIndex: l.Attrs().Index, Parent: netlink.HANDLE_ROOT},
			Rate:       tbf.Rate, Limit: tbf.Limit, Buffer: tbf.Buffer,
		})
	})
}
