package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"slices"
	"time"

	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Topology tells what the routers of this machine are connected with.
type Topology interface {
	Topology(ctx context.Context) (*Routers, error)
}

// Routers are all routers at a moment.
type Routers struct {
	At      time.Time `json:"at"`
	Routers []Router  `json:"routers"` // by id
}

// Router is a network of the dataplane: a VPC's router, or another one.
type Router struct {
	ID          string             `json:"id"`
	Name        string             `json:"name,omitempty"`
	Account     string             `json:"account,omitempty"`
	Region      string             `json:"region,omitempty"`
	Blocks      []netip.Prefix     `json:"blocks"` // the first one first
	Error       string             `json:"error,omitempty"`
	Switches    []RouterSwitch     `json:"switches"`
	Public      *RouterPublic      `json:"public,omitempty"` // nil without a public side
	NATGateways []RouterNATGateway `json:"natGateways"`
	VPNGateways []RouterVPNGateway `json:"vpnGateways"`
	Interfaces  []RouterInterface  `json:"interfaces"`
}

// RouterSwitch is a VSwitch, or the line of a border router.
type RouterSwitch struct {
	ID      string       `json:"id"`
	Block   netip.Prefix `json:"block"`
	Gateway netip.Addr   `json:"gateway"`
	Hosts   int          `json:"hosts"` // in the inventory
}

// RouterPublic is what a router has on the public side.
type RouterPublic struct {
	Network  netip.Prefix `json:"network"`
	Elastic  []netip.Addr `json:"elasticIps"`
	Outbound Volume       `json:"outbound"`
	Inbound  Volume       `json:"inbound"`
}

// RouterNATGateway is a NAT gateway of a router.
type RouterNATGateway struct {
	ID      string       `json:"id"`
	Elastic []netip.Addr `json:"elasticIps"`
}

// RouterVPNGateway is a VPN gateway of a router.
type RouterVPNGateway struct {
	ID          string             `json:"id"`
	Address     netip.Addr         `json:"address"`
	Connections []RouterConnection `json:"connections"` // of IPsec
	SSLServers  []string           `json:"sslServers"`
}

// RouterConnection is an IPsec connection of a VPN gateway.
type RouterConnection struct {
	ID       string     `json:"id"`
	Peer     netip.Addr `json:"peer"`
	State    string     `json:"state"` // one of a Tunnel's
	Outbound Volume     `json:"outbound"`
	Inbound  Volume     `json:"inbound"`
}

// RouterInterface is a router's end of a link to another router.
type RouterInterface struct {
	ID       string `json:"id"`
	Peer     string `json:"peer"`   // id of the other end
	Router   string `json:"router"` // that has it
	Mbit     int    `json:"mbit"`   // that may leave by it; 0 for no limit
	Linked   bool   `json:"linked"`
	Reached  bool   `json:"reached"` // what its health check asks for, if it has one
	Outbound Volume `json:"outbound"`
	Inbound  Volume `json:"inbound"`
	Dropped  uint64 `json:"dropped"` // packets beyond its bandwidth
}

// Routing is where a TopologyOf looks at routers.
type Routing interface {
	Counters
	Network(id string) *dataplane.Network
	Interfaces(ctx context.Context, id string) ([]dataplane.InterfaceStatus, error)
	VPN(ctx context.Context, id string) (map[string]dataplane.VPNStatus, error)
}

// TopologyOf is the topology of the networks in DB, as the dataplane of this machine has
// them. It implements Topology.
type TopologyOf struct {
	DB        *state.DB
	Dataplane Routing
	Now       func() time.Time
}

// Topology implements Topology. What the dataplane does not have yet is left out.
func (t TopologyOf) Topology(ctx context.Context) (*Routers, error) {
	v := t.DB.View()
	out := &Routers{At: t.Now(), Routers: []Router{}}
	for _, status := range t.DB.Observed.Status() {
		n := t.Dataplane.Network(status.Network)
		if n == nil {
			continue
		}
		r, err := t.router(ctx, n)
		if err != nil {
			return nil, fmt.Errorf("look at router %s: %w", n.ID, err)
		}
		if vpc, ok := v.VPCs.Get(n.ID); ok {
			r.Name, r.Account, r.Region = vpc.Name, vpc.Account, vpc.Region
		}
		for i := range r.Switches {
			r.Switches[i].Hosts = v.Instances.By(state.ByVSwitch, r.Switches[i].ID).Len()
		}
		r.Error = status.Error
		out.Routers = append(out.Routers, *r)
	}
	return out, nil
}

func (t TopologyOf) router(ctx context.Context, n *dataplane.Network) (*Router, error) {
	r := &Router{ID: n.ID, Blocks: n.Blocks(), Switches: []RouterSwitch{}, NATGateways: []RouterNATGateway{}, VPNGateways: []RouterVPNGateway{}, Interfaces: []RouterInterface{}}
	for i := range n.Switches {
		sw := &n.Switches[i]
		r.Switches = append(r.Switches, RouterSwitch{ID: sw.ID, Block: sw.Prefix, Gateway: sw.Gateway})
	}
	if n.Uplink != nil {
		r.Public = &RouterPublic{Network: n.Uplink.Prefix, Elastic: slices.Concat([]netip.Addr{}, n.Elastic)}
		traffic, err := t.Dataplane.Traffic(ctx, n.ID)
		if err != nil {
			return nil, err
		}
		if traffic != nil {
			r.Public.Outbound, r.Public.Inbound = Volume(traffic.Outbound), Volume(traffic.Inbound)
		}
	}
	for i := range n.NATGateways {
		g := &n.NATGateways[i]
		r.NATGateways = append(r.NATGateways, RouterNATGateway{ID: g.ID, Elastic: slices.Concat([]netip.Addr{}, g.Elastic)})
	}
	if err := t.vpnGateways(ctx, n, r); err != nil {
		return nil, err
	}
	return r, t.interfaces(ctx, n, r)
}

func (t TopologyOf) vpnGateways(ctx context.Context, n *dataplane.Network, r *Router) error {
	var live map[string]dataplane.VPNStatus
	for i := range n.VPNGateways {
		g := &n.VPNGateways[i]
		out := RouterVPNGateway{ID: g.ID, Address: g.Address, Connections: []RouterConnection{}, SSLServers: []string{}}
		if live == nil && len(g.Connections) > 0 {
			var err error
			if live, err = t.Dataplane.VPN(ctx, n.ID); err != nil {
				return err
			}
		}
		for k := range g.Connections {
			c := &g.Connections[k]
			s := live[c.ID]
			out.Connections = append(out.Connections, RouterConnection{ID: c.ID, Peer: c.Remote, State: tunnelState(&s), Outbound: Volume(s.Outbound), Inbound: Volume(s.Inbound)})
		}
		for k := range g.SSL {
			out.SSLServers = append(out.SSLServers, g.SSL[k].ID)
		}
		r.VPNGateways = append(r.VPNGateways, out)
	}
	return nil
}

func (t TopologyOf) interfaces(ctx context.Context, n *dataplane.Network, r *Router) error {
	if len(n.RouterInterfaces) == 0 {
		return nil
	}
	list, err := t.Dataplane.Interfaces(ctx, n.ID)
	if err != nil {
		return err
	}
	for i := range n.RouterInterfaces {
		of := &n.RouterInterfaces[i]
		out := RouterInterface{ID: of.ID, Peer: of.Peer, Router: of.Network, Mbit: of.Bandwidth}
		for _, s := range list {
			if s.ID == of.ID {
				out.Linked, out.Reached, out.Dropped = s.Linked, s.Reached, s.Dropped
				out.Outbound, out.Inbound = Volume(s.Outbound), Volume(s.Inbound)
			}
		}
		r.Interfaces = append(r.Interfaces, out)
	}
	return nil
}

func topologyRoutes(s Topology) map[string]handler {
	return map[string]handler{
		"GET /v1/topology": func(r *http.Request) (any, error) { return s.Topology(r.Context()) },
	}
}

// Topology returns the routers of this machine and what they are connected with.
func (c *Client) Topology(ctx context.Context) (*Routers, error) {
	out := &Routers{}
	return out, c.call(ctx, http.MethodGet, "/v1/topology", nil, out)
}
