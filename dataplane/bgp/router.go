package bgp

import (
	"context"
	"fmt"
	"math"
	"net/netip"
	"slices"
	"time"

	"github.com/osrg/gobgp/v4/api"
	"github.com/osrg/gobgp/v4/pkg/apiutil"
	packet "github.com/osrg/gobgp/v4/pkg/packet/bgp"
	"github.com/osrg/gobgp/v4/pkg/server"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

// Times of a session, in seconds. The hold time is the lower of both ends', and
// at most a third of it lies between keepalives.
const (
	holdTime     = 30
	keepalive    = 10
	connectRetry = 5
	idleHold     = 5 // after a session was lost or refused
)

// farewell is how long peers may take to acknowledge that they are told of the end.
const farewell = time.Second

// router is the BGP of a speaker's process. It is used by one goroutine.
type router struct {
	said      *lines            // its log
	server    *server.BgpServer // nil until there is something desired that can be applied
	dirty     chan struct{}     // a session, a route or what is said has changed; holds one
	peers     map[netip.Addr]Peer
	announced map[netip.Prefix]bool
	limit     Limit
	// Peers that have told too much, and when they may begin again.
	excess map[netip.Addr]time.Time
	resume *time.Timer // for the next of them
}

func newRouter() *router {
	r := &router{dirty: make(chan struct{}, 1), peers: map[netip.Addr]Peer{}, announced: map[netip.Prefix]bool{},
		excess: map[netip.Addr]time.Time{}, resume: time.NewTimer(math.MaxInt64)}
	r.said = &lines{more: func() { raise(r.dirty) }}
	return r
}

// apply makes the server have the desired peers and prefixes.
func (r *router) apply(w desired) error {
	ctx := context.Background()
	r.limit = w.Limit // for peers that are added from now on
	if r.server == nil {
		if err := r.start(ctx, w); err != nil {
			return err
		}
	}
	want := make(map[netip.Addr]Peer, len(w.Peers))
	for _, p := range w.Peers {
		want[p.Remote] = p
	}
	if err := r.leave(ctx, func(p Peer) bool { return want[p.Remote] != p }); err != nil {
		return err
	}
	if err := r.announce(w.Announce); err != nil {
		return err
	}
	for _, p := range w.Peers {
		if _, ok := r.peers[p.Remote]; ok {
			continue
		}
		if err := r.server.AddPeer(ctx, &api.AddPeerRequest{Peer: config(p, w.Limit.Prefixes)}); err != nil {
			return fmt.Errorf("add BGP peer %s: %w", p.Remote, err)
		}
		r.peers[p.Remote] = p
	}
	return nil
}

var ipv4 = &api.Family{Afi: api.Family_AFI_IP, Safi: api.Family_SAFI_UNICAST}

// config is a peer in GoBGP's words.
func config(p Peer, most uint32) *api.Peer {
	return &api.Peer{
		Conf:      &api.PeerConf{NeighborAddress: p.Remote.String(), PeerAsn: p.PeerASN, LocalAsn: p.LocalASN},
		Transport: &api.Transport{LocalAddress: p.Local.String(), BindInterface: p.Link},
		Timers: &api.Timers{Config: &api.TimersConfig{HoldTime: holdTime, KeepaliveInterval: keepalive,
			ConnectRetry: connectRetry, IdleHoldTimeAfterReset: idleHold}},
		AfiSafis: []*api.AfiSafi{{
			Config:       &api.AfiSafiConfig{Family: ipv4, Enabled: true},
			PrefixLimits: &api.PrefixLimit{Family: ipv4, MaxPrefixes: most},
		}},
	}
}

// start makes a server that listens.
func (r *router) start(ctx context.Context, w desired) (err error) {
	s := server.NewBgpServer(server.LoggerOption(r.said.logger(), nil))
	go s.Serve()
	defer func() {
		if err != nil {
			s.Stop()
		}
	}()
	// The global ASN is that of no peer in particular: each has its own.
	err = s.StartBgp(ctx, &api.StartBgpRequest{Global: &api.Global{
		Asn: w.Peers[0].LocalASN, RouterId: w.RouterID.String(),
		ListenPort: packet.BGP_PORT, ListenAddresses: []string{netip.IPv4Unspecified().String()},
	}})
	if err != nil {
		return fmt.Errorf("listen on TCP port %d: %w", packet.BGP_PORT, err)
	}
	own := &api.Policy{Name: "own", Statements: []*api.Statement{{Name: "own",
		Conditions: &api.Conditions{RouteType: api.Conditions_ROUTE_TYPE_LOCAL},
		Actions:    &api.Actions{RouteAction: api.RouteAction_ROUTE_ACTION_ACCEPT}}}}
	if err := s.AddPolicy(ctx, &api.AddPolicyRequest{Policy: own}); err != nil {
		return fmt.Errorf("add the policy to announce own routes only: %w", err)
	}
	err = s.SetPolicyAssignment(ctx, &api.SetPolicyAssignmentRequest{Assignment: &api.PolicyAssignment{
		Name: "global", Direction: api.PolicyDirection_POLICY_DIRECTION_EXPORT,
		Policies: []*api.Policy{own}, DefaultAction: api.RouteAction_ROUTE_ACTION_REJECT}})
	if err != nil {
		return fmt.Errorf("set the policy to announce own routes only: %w", err)
	}
	dirty := func() { raise(r.dirty) }
	err = s.WatchEvent(context.Background(), server.WatchEventMessageCallbacks{
		OnPeerUpdate: func(*apiutil.WatchEventMessage_PeerEvent, time.Time) { dirty() },
		OnBestPath:   func([]*apiutil.Path, time.Time) { dirty() },
	}, server.WatchPeer(), server.WatchBestPath(false))
	if err != nil {
		return fmt.Errorf("watch sessions and routes: %w", err)
	}
	r.server = s
	return nil
}

// announce makes the server announce exactly these prefixes.
func (r *router) announce(prefixes []netip.Prefix) error {
	want := make(map[netip.Prefix]bool, len(prefixes))
	for _, p := range prefixes {
		want[p] = true
	}
	for p := range want {
		if r.announced[p] {
			continue
		}
		path, err := own(p)
		if err == nil {
			_, err = r.server.AddPath(apiutil.AddPathRequest{Paths: []*apiutil.Path{path}})
		}
		if err != nil {
			return fmt.Errorf("announce %s: %w", p, err)
		}
		r.announced[p] = true
	}
	for p := range r.announced {
		if want[p] {
			continue
		}
		path, err := own(p)
		if err == nil {
			err = r.server.DeletePath(apiutil.DeletePathRequest{Paths: []*apiutil.Path{path}})
		}
		if err != nil {
			return fmt.Errorf("withdraw %s: %w", p, err)
		}
		delete(r.announced, p)
	}
	return nil
}

// own is the path of a prefix that is announced. Its next hop is each session's
// local address.
func own(p netip.Prefix) (*apiutil.Path, error) {
	nlri, err := packet.NewIPAddrPrefix(p)
	if err != nil {
		return nil, err
	}
	hop, err := packet.NewPathAttributeNextHop(netip.IPv4Unspecified())
	if err != nil {
		return nil, err
	}
	return &apiutil.Path{Family: packet.RF_IPv4_UC, Nlri: nlri,
		Attrs: []packet.PathAttributeInterface{packet.NewPathAttributeOrigin(packet.BGP_ORIGIN_ATTR_TYPE_IGP), hop}}, nil
}

// observe fills in sessions and routes.
func (r *router) observe(to *report) error {
	to.Sessions, to.Routes = map[string]bool{}, map[string][]netip.Prefix{}
	if r.server == nil {
		return nil
	}
	before, over, err := r.sessions()
	if err != nil {
		return err
	}
	if err := r.restrain(over); err != nil {
		return err
	}
	announce := make([]netip.Prefix, 0, len(r.announced))
	for p := range r.announced {
		announce = append(announce, p)
	}
	request := apiutil.ListPathRequest{TableType: api.TableType_TABLE_TYPE_GLOBAL, Family: packet.RF_IPv4_UC}
	err = r.server.ListPath(request, func(nlri packet.NLRI, paths []*apiutil.Path) {
		ip, ok := nlri.(*packet.IPAddrPrefix)
		i := slices.IndexFunc(paths, func(p *apiutil.Path) bool { return p.Best })
		if !ok || i < 0 || !acceptable(ip.Prefix, announce) {
			return
		}
		// A path may outlive its session for a moment.
		if peer, ok := r.peers[paths[i].PeerAddress]; ok && before[peer.Connection] {
			to.Routes[peer.Connection] = append(to.Routes[peer.Connection], ip.Prefix)
		}
	})
	if err != nil {
		return err
	}
	// A session that has ended meanwhile has taken its routes along: it must not look
	// as if the peer had withdrawn them.
	after, _, err := r.sessions()
	for c, established := range before {
		to.Sessions[c] = established && after[c]
		if !to.Sessions[c] {
			delete(to.Routes, c)
		}
	}
	for _, list := range to.Routes {
		slices.SortFunc(list, netip.Prefix.Compare)
	}
	return err
}

// sessions returns which are established, by connection, and which peers have told too
// much.
func (r *router) sessions() (established map[string]bool, over map[netip.Addr]bool, err error) {
	established, over = map[string]bool{}, map[netip.Addr]bool{}
	err = r.server.ListPeer(context.Background(), &api.ListPeerRequest{}, func(p *api.Peer) {
		remote, err := netip.ParseAddr(p.GetState().GetNeighborAddress())
		if peer, ok := r.peers[remote]; err == nil && ok {
			established[peer.Connection] = p.GetState().GetSessionState() == api.PeerState_SESSION_STATE_ESTABLISHED
			over[remote] = p.GetState().GetAdminState() == api.PeerState_ADMIN_STATE_PFX_CT
		}
	})
	return established, over, err
}

// restrain lets peers that have told too much, and whose sessions GoBGP has closed
// for good, begin again after a while.
func (r *router) restrain(over map[netip.Addr]bool) error {
	now, next := time.Now(), time.Duration(math.MaxInt64)
	for remote, is := range over {
		until, known := r.excess[remote]
		switch {
		case !is:
			delete(r.excess, remote)
			continue
		case !known:
			until = now.Add(r.limit.Pause)
			r.excess[remote] = until
		case !now.Before(until):
			if err := r.server.EnablePeer(context.Background(), &api.EnablePeerRequest{Address: remote.String()}); err != nil {
				return fmt.Errorf("begin with BGP peer %s again: %w", remote, err)
			}
			delete(r.excess, remote)
			continue
		}
		next = min(next, until.Sub(now))
	}
	r.resume.Reset(next)
	return nil
}

// stop closes all sessions. GoBGP's own Stop does not wait, with the connections that peers
// have begun, for what it has them told.
func (r *router) stop() {
	if r.server != nil {
		_ = r.leave(context.Background(), func(Peer) bool { return true })
		r.server.Stop()
	}
}

// leave closes the sessions with these peers, each with a Cease, and returns when they have
// acknowledged it or have not in time: who asked for it may take the tunnel away next, and
// a peer that is not told goes on for as long as its hold time.
func (r *router) leave(ctx context.Context, these func(Peer) bool) error {
	var left []netip.Addr
	for remote, p := range r.peers {
		if !these(p) {
			continue
		}
		if err := r.server.DeletePeer(ctx, &api.DeletePeerRequest{Address: remote.String()}); err != nil {
			return fmt.Errorf("remove BGP peer %s: %w", remote, err)
		}
		delete(r.peers, remote)
		delete(r.excess, remote)
		left = append(left, remote)
	}
	for late := time.Now().Add(farewell); len(left) > 0 && time.Now().Before(late); time.Sleep(5 * time.Millisecond) {
		parting, err := connected(left)
		if err == nil && !parting { // where that cannot be known they have all of the time
			break
		}
	}
	return nil
}

// connected reports whether there is a BGP connection with one of these addresses that is
// not closed, or whose end is not acknowledged.
func connected(with []netip.Addr) (bool, error) {
	sockets, err := netlink.SocketDiagTCP(unix.AF_INET)
	if err != nil {
		return false, err
	}
	open := []uint8{netlink.TCP_ESTABLISHED, netlink.TCP_FIN_WAIT1, netlink.TCP_CLOSE_WAIT, netlink.TCP_LAST_ACK, netlink.TCP_CLOSING}
	for _, s := range sockets {
		remote, ok := netip.AddrFromSlice(s.ID.Destination)
		bgp := s.ID.SourcePort == packet.BGP_PORT || s.ID.DestinationPort == packet.BGP_PORT
		if ok && bgp && slices.Contains(open, s.State) && slices.Contains(with, remote.Unmap()) {
			return true, nil
		}
	}
	return false, nil
}
