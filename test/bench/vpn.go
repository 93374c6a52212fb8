package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/api/aliyun"
	"sluice/test/lab"
	"sluice/test/strongswan"
)

const (
	meshGateways   = 10 // each in a VPC of its own
	meshSites      = 10 // each with a tunnel to each gateway
	vpnBandwidth   = 200
	vpnKey         = "correct horse"
	vpnProposal    = "aes256-sha256-modp2048"
	vpnEstablished = "ipsec_sa_established"
)

// vpn returns what measures VPN gateways against plain strongSwan on the Internet.
func vpn(measure func(context.Context, *run, *site) error) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		if !r.installed(strongswan.Program) || !r.installed("swanctl") {
			return nil
		}
		s, err := r.theSite(ctx)
		if err != nil {
			return err
		}
		return measure(ctx, r, s)
	}
}

// far is a remote site: plain strongSwan, and a network of one address.
type far struct {
	lab.Host
	*strongswan.Peer
	lab      *lab.Lab
	lan      netip.Addr
	customer string // customer gateway id
}

// Close ends the site, and gives its address on the Internet back: there are few.
func (f *far) Close() error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	return errors.Join(f.Peer.Close(), f.lab.HostRemove(ctx, f.Name))
}

func (f *far) block() string { return netip.PrefixFrom(f.lan, 24).Masked().String() }

// addFar makes a remote site, and the customer gateway that it is.
func (s *site) addFar(ctx context.Context, r *run, name string, lan netip.Addr) (*far, error) {
	f, err := s.startFar(ctx, r, name, lan)
	if err != nil {
		return nil, err
	}
	var answer aliyun.CreateCustomerGatewayResponse
	if err := s.call(ctx, "CreateCustomerGateway", &answer, "IpAddress", f.IP().String(), "Name", "site-"+name); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	f.customer = answer.CustomerGatewayId
	return f, nil
}

// startFar makes a remote site of which Sluice knows nothing.
func (s *site) startFar(ctx context.Context, r *run, name string, lan netip.Addr) (_ *far, err error) {
	f := &far{lab: s.lab, lan: lan}
	if f.Host, err = s.lab.InternetAdd(ctx, name, netip.Addr{}); err != nil {
		return nil, err
	}
	var libipsec bool
	err = lab.In(f.Host.Namespace, func() error {
		lo, err := netlink.LinkByName("lo")
		if err != nil {
			return err
		}
		libipsec = !hasXFRM()
		return netlink.AddrAdd(lo, &netlink.Addr{IPNet: netipx.PrefixIPNet(netip.PrefixFrom(lan, 32))})
	})
	if err != nil {
		return nil, err
	}
	if f.Peer, err = strongswan.StartAt(ctx, s.lab, f.Host, filepath.Join(r.dir, "peer-"+name), libipsec); err != nil {
		return nil, err
	}
	return f, nil
}

// hasXFRM reports whether the kernel has XFRM interfaces, and so ESP.
func hasXFRM() bool {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = "try"
	probe := &netlink.Xfrmi{LinkAttrs: attrs, Ifid: 1}
	return netlink.LinkAdd(probe) == nil && netlink.LinkDel(probe) == nil
}

// end is one end of a tunnel, for a swanctl.conf.
type end struct {
	name          string
	local, remote netip.Addr
	here, there   string // blocks
}

// swanctl returns a swanctl.conf that begins nothing.
func swanctl(ends ...end) string {
	var connections, secrets strings.Builder
	for _, e := range ends {
		fmt.Fprintf(&connections, `%s {
  version = 2
  local_addrs = %s
  remote_addrs = %s
  proposals = %s
  encap = yes
  local { auth = psk
    id = %[2]s }
  remote { auth = psk
    id = %[3]s }
  children { lan {
    local_ts = %[5]s
    remote_ts = %[6]s
    esp_proposals = %[4]s } }
}
`, e.name, e.local, e.remote, vpnProposal, e.here, e.there)
		fmt.Fprintf(&secrets, "ike-%s { id-1 = %s\n id-2 = %s\n secret = %q }\n", e.name, e.local, e.remote, vpnKey)
	}
	return "connections {\n" + connections.String() + "}\nsecrets {\n" + secrets.String() + "}\n"
}

// near is a VPN gateway, with a VPC and a VSwitch.
type near struct {
	vpc, vswitch, block string
	gateway             string
	address             netip.Addr
}

// addNear makes a VPC 172.n.0.0/16 with a VPN gateway.
func (s *site) addNear(ctx context.Context, n int) (*near, error) {
	w := &near{block: fmt.Sprintf("172.%d.1.0/24", n)}
	var vpc aliyun.CreateVpcResponse
	if err := s.call(ctx, "CreateVpc", &vpc, "CidrBlock", fmt.Sprintf("172.%d.0.0/16", n)); err != nil {
		return nil, err
	}
	w.vpc = vpc.VpcId
	if err := s.settled(ctx, w.vpc, ""); err != nil {
		return nil, err
	}
	var vsw aliyun.CreateVSwitchResponse
	if err := s.call(ctx, "CreateVSwitch", &vsw, "VpcId", w.vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", w.block); err != nil {
		return nil, err
	}
	w.vswitch = vsw.VSwitchId
	if err := s.settled(ctx, w.vpc, ""); err != nil {
		return nil, err
	}
	var gw aliyun.CreateVpnGatewayResponse
	if err := s.call(ctx, "CreateVpnGateway", &gw, "VpcId", w.vpc, "Bandwidth", strconv.Itoa(vpnBandwidth)); err != nil {
		return nil, err
	}
	w.gateway = gw.VpnGatewayId
	return w, poll(ctx, "wait for the VPN gateway", func() error {
		var got aliyun.DescribeVpnGatewayResponse
		if err := s.call(ctx, "DescribeVpnGateway", &got, "VpnGatewayId", w.gateway); err != nil {
			return err
		}
		if got.Status != "active" {
			return fmt.Errorf("VPN gateway %s is %s", w.gateway, got.Status)
		}
		var err error
		w.address, err = netip.ParseAddr(got.InternetIp)
		return err
	})
}

// connect makes a connection, as soon as the gateway takes it.
func (s *site) connect(ctx context.Context, w *near, f *far) (id string, err error) {
	var answer aliyun.CreateVpnConnectionResponse
	err = s.insist(ctx, "CreateVpnConnection", &answer,
		"VpnGatewayId", w.gateway, "CustomerGatewayId", f.customer, "LocalSubnet", w.block, "RemoteSubnet", f.block(), "EffectImmediately", "true",
		"IkeConfig", fmt.Sprintf(`{"Psk":%q,"IkeVersion":"ikev2","IkeEncAlg":"aes256","IkeAuthAlg":"sha256","IkePfs":"group14","IkeLifetime":86400}`, vpnKey),
		"IpsecConfig", `{"IpsecEncAlg":"aes256","IpsecAuthAlg":"sha256","IpsecPfs":"group14","IpsecLifetime":86400}`)
	return answer.VpnConnectionId, err
}

// insist calls until the VPN gateway has followed the call before, while which
// it takes none.
func (s *site) insist(ctx context.Context, action string, result any, params ...string) error {
	var refused error
	err := poll(ctx, action, func() error {
		err := s.call(ctx, action, result, params...)
		if err != nil && !strings.Contains(err.Error(), "Configuring") {
			refused, err = err, nil
		}
		return err
	})
	return errors.Join(refused, err)
}

// mesh is gateways and sites, each with a tunnel to each.
type mesh struct {
	gateways    []*near
	sites       []*far
	connections []string
}

// meshUp measures how long a hundred tunnels take, and how late one's state is
// told.
func meshUp(ctx context.Context, r *run, s *site) (err error) {
	m := &mesh{}
	defer func() { err = errors.Join(err, m.remove(context.WithoutCancel(ctx), s)) }()
	r.say("making %d VPN gateways and %d remote sites", meshGateways, meshSites)
	for i := range meshGateways {
		w, err := s.addNear(ctx, 16+i)
		if err != nil {
			return err
		}
		m.gateways = append(m.gateways, w)
	}
	for i := range meshSites {
		f, err := s.addFar(ctx, r, fmt.Sprint("far", i), netip.AddrFrom4([4]byte{192, 168, byte(100 + i), 1}))
		if err != nil {
			return err
		}
		m.sites = append(m.sites, f)
		if err := f.Load(ctx, swanctl(m.ends(f)...)); err != nil {
			return err
		}
	}
	total := len(m.gateways) * len(m.sites)
	r.say("bringing up %d tunnels", total)
	began := time.Now()
	for _, f := range m.sites {
		for _, w := range m.gateways {
			id, err := s.connect(ctx, w, f)
			if err != nil {
				return err
			}
			m.connections = append(m.connections, id)
		}
	}
	made := time.Since(began)
	if err := poll(ctx, "wait for the tunnels", func() error { return s.allUp(ctx, total) }); err != nil {
		return err
	}
	took := time.Since(began)
	if err := r.report.add("tunnels_100_up_s", took.Seconds(), seconds,
		fmt.Sprintf("%d connections, one call after the other, on %d gateways, to %d sites; all created after %.2f s", total, meshGateways, meshSites, made.Seconds())); err != nil {
		return err
	}
	return m.statusLag(ctx, r, s)
}

// ends are those of a site.
func (m *mesh) ends(f *far) []end {
	var ends []end
	for i, w := range m.gateways {
		ends = append(ends, end{fmt.Sprint("gw", i), f.IP(), w.address, f.block(), w.block})
	}
	return ends
}

// allUp looks whether so many connections are established.
func (s *site) allUp(ctx context.Context, total int) error {
	up := 0
	for page := 1; page <= (total+describePage-1)/describePage; page++ {
		var got aliyun.DescribeVpnConnectionsResponse
		if err := s.call(ctx, "DescribeVpnConnections", &got, "PageNumber", strconv.Itoa(page), "PageSize", strconv.Itoa(describePage)); err != nil {
			return err
		}
		for _, c := range got.VpnConnections.VpnConnection {
			if c.Status == vpnEstablished {
				up++
			}
		}
	}
	if up < total {
		return fmt.Errorf("%d of %d tunnels are up", up, total)
	}
	return nil
}

// statusLag has a site end and begin a tunnel. While it is ended the site does
// not have its configuration, so that the gateway cannot begin it again.
func (m *mesh) statusLag(ctx context.Context, r *run, s *site) error {
	rounds := 30
	if r.quick {
		rounds = 3
	}
	r.say("ending and beginning a tunnel %d times", rounds)
	f, ends, connection := m.sites[0], m.ends(m.sites[0]), m.connections[0]
	up := func(status string) bool { return status == vpnEstablished }
	down := func(status string) bool { return status != vpnEstablished }
	var downs, ups, whole []time.Duration
	for range rounds {
		if err := f.Load(ctx, swanctl(ends[1:]...)); err != nil {
			return err
		}
		began := time.Now()
		lag, at, _, err := s.lag(ctx, connection, down, func() error {
			_, err := f.Swanctl(ctx, "--terminate", "--ike", ends[0].name)
			return err
		})
		if err != nil {
			return err
		}
		downs, whole = append(downs, lag), append(whole, at.Sub(began))
		if err := f.Load(ctx, swanctl(ends...)); err != nil {
			return err
		}
		began, first := time.Now(), true
		lag, at, fair, err := s.lag(ctx, connection, up, func() error {
			out, err := f.Swanctl(ctx, "--initiate", "--ike", ends[0].name, "--child", "lan")
			if strings.Contains(out, "existing duplicate") { // the gateway has been faster
				first, err = false, nil
			}
			return err
		})
		if err != nil {
			return err
		}
		if fair && first {
			ups, whole = append(ups, lag), append(whole, at.Sub(began))
		}
	}
	all := milliseconds(append(append([]time.Duration{}, downs...), ups...))
	return r.report.add("vpn_status_lag_ms", quantile(all, 0.99), millis,
		fmt.Sprintf("p99 of %d down and %d up, among %d tunnels; medians %.3g ms down, %.3g ms up; p99 from the beginning of swanctl %.3g ms",
			len(downs), len(ups), len(m.connections), median(milliseconds(downs)), median(milliseconds(ups)), quantile(milliseconds(whole), 0.99)))
}

// lag returns how long after a change the status of a connection is as it should
// be, and when that is; 0 if before the change has returned. It is not fair if it
// was so before the change.
func (s *site) lag(ctx context.Context, connection string, is func(status string) bool, change func() error) (_ time.Duration, at time.Time, fair bool, err error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	type seen struct {
		at    time.Time
		calls int
		err   error
	}
	done := make(chan seen, 1)
	go func() {
		for n := 1; ; n++ {
			var got aliyun.DescribeVpnConnectionResponse
			err := s.call(ctx, "DescribeVpnConnection", &got, "VpnConnectionId", connection)
			if err != nil || is(got.Status) {
				done <- seen{time.Now(), n, err}
				return
			}
			time.Sleep(time.Millisecond)
		}
	}()
	err = change()
	returned := time.Now()
	if err != nil {
		cancel()
	}
	got := <-done
	return max(0, got.at.Sub(returned)), got.at, got.calls > 1, errors.Join(err, got.err)
}

// remove ends all of it, so that it is not beside what is measured next.
func (m *mesh) remove(ctx context.Context, s *site) error {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	var errs []error
	for _, id := range m.connections {
		errs = append(errs, s.insist(ctx, "DeleteVpnConnection", nil, "VpnConnectionId", id))
	}
	for _, w := range m.gateways {
		errs = append(errs, s.insist(ctx, "DeleteVpnGateway", nil, "VpnGatewayId", w.gateway))
	}
	for _, f := range m.sites {
		errs = append(errs, f.Close())
	}
	return errors.Join(errs...)
}

// echo answers UDP at an address of a namespace until it is closed.
func echo(namespace string, at netip.Addr) (to netip.AddrPort, stop func() error, err error) {
	c, err := listenUDP(namespace, at)
	if err != nil {
		return to, nil, err
	}
	go func() {
		buffer := make([]byte, 64)
		for {
			n, from, err := c.ReadFromUDPAddrPort(buffer)
			if err != nil {
				return
			}
			_, _ = c.WriteToUDPAddrPort(buffer[:n], from)
		}
	}()
	return c.LocalAddr().(*net.UDPAddr).AddrPort(), c.Close, nil
}

func listenUDP(namespace string, at netip.Addr) (c *net.UDPConn, err error) {
	err = lab.In(namespace, func() error {
		c, err = net.ListenUDP("udp4", net.UDPAddrFromAddrPort(netip.AddrPortFrom(at, 0)))
		return err
	})
	return c, err
}

// awaitEcho sends every millisecond until an answer comes.
func awaitEcho(ctx context.Context, namespace string, from netip.Addr, to netip.AddrPort) error {
	c, err := listenUDP(namespace, from)
	if err != nil {
		return err
	}
	defer c.Close()
	deadline := time.Now().Add(20 * time.Second)
	buffer := make([]byte, 64)
	for ctx.Err() == nil && time.Now().Before(deadline) {
		_, _ = c.WriteToUDPAddrPort([]byte("x"), to) // there may be no way yet
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := c.ReadFromUDPAddrPort(buffer); err == nil {
			return nil
		}
	}
	return errors.Join(ctx.Err(), fmt.Errorf("no packet comes back from %s to %s", to, from))
}
