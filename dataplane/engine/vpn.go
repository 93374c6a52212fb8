package engine

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"reflect"
	"slices"

	"github.com/vishvananda/netlink"
	"go4.org/netipx"

	"sluice/dataplane"
	"sluice/dataplane/bgp"
	"sluice/dataplane/health"
	"sluice/dataplane/ipsec"
	"sluice/dataplane/netns"
	"sluice/dataplane/openvpn"
	"sluice/dataplane/plan"
	"sluice/dataplane/route"
	"sluice/dataplane/shape"
)

// vpn is what VPN gateways are made with.
type vpn struct {
	ipsec  *ipsec.Gateways // nil where the machine cannot carry IPsec
	why    error           // why not
	health *health.Checks
	bgp    *bgp.Speakers
	ssl    sslServers // nil where the machine cannot run them
	noSSL  error      // why not
}

func (e *Engine) openVPN() {
	changed := e.tunnelsChanged
	opt := e.cfg.VPN
	opt.Dir, opt.Logger, opt.Changed = filepath.Join(e.cfg.RunDir, "vpn"), e.log, changed
	e.vpn.ipsec, e.vpn.why = ipsec.New(opt)
	if e.vpn.why != nil {
		e.log.Warn("no VPN gateways with IPsec", "error", e.vpn.why)
	}
	ssl := e.cfg.SSL
	ssl.Dir, ssl.Logger = filepath.Join(e.cfg.RunDir, "ssl"), e.log
	if servers, err := openvpn.New(ssl); err != nil {
		e.vpn.noSSL = err
		e.log.Warn("no SSL-VPN servers", "error", err)
	} else {
		e.vpn.ssl = servers
	}
	e.vpn.health = health.New(health.Options{Logger: e.log, Changed: changed})
	e.vpn.bgp = bgp.New(bgp.Options{Dir: filepath.Join(e.cfg.RunDir, "bgp"), Logger: e.log, Changed: changed})
}

// closeVPN ends the watching; charons work on.
func (e *Engine) closeVPN() {
	e.vpn.health.Close()
	e.vpn.bgp.Close()
	if e.vpn.ipsec != nil {
		e.vpn.ipsec.Close()
	}
	if e.vpn.ssl != nil {
		e.vpn.ssl.Close()
	}
}

// tunnelsChanged has a network's routes follow the state of its tunnels.
func (e *Engine) tunnelsChanged(id string) {
	e.mu.Lock()
	n := e.networks[id]
	e.mu.Unlock()
	if n != nil {
		n.stale.Or(staleTunnels)
		e.events.add(id)
	}
}

// withIPsec returns those VPN gateways that have a charon.
func withIPsec(all []dataplane.VPNGateway) (out []dataplane.VPNGateway) {
	for i := range all {
		if all[i].IPsec {
			out = append(out, all[i])
		}
	}
	return out
}

// applyVPN makes charon, health checks, BGP, SSL-VPN servers and the bandwidth what is
// wanted, and finds out how the tunnels are. It returns what it did to links.
func (j *job) applyVPN(ctx context.Context) (whats []string) {
	v, n := &j.e.vpn, j.n
	before := n.tunnels
	defer func() { j.turned = !reflect.DeepEqual(n.tunnels, before) }()
	j.runner.Add(v.applySSL(ctx, n.ns, n.id, j.want))
	switch want := withIPsec(j.want.VPNGateways); {
	case len(want) == 0:
		j.runner.Add(v.removeIPsec(ctx, n.id, n.ns))
	case v.ipsec == nil:
		for i := range want {
			j.runner.Add(fmt.Errorf("VPN gateway %s: %w", want[i].ID, v.why))
		}
	default:
		j.runner.Add(v.bgp.Keep(ctx, n.id, peers(want, n.tunnels)))
		j.runner.Add(v.ipsec.Apply(ctx, n.ns, n.id, want))
		n.tunnels = v.tunnels(n.id, want)
		a := planTunnelAddresses(n.ns, want, n.tunnels)
		j.runner.Add(a.Err)
		j.runner.Run(ctx, a.Add)
		j.runner.Run(ctx, a.Remove)
		whats = a.Whats()
		j.runner.Add(v.bgp.Remember(n.id, speaking(want)))
		j.runner.Add(v.bgp.Apply(ctx, n.ns, n.id, peers(want, n.tunnels), announced(j.want.VPNGateways)))
	}
	j.runner.Add(v.health.Apply(ctx, n.ns, n.id, checksOf(j.want)))
	n.tunnels = j.e.tunnels(n, j.want) // with what an adopted speaker has learned
	for _, p := range []*plan.Plan{shape.Plan(n.ns, bandwidths(j.want.VPNGateways, n.tunnels)...), queuesOf(n, j.want)} {
		j.runner.Add(p.Err)
		j.runner.Run(ctx, p.Add)
		j.runner.Run(ctx, p.Remove)
		whats = append(whats, p.Whats()...)
	}
	return whats
}

// nameTunnels finds out which links will lead into the network's tunnels, and reports
// whether they are others. Where that cannot be known none can be made either.
func (j *job) nameTunnels() (others bool) {
	var names []string
	if v, want := &j.e.vpn, withIPsec(j.want.VPNGateways); v.ipsec != nil && len(want) > 0 {
		var err error
		if names, err = v.ipsec.Links(j.n.id, want); err != nil {
			j.runner.Add(fmt.Errorf("VPN gateways: %w", err))
			return false
		}
	}
	others = !slices.Equal(names, j.n.tunnelLinks)
	j.n.tunnelLinks = names
	return others
}

// removeVPN ends what a network's VPN gateways run; ns may be nil.
func (e *Engine) removeVPN(ctx context.Context, id string, ns *netns.Namespace) error {
	return errors.Join(e.vpn.health.Apply(ctx, ns, id, nil), e.vpn.removeIPsec(ctx, id, ns), e.vpn.applySSL(ctx, ns, id, &dataplane.Network{}))
}

func (v *vpn) removeIPsec(ctx context.Context, id string, ns *netns.Namespace) error {
	if v.ipsec == nil {
		return nil
	}
	return errors.Join(v.bgp.Apply(ctx, ns, id, nil, nil), v.bgp.Remember(id, nil), v.ipsec.Apply(ctx, ns, id, nil))
}

// tunnels returns how the tunnels of a network are, and its router interfaces; nil if it has
// neither.
func (e *Engine) tunnels(n *network, want *dataplane.Network) route.Tunnels {
	var out route.Tunnels
	if vpn := withIPsec(want.VPNGateways); len(vpn) > 0 && e.vpn.ipsec != nil {
		out = e.vpn.tunnels(n.id, vpn)
	}
	for i := range want.RouterInterfaces {
		if out == nil {
			out = route.Tunnels{}
		}
		r := &want.RouterInterfaces[i]
		out[r.ID] = e.interfaceState(n, r)
	}
	return out
}

// tunnels returns how the tunnels of VPN gateways are. Where charon carries them
// all in one device, it decides by its policies which is used.
func (v *vpn) tunnels(id string, want []dataplane.VPNGateway) route.Tunnels {
	out := route.Tunnels{}
	checked, learned, held := v.health.Status(id), v.bgp.Routes(id), v.bgp.Held(id)
	for _, x := range dataplane.AllConnections(want) {
		c := x.ID
		link, up := v.ipsec.Link(id, c)
		out[c] = route.Tunnel{Link: link, Up: up && !checked[c].Failed, Learned: learned[c], Held: held[c]}
	}
	return out
}

func tunnelLinks(tunnels route.Tunnels) []string {
	var out []string
	for _, t := range tunnels {
		if t.Link != "" && !slices.Contains(out, t.Link) {
			out = append(out, t.Link)
		}
	}
	slices.Sort(out)
	return out
}

// bandwidths returns the bandwidth of each gateway, and the links of its tunnels, of IPsec
// and SSL-VPN.
func bandwidths(want []dataplane.VPNGateway, tunnels route.Tunnels) (all []shape.Bandwidth) {
	for i := range want {
		of := route.Tunnels{}
		for _, c := range want[i].Connections {
			of[c.ID] = tunnels[c.ID]
		}
		links := tunnelLinks(of)
		for k := range want[i].SSL {
			links = append(links, want[i].SSL[k].Link())
		}
		all = append(all, shape.Bandwidth{Links: links, Mbit: want[i].Bandwidth})
	}
	return all
}

// announced is what BGP tells peers of: what all gateways have to tell, and where clients
// of SSL-VPN servers are.
func announced(want []dataplane.VPNGateway) (all []netip.Prefix) {
	for i := range want {
		all = append(all, want[i].Announce...)
	}
	for _, s := range dataplane.AllSSL(want) {
		all = append(all, s.Pool.Masked())
	}
	slices.SortFunc(all, netip.Prefix.Compare)
	return slices.Compact(all)
}

func checks(want []dataplane.VPNGateway) map[string]dataplane.VPNHealth {
	out := map[string]dataplane.VPNHealth{}
	for _, c := range dataplane.AllConnections(want) {
		if c.Health != nil {
			out[c.ID] = *c.Health
		}
	}
	return out
}

// speaking returns the connections that have BGP, whether their tunnels are there or not.
func speaking(want []dataplane.VPNGateway) []string {
	var out []string
	for _, c := range dataplane.AllConnections(want) {
		if c.BGP != nil {
			out = append(out, c.ID)
		}
	}
	return out
}

func peers(want []dataplane.VPNGateway, tunnels route.Tunnels) []bgp.Peer {
	var out []bgp.Peer
	for _, c := range dataplane.AllConnections(want) {
		if c.BGP == nil || tunnels[c.ID].Link == "" {
			continue
		}
		out = append(out, bgp.Peer{
			Connection: c.ID, Local: c.BGP.LocalIP, Remote: c.BGP.PeerIP(),
			LocalASN: c.BGP.LocalASN, PeerASN: c.BGP.PeerASN, Link: tunnels[c.ID].Link,
		})
	}
	return out
}

// linkLocal is what tunnels' ends have their addresses of.
var linkLocal = netip.MustParsePrefix("169.254.0.0/16")

// planTunnelAddresses says how the tunnels' links come by the addresses for BGP,
// and lose others.
func planTunnelAddresses(ns *netns.Namespace, want []dataplane.VPNGateway, tunnels route.Tunnels) *plan.Plan {
	p := &plan.Plan{}
	addresses := map[string][]netip.Prefix{}
	for _, c := range dataplane.AllConnections(want) {
		if link := tunnels[c.ID].Link; c.BGP != nil && link != "" {
			addresses[link] = append(addresses[link], netip.PrefixFrom(c.BGP.LocalIP, c.BGP.Tunnel.Bits()))
		}
	}
	for _, name := range tunnelLinks(tunnels) {
		link, err := ns.Netlink().LinkByName(name)
		if err != nil {
			p.Err = errors.Join(p.Err, fmt.Errorf("tunnel %s: %w", name, err))
			continue
		}
		have, err := netns.Dump(func() ([]netlink.Addr, error) { return ns.Netlink().AddrList(link, netlink.FAMILY_V4) })
		if err != nil {
			p.Err = errors.Join(p.Err, fmt.Errorf("list addresses of tunnel %s: %w", name, err))
			continue
		}
		missing := slices.Clone(addresses[name])
		for _, a := range have {
			is := prefixOf(&a)
			if i := slices.Index(missing, is); i >= 0 {
				missing = slices.Delete(missing, i, i+1)
			} else if linkLocal.Contains(is.Addr()) {
				p.Remove = append(p.Remove, plan.Change{
					What: fmt.Sprintf("remove address %s from %s", is, name),
					Do:   func(context.Context) error { return ns.Netlink().AddrDel(link, &a) },
				})
			}
		}
		for _, m := range missing {
			ip := netipx.PrefixIPNet(m)
			ip.IP = m.Addr().AsSlice()
			p.Add = append(p.Add, plan.Change{
				What: fmt.Sprintf("add address %s to %s", m, name),
				Do:   func(context.Context) error { return ns.Netlink().AddrAdd(link, &netlink.Addr{IPNet: ip}) },
			})
		}
	}
	return p
}

// prefixOf returns an address with the length of its network.
func prefixOf(a *netlink.Addr) netip.Prefix {
	addr, _ := netipx.FromStdIP(a.IP)
	ones, _ := a.Mask.Size()
	return netip.PrefixFrom(addr, ones)
}

// tunnelsDiffer returns what there is to do because tunnels are other than the routes
// were made for, or something else of the VPN gateway is not as it should be.
func (e *Engine) tunnelsDiffer(n *network) (whats []string) {
	all := n.applied.VPNGateways
	if !reflect.DeepEqual(n.tunnels, e.tunnels(n, n.applied)) {
		whats = append(whats, "follow the tunnels")
	}
	if want := withIPsec(all); len(want) > 0 && e.vpn.ipsec != nil {
		whats = append(whats, planTunnelAddresses(n.ns, want, n.tunnels).Whats()...)
	}
	whats = append(whats, queuesOf(n, n.applied).Whats()...)
	if len(all) == 0 {
		return whats
	}
	return append(whats, shape.Plan(n.ns, bandwidths(all, n.tunnels)...).Whats()...)
}

// VPN returns the live state of the connections of a network, by connection id.
func (e *Engine) VPN(_ context.Context, id string) (map[string]dataplane.VPNStatus, error) {
	if e.vpn.ipsec == nil {
		return nil, e.vpn.why
	}
	out := e.vpn.ipsec.Status(id)
	checked, sessions := e.vpn.health.Status(id), e.vpn.bgp.Status(id)
	for c, s := range out {
		s.Checked, s.Failed, s.BGP = checked[c].Checked, checked[c].Failed, sessions[c]
		out[c] = s
	}
	return out, nil
}

// VPNAbilities returns what this machine can carry, as far as it is known. It waits for
// some seconds at most, and only while nothing is known yet.
func (e *Engine) VPNAbilities(ctx context.Context) *dataplane.VPNAbilities {
	if e.vpn.ipsec == nil {
		return &dataplane.VPNAbilities{NoneBecause: e.vpn.why}
	}
	return e.vpn.ipsec.Abilities(ctx)
}

// VPNPath returns how tunnels are carried, or why they are not.
func (e *Engine) VPNPath() (dataplane.VPNPath, error) {
	if e.vpn.ipsec == nil {
		return "", e.vpn.why
	}
	return e.vpn.ipsec.Path(), nil
}
