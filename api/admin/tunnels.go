package admin

import (
	"context"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// Tunnel is an IPsec connection as it is.
type Tunnel struct {
	Connection      string        `json:"connection"`
	Name            string        `json:"name,omitempty"`
	Account         string        `json:"account"`
	VPC             string        `json:"vpc"`
	Gateway         string        `json:"gateway"`
	GatewayAddress  netip.Addr    `json:"gatewayAddress"`
	CustomerGateway string        `json:"customerGateway"`
	PeerAddress     netip.Addr    `json:"peerAddress"` // as configured
	State           string        `json:"state"`       // one of the States
	Since           time.Time     `json:"since,omitzero"`
	Path            string        `json:"path,omitempty"`   // xfrm or libipsec
	Error           string        `json:"error,omitempty"`  // why a negotiation fails now
	Health          string        `json:"health,omitempty"` // passing or failing
	BGP             string        `json:"bgp,omitempty"`    // established or down
	SAs             []IKESA       `json:"sas"`
	Pairs           []TunnelPair  `json:"pairs"`
	Routes          []TunnelRoute `json:"routes"`
	Inbound         Volume        `json:"inbound"`
	Outbound        Volume        `json:"outbound"`
	LastIn          time.Time     `json:"lastIn,omitzero"`
	LastOut         time.Time     `json:"lastOut,omitzero"`
	Rekeys          uint64        `json:"rekeys"`
	DeadPeers       uint64        `json:"deadPeers"`
	Failures        uint64        `json:"failures"`
	Fault           *TunnelFault  `json:"fault,omitempty"` // the last one
}

// States of a Tunnel.
const (
	TunnelUp          = "up"
	TunnelNoChild     = "phase 2 fails"     // there is an IKE_SA, and no CHILD_SA
	TunnelHalfUp      = "phase 1 only"      // the same, and nothing has failed yet
	TunnelNoIKE       = "phase 1 fails"     // there is no IKE_SA
	TunnelNegotiating = "being established" // neither, and nothing has failed yet
	TunnelUnknown     = "unknown"           // the dataplane does not have it
)

// IKESA is an IKE_SA.
type IKESA struct {
	ID          string         `json:"id"`
	State       string         `json:"state"` // strongSwan's word
	Version     int            `json:"version"`
	Initiator   bool           `json:"initiator"` // this end began it
	Local       netip.AddrPort `json:"local,omitzero"`
	Remote      netip.AddrPort `json:"remote,omitzero"` // where the peer is seen
	LocalID     string         `json:"localId,omitempty"`
	RemoteID    string         `json:"remoteId,omitempty"`
	NATRemote   bool           `json:"natRemote,omitempty"` // the peer is behind a NAT, or says so to encapsulate in UDP
	Algorithms  string         `json:"algorithms,omitempty"`
	Established time.Time      `json:"established,omitzero"`
	Children    []ChildSA      `json:"children"`
}

// ChildSA is a CHILD_SA.
type ChildSA struct {
	ID         string    `json:"id"`
	State      string    `json:"state"`
	Local      []string  `json:"local"` // traffic selectors
	Remote     []string  `json:"remote"`
	Algorithms string    `json:"algorithms,omitempty"`
	SPIIn      string    `json:"spiIn,omitempty"` // hexadecimal
	SPIOut     string    `json:"spiOut,omitempty"`
	UDP        bool      `json:"udp,omitempty"` // ESP in UDP
	Installed  time.Time `json:"installed,omitzero"`
	RekeyIn    int       `json:"rekeyIn,omitempty"` // seconds
	EndsIn     int       `json:"endsIn,omitempty"`
	Inbound    Volume    `json:"inbound"`
	Outbound   Volume    `json:"outbound"`
}

// TunnelPair is a pair of subnets.
type TunnelPair struct {
	Local  netip.Prefix `json:"local"`
	Remote netip.Prefix `json:"remote"`
	Up     bool         `json:"up"`
}

// TunnelRoute leads to a tunnel.
type TunnelRoute struct {
	Source      netip.Prefix `json:"source,omitzero"` // a policy route's
	Destination netip.Prefix `json:"destination"`
	Standby     bool         `json:"standby,omitempty"`
	Published   bool         `json:"published,omitempty"`
}

// TunnelFault is why a negotiation failed.
type TunnelFault struct {
	Kind   string    `json:"kind"`
	Text   string    `json:"text"`
	Detail string    `json:"detail,omitempty"` // what each end offered
	Side   string    `json:"side"`             // where to look first
	First  time.Time `json:"first"`
	Last   time.Time `json:"last"`
	Count  uint64    `json:"count"`
}

func tunnel(t *vpn.Tunnel) Tunnel {
	s := &t.Live
	out := Tunnel{
		Connection: t.ID, Name: t.Name, Account: t.Account, VPC: t.VPC,
		Gateway: t.Gateway, GatewayAddress: t.Local.Address, CustomerGateway: t.CustomerGateway, PeerAddress: t.Peer.Address,
		State: tunnelState(s), Since: s.Since, Path: string(s.Path), Error: s.Error,
		SAs: []IKESA{}, Pairs: []TunnelPair{}, Routes: []TunnelRoute{},
		Inbound: Volume(s.Inbound), Outbound: Volume(s.Outbound), LastIn: s.LastIn, LastOut: s.LastOut,
		Rekeys: s.Rekeys, DeadPeers: s.DPDEvents, Failures: s.Failures,
	}
	if s.Checked {
		out.Health = "passing"
		if s.Failed {
			out.Health = "failing"
		}
	}
	if t.BGP.Enabled {
		out.BGP = "down"
		if s.BGP {
			out.BGP = "established"
		}
	}
	for i := range s.SAs {
		out.SAs = append(out.SAs, ikeSA(&s.SAs[i]))
	}
	for _, p := range s.Pairs {
		out.Pairs = append(out.Pairs, TunnelPair{p.Local, p.Remote, p.Up})
	}
	for _, r := range t.Routes {
		out.Routes = append(out.Routes, TunnelRoute{r.Source, r.Destination, r.Standby, r.Published})
	}
	if f := s.Fault; f.Count > 0 {
		out.Fault = &TunnelFault{f.Kind, f.Text, f.Detail, string(f.Side), f.First, f.Last, f.Count}
	}
	return out
}

func tunnelState(s *dataplane.VPNStatus) string {
	switch {
	case s.Connection == "":
		return TunnelUnknown
	case s.Child:
		return TunnelUp
	case s.IKE && s.Error != "":
		return TunnelNoChild
	case s.IKE:
		return TunnelHalfUp
	case s.Error != "":
		return TunnelNoIKE
	}
	return TunnelNegotiating
}

func ikeSA(s *dataplane.VPNSA) IKESA {
	out := IKESA{
		ID: s.ID, State: s.State, Version: s.Version, Initiator: s.Initiator, Local: s.Local, Remote: s.Remote,
		LocalID: s.LocalID, RemoteID: s.RemoteID, NATRemote: s.NATRemote, Algorithms: s.Proposal, Established: s.Established,
		Children: []ChildSA{},
	}
	for _, k := range s.Children {
		out.Children = append(out.Children, ChildSA{
			ID: k.ID, State: k.State, Local: k.Local, Remote: k.Remote, Algorithms: k.Proposal, SPIIn: k.SPIIn, SPIOut: k.SPIOut, UDP: k.UDP,
			Installed: k.Installed, RekeyIn: int(k.RekeyIn.Seconds()), EndsIn: int(k.EndsIn.Seconds()),
			Inbound: Volume(k.Inbound), Outbound: Volume(k.Outbound),
		})
	}
	return out
}

func tunnels(s VPN) handler {
	return func(r *http.Request) (any, error) {
		list, err := s.Tunnels(r.Context(), r.PathValue("id"))
		out := make([]Tunnel, 0, len(list))
		for i := range list {
			out = append(out, tunnel(&list[i]))
		}
		return out, err
	}
}

// Tunnels returns how an IPsec connection is, or all of them if connection is
// empty, by id.
func (c *Client) Tunnels(ctx context.Context, connection string) ([]Tunnel, error) {
	path := "/v1/vpn/connections"
	if connection != "" {
		path += "/" + url.PathEscape(connection)
	}
	var out []Tunnel
	err := c.call(ctx, http.MethodGet, path, nil, &out)
	return out, err
}
