package metrics

import (
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Networks tells which networks there are.
type Networks interface {
	Networks() []Network
}

// Network is a VPC with its NAT gateways.
type Network struct {
	VPC         string // id
	Stage       Stage
	Gateways    []Gateway       // by id
	Connections []VPNConnection // of its VPN gateways, by id
	SSLServers  []SSLServer     // likewise
}

// Gateway is a NAT gateway.
type Gateway struct{ ID, Account, Region, Name, Spec string }

// gateway returns the label of what is the network's as a whole: the id of its only NAT
// gateway, or nothing.
func (n *Network) gateway() string {
	if len(n.Gateways) == 1 {
		return n.Gateways[0].ID
	}
	return ""
}

// Stage says how far the kernel has followed a network.
type Stage string

// The stages of a network.
const (
	Applied Stage = "applied" // the kernel holds what is wanted
	Pending Stage = "pending" // it is about to
	Failed  Stage = "failed"  // the last attempt failed; it is tried again
)

// stages returns all stages, in the order in which they are shown.
func stages() []Stage { return []Stage{Applied, Pending, Failed} }

// Status is the networks as the control plane knows them. It implements
// Networks.
type Status struct {
	DB   *state.DB
	Spec func(dataplane.Limits) string // what the clients call a gateway with such limits
}

// Networks returns all networks that are there or still have to go, by id.
func (s Status) Networks() []Network {
	v := s.DB.View()
	var list []Network
	for _, n := range s.DB.Observed.Status() {
		out := Network{VPC: n.Network, Stage: Pending}
		switch {
		case n.Error != "":
			out.Stage = Failed
		case n.Applied >= n.Wanted:
			out.Stage = Applied
		}
		for g := range v.NATGateways.By(state.ByVPC, n.Network).All() {
			out.Gateways = append(out.Gateways, Gateway{ID: g.ID, Account: g.Account, Region: g.Region, Name: g.Name, Spec: s.Spec(g.Limits)})
		}
		for c := range v.VPNConnections.By(state.ByVPC, n.Network).All() {
			x := VPNConnection{ID: c.ID, Gateway: c.Gateway, Account: c.Account, Region: c.Region, Name: c.Name, BGP: c.BGP.Enabled}
			if peer, ok := v.CustomerGateways.Get(c.CustomerGateway); ok {
				x.Peer = peer.Address.String()
			}
			out.Connections = append(out.Connections, x)
		}
		for x := range v.SSLServers.By(state.ByVPC, n.Network).All() {
			server := SSLServer{ID: x.ID, Gateway: x.Gateway, Account: x.Account, Region: x.Region, Name: x.Name, Expires: x.Keys.Expires}
			if g, ok := v.VPNGateways.Get(x.Gateway); ok {
				server.Limit = g.SSLConnections
			}
			for c := range v.SSLCertificates.By(state.ByServer, x.ID).All() {
				server.Certificates = append(server.Certificates, SSLCertificate{c.ID, c.Name, c.Expires})
			}
			out.SSLServers = append(out.SSLServers, server)
		}
		list = append(list, out)
	}
	return list
}
