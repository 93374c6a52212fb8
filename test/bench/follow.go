package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"time"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/ti-mo/conntrack"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/dataplane/netns"
	"sluice/test/lab"
)

// Other flows of the network, which are not touched while routes change.
var otherFlows = []int{10_000, 100_000}

// followed is a flow of UDP from a host with an SNAT entry to a site, which is
// reached over the Internet or by a tunnel. The site sees by which.
type followed struct {
	s        *site
	gateway  *near
	host     lab.Host
	external netip.Addr
	far      *far
	route    []string
	seen     chan arrival
	made     int // other flows
}

// arrival is a packet at the site that came from another address than the one
// before it.
type arrival struct {
	from netip.Addr
	at   time.Time
}

// follows measures how long after a route into a tunnel has been created or
// deleted the packets of an open flow take the way that is right.
func follows(ctx context.Context, r *run, s *site) (err error) {
	rounds := 100
	if r.quick {
		rounds = 4
	}
	f := &followed{s: s, seen: make(chan arrival, 1024)}
	if err := f.build(ctx, r); err != nil {
		return err
	}
	defer func() {
		err = errors.Join(err, f.far.Close(), s.lab.HostRemove(context.WithoutCancel(ctx), "spare"))
	}()
	stop, err := f.run()
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, stop()) }()
	if _, err := f.await(ctx, f.external); err != nil {
		return err
	}
	for i, others := range otherFlows {
		if r.quick {
			others /= 10
		}
		r.say("an open flow follows a route, %d times, among %d others", rounds, others)
		if err := f.fill(others); err != nil {
			return err
		}
		var there, back []time.Duration
		for range rounds / 2 {
			a, err := f.change(ctx, "CreateVpnRouteEntry", f.host.IP(), "PublishVpc", "true")
			if err != nil {
				return err
			}
			b, err := f.change(ctx, "DeleteVpnRouteEntry", f.external)
			if err != nil {
				return err
			}
			there, back = append(there, a), append(back, b)
		}
		all := milliseconds(append(append([]time.Duration{}, there...), back...))
		name := [...]string{"flow_follows_route_ms", "flow_follows_route_100k_ms"}[i]
		if err := r.report.add(name, quantile(all, 0.99), millis,
			fmt.Sprintf("p99 of %d route entries created and %d deleted, from the answer to the first packet at the site by the other way, among %d other flows; medians %.3g ms created, %.3g ms deleted",
				len(there), len(back), others, median(milliseconds(there)), median(milliseconds(back)))); err != nil {
			return err
		}
	}
	return nil
}

// build makes a VPC with a NAT gateway and a VPN gateway, a host, and a site that
// has an address of the public network, too.
func (f *followed) build(ctx context.Context, r *run) (err error) {
	s := f.s
	if f.gateway, err = s.addNear(ctx, 30); err != nil {
		return err
	}
	if f.host, err = s.lab.HostAdd(ctx, lab.HostOptions{Name: "follower", VSwitch: f.gateway.vswitch}); err != nil {
		return err
	}
	var gw aliyun.CreateNatGatewayResponse
	if err := s.call(ctx, "CreateNatGateway", &gw, "VpcId", f.gateway.vpc); err != nil {
		return err
	}
	if err := s.settled(ctx, f.gateway.vpc, gw.NatGatewayId); err != nil {
		return err
	}
	var eip aliyun.AllocateEipAddressResponse
	if err := s.call(ctx, "AllocateEipAddress", &eip); err != nil {
		return err
	}
	if f.external, err = netip.ParseAddr(eip.EipAddress); err != nil {
		return err
	}
	err = errors.Join(
		s.call(ctx, "AssociateEipAddress", nil, "AllocationId", eip.AllocationId, "InstanceId", gw.NatGatewayId, "InstanceType", "Nat"),
		s.settled(ctx, f.gateway.vpc, gw.NatGatewayId),
		s.call(ctx, "CreateSnatEntry", nil, "SnatTableId", gw.SnatTableIds.SnatTableId[0], "SourceVSwitchId", f.gateway.vswitch, "SnatIp", eip.EipAddress))
	if err != nil {
		return err
	}
	// The address of a machine that is not there any more.
	spare, err := s.lab.InternetAdd(ctx, "spare", netip.Addr{})
	if err != nil {
		return err
	}
	err = lab.In(spare.Namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		return netlink.LinkSetDown(link)
	})
	if err != nil {
		return err
	}
	if f.far, err = s.addFar(ctx, r, "followee", spare.IP()); err != nil {
		return err
	}
	block := netip.PrefixFrom(spare.IP(), 32).String()
	if err := f.far.Load(ctx, swanctl(end{"follow", f.far.IP(), f.gateway.address, block, f.gateway.block})); err != nil {
		return err
	}
	var c aliyun.CreateVpnConnectionResponse
	err = s.insist(ctx, "CreateVpnConnection", &c,
		"VpnGatewayId", f.gateway.gateway, "CustomerGatewayId", f.far.customer, "LocalSubnet", f.gateway.block, "RemoteSubnet", block,
		"EffectImmediately", "true", "AutoConfigRoute", "false",
		"IkeConfig", fmt.Sprintf(`{"Psk":%q,"IkeVersion":"ikev2","IkeEncAlg":"aes256","IkeAuthAlg":"sha256","IkePfs":"group14","IkeLifetime":86400}`, vpnKey),
		"IpsecConfig", `{"IpsecEncAlg":"aes256","IpsecAuthAlg":"sha256","IpsecPfs":"group14","IpsecLifetime":86400}`)
	if err != nil {
		return err
	}
	f.route = []string{"VpnGatewayId", f.gateway.gateway, "RouteDest", block, "NextHop", c.VpnConnectionId, "Weight", "100"}
	return poll(ctx, "wait for the tunnel", func() error {
		var got aliyun.DescribeVpnConnectionResponse
		if err := s.call(ctx, "DescribeVpnConnection", &got, "VpnConnectionId", c.VpnConnectionId); err != nil {
			return err
		}
		if got.Status != vpnEstablished {
			return fmt.Errorf("its status is %s", got.Status)
		}
		return nil
	})
}

// run sends a packet of the flow every millisecond, and has the site answer it,
// until stop is called.
func (f *followed) run() (stop func() error, err error) {
	at, err := listenUDP(f.far.Host.Namespace, f.far.lan)
	if err != nil {
		return nil, err
	}
	from, err := listenUDP(f.host.Namespace, f.host.IP())
	if err != nil {
		return nil, errors.Join(err, at.Close())
	}
	go func() {
		buffer := make([]byte, 64)
		var last netip.Addr
		for {
			n, who, err := at.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			if who.Addr() != last {
				last = who.Addr()
				f.seen <- arrival{last, time.Now()}
			}
			_, _ = at.WriteToUDPAddrPort(buffer[:n], who)
		}
	}()
	to := netip.MustParseAddrPort(at.LocalAddr().String())
	done := make(chan struct{})
	go func() {
		tick := time.NewTicker(time.Millisecond)
		defer tick.Stop()
		var number [8]byte
		for i := uint64(0); ; i++ {
			binary.BigEndian.PutUint64(number[:], i)
			_, _ = from.WriteToUDPAddrPort(number[:], to) // there may be no way
			select {
			case <-done:
				return
			case <-tick.C:
			}
		}
	}()
	return func() error { close(done); return errors.Join(from.Close(), at.Close()) }, nil
}

// await returns when the flow was first seen from an address.
func (f *followed) await(ctx context.Context, from netip.Addr) (time.Time, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		select {
		case a := <-f.seen:
			if a.from == from {
				return a.at, nil
			}
		case <-ctx.Done():
			return time.Time{}, fmt.Errorf("the flow is not seen from %s: %w", from, ctx.Err())
		}
	}
}

// change makes a call for the route, and returns how long after its answer the flow is seen from an
// address; 0 if before it.
func (f *followed) change(ctx context.Context, action string, from netip.Addr, more ...string) (time.Duration, error) {
	if err := f.s.insist(ctx, action, nil, append(more, f.route...)...); err != nil {
		return 0, err
	}
	answered := time.Now()
	at, err := f.await(ctx, from)
	return max(0, at.Sub(answered)), err
}

// fill gives conntrack so many other flows of the host, that nobody sends packets of.
func (f *followed) fill(total int) error {
	ns, err := netns.Open(dataplane.Namespace(f.gateway.vpc))
	if err != nil {
		return err
	}
	defer ns.Close()
	c, err := conntrack.Dial(&mdlayher.Config{NetNS: int(ns.Handle())})
	if err != nil {
		return err
	}
	defer c.Close()
	const ports = 50_000
	for ; f.made < total; f.made++ {
		to := netip.AddrFrom4([4]byte{198, 51, 100, byte(1 + f.made/ports)})
		flow := conntrack.NewFlow(unix.IPPROTO_UDP, 0, f.host.IP(), to, uint16(1024+f.made%ports), 53, 7200, 0)
		flow.TupleReply.IP.DestinationAddress = f.external
		if err := c.Create(flow); err != nil {
			return fmt.Errorf("make flow %s of %d: %w", strconv.Itoa(f.made), total, err)
		}
	}
	return nil
}
