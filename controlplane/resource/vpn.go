package resource

import (
	"net/netip"
	"slices"
	"time"

	"sluice/dataplane"
)

// Kinds of the VPN resources.
const (
	KindVPNGateway      Kind = "vpn-gateway"
	KindCustomerGateway Kind = "customer-gateway"
	KindVPNConnection   Kind = "vpn-connection"
	KindVPNRoute        Kind = "vpn-route"
)

// VPNGateway is a VPN gateway of a VPC, with a public address of its own.
type VPNGateway struct {
	Meta
	VPC            string     `json:"vpc"`
	VSwitch        string     `json:"vswitch,omitempty"` // that it was asked to be in; shown only
	Name           string     `json:"name,omitempty"`
	Description    string     `json:"description,omitempty"`
	Address        netip.Addr `json:"address"`             // public
	PublicNetwork  string     `json:"publicNetwork"`       // name of the configured public network that the address comes from
	Bandwidth      int        `json:"bandwidth"`           // Mbit/s
	Prepaid        bool       `json:"prepaid"`             // else by use; nothing is charged here
	Expires        time.Time  `json:"expires,omitzero"`    // end of the term that was bought; see Charge
	Period         int        `json:"period,omitempty"`    // months that it is renewed for by itself; 0: it is not
	ByUseNext      bool       `json:"byUseNext,omitempty"` // by use from the end of the term on
	IPsec          bool       `json:"ipsec"`
	SSL            bool       `json:"ssl"`
	SSLConnections int        `json:"sslConnections,omitempty"`
	AutoPropagate  bool       `json:"autoPropagate,omitempty"` // routes learned by BGP go into the VPC's route table
}

// PublicAddress implements Addressed.
func (g *VPNGateway) PublicAddress() netip.Addr { return g.Address }

// Kind implements Resource.
func (*VPNGateway) Kind() Kind { return KindVPNGateway }

// Network implements Resource.
func (g *VPNGateway) Network() string { return g.VPC }

// Clone implements Resource.
func (g *VPNGateway) Clone() Resource { c := *g; return &c }

// Charge says how the gateway is charged at a time: prepaid until expires, or by use. One that
// renews itself never expires.
func (g *VPNGateway) Charge(now time.Time) (prepaid bool, expires time.Time) {
	switch {
	case !g.Prepaid || g.ByUseNext && !now.Before(g.Expires):
		return false, time.Time{}
	case g.ByUseNext || g.Period <= 0:
		return true, g.Expires
	}
	expires = g.Expires
	for n := 1; !now.Before(expires); n++ { // from the first end, whose day a short month has cut else
		expires = g.Expires.AddDate(0, n*g.Period, 0)
	}
	return true, expires
}

// CustomerGateway is the record of a VPN device at a remote site.
type CustomerGateway struct {
	Meta
	Address     netip.Addr `json:"address"` // public
	ASN         uint32     `json:"asn,omitempty"`
	Name        string     `json:"name,omitempty"`
	Description string     `json:"description,omitempty"`
}

// Kind implements Resource.
func (*CustomerGateway) Kind() Kind { return KindCustomerGateway }

// Network implements Resource: what follows it are its connections, and its
// address never changes.
func (*CustomerGateway) Network() string { return "" }

// Clone implements Resource.
func (g *CustomerGateway) Clone() Resource { c := *g; return &c }

// IKEConfig is what phase 1 of a connection uses.
type IKEConfig struct {
	PSK []byte `json:"psk"` // pre-shared key, sealed for the connection's id
	dataplane.IKE
	LocalID  string `json:"localId"`  // address or FQDN
	RemoteID string `json:"remoteId"` // address or FQDN
}

// HealthCheck says how a connection is probed.
type HealthCheck struct {
	Enabled     bool       `json:"enabled"`
	Source      netip.Addr `json:"source"`
	Destination netip.Addr `json:"destination"`
	Interval    int        `json:"interval"` // s
	Retries     int        `json:"retries"`  // losses after which the check has failed
}

// BGPConfig says how routes are exchanged over a connection.
type BGPConfig struct {
	Enabled  bool         `json:"enabled"`
	Tunnel   netip.Prefix `json:"tunnel"`   // a /30 in 169.254.0.0/16
	LocalIP  netip.Addr   `json:"localIp"`  // of the gateway, in Tunnel
	LocalASN uint32       `json:"localAsn"` // the peer's is the customer gateway's
}

// TunnelHosts returns the two addresses in a /30 that the ends of a tunnel have.
func TunnelHosts(tunnel netip.Prefix) (first, second netip.Addr) {
	first = tunnel.Masked().Addr().Next()
	return first, first.Next()
}

// PeerAddress returns the address of the other end in a tunnel of which local
// is one.
func PeerAddress(tunnel netip.Prefix, local netip.Addr) netip.Addr {
	first, second := TunnelHosts(tunnel)
	if local == first {
		return second
	}
	return first
}

// VPNConnection is an IPsec connection between a VPN gateway and a customer
// gateway.
type VPNConnection struct {
	Meta
	VPC               string                `json:"vpc"`
	Gateway           string                `json:"gateway"`
	CustomerGateway   string                `json:"customerGateway"`
	Name              string                `json:"name,omitempty"`
	Policies          dataplane.VPNPolicies `json:"policies"`            // as given
	Exclusive         bool                  `json:"exclusive,omitempty"` // see dataplane.VPNConnection
	Resets            int                   `json:"resets,omitempty"`    // how often it was to be negotiated anew
	EffectImmediately bool                  `json:"effectImmediately"`
	IKE               IKEConfig             `json:"ike"`
	IPsec             dataplane.ESP         `json:"ipsec"`
	HealthCheck       HealthCheck           `json:"healthCheck"`
	BGP               BGPConfig             `json:"bgp"`
	AutoConfigRoute   bool                  `json:"autoConfigRoute"`
	DPD               bool                  `json:"dpd"`
	NATTraversal      bool                  `json:"natTraversal"`
}

// Kind implements Resource.
func (*VPNConnection) Kind() Kind { return KindVPNConnection }

// Network implements Resource.
func (c *VPNConnection) Network() string { return c.VPC }

// Clone implements Resource.
func (c *VPNConnection) Clone() Resource {
	d := *c
	d.Policies = c.Policies.Clone()
	d.IKE.PSK = slices.Clone(c.IKE.PSK)
	return &d
}

// VPNRoute is a route of a VPN gateway: a destination route, or, with a source,
// a policy route.
type VPNRoute struct {
	Meta                     // ID is VPNRouteID
	VPC         string       `json:"vpc"`
	Gateway     string       `json:"gateway"`
	Source      netip.Prefix `json:"source,omitzero"` // the zero Prefix for a destination route
	Destination netip.Prefix `json:"destination"`
	Connection  string       `json:"connection"`        // the next hop
	Standby     bool         `json:"standby,omitempty"` // used while the active route's tunnel is down
	Published   bool         `json:"published"`         // in the VPC's route table
	Description string       `json:"description,omitempty"`
	OverlayMode string       `json:"overlayMode,omitempty"`
	Auto        bool         `json:"auto,omitempty"` // made by a connection's AutoConfigRoute
}

// VPNRouteID returns the id of a route: the documents identify one by all of
// this. source is the zero Prefix for a destination route.
func VPNRouteID(gateway string, source, destination netip.Prefix, connection string) string {
	id := gateway + "/"
	if source.IsValid() {
		id += source.String() + ">"
	}
	return id + destination.String() + "/" + connection
}

// ByPolicy says whether the route goes by source and destination.
func (r *VPNRoute) ByPolicy() bool { return r.Source.IsValid() }

// Kind implements Resource.
func (*VPNRoute) Kind() Kind { return KindVPNRoute }

// Network implements Resource.
func (r *VPNRoute) Network() string { return r.VPC }

// Clone implements Resource.
func (r *VPNRoute) Clone() Resource { c := *r; return &c }
