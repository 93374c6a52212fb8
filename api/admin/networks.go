package admin

import (
	"context"
	"net/http"
	"net/netip"
	"slices"
	"strings"
	"time"

	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Networks tells how far the dataplane has followed each VPC.
type Networks interface {
	Networks() []Network
}

// Network is one VPC and its place between what is wanted and what the kernel
// holds.
type Network struct {
	ID        string    `json:"id"` // of the VPC
	Namespace string    `json:"namespace"`
	Account   string    `json:"account,omitempty"` // empty once the VPC is deleted
	Region    string    `json:"region,omitempty"`
	Name      string    `json:"name,omitempty"`
	CIDR      string    `json:"cidr,omitempty"`        // its CIDR blocks, the first one first, separated by commas
	Gateways  []string  `json:"natGateways,omitempty"` // ids, ascending
	VSwitches int       `json:"vswitches"`
	Instances int       `json:"instances"`
	Elastic   int       `json:"elasticIps"`
	DNAT      int       `json:"dnatEntries"`
	SNAT      int       `json:"snatEntries"`
	Wanted    int64     `json:"wanted"`  // revision of the newest change to follow
	Applied   int64     `json:"applied"` // revision that the kernel holds
	Error     string    `json:"error,omitempty"`
	Since     time.Time `json:"since,omitzero"` // of the last report

	// GroupDrops are the packets that its security groups have dropped, by reason.
	GroupDrops map[string]uint64 `json:"groupDrops,omitempty"`
}

// Status is the state of the dataplane as db knows it. It implements Networks.
type Status struct {
	DB         *state.DB
	GroupDrops func(network string) map[string]uint64 // what security groups have dropped, by reason; nil: not known
}

// Networks returns all networks that are there or still have to go, by id.
func (s Status) Networks() []Network {
	v := s.DB.View()
	list := []Network{}
	for _, n := range s.DB.Observed.Status() {
		out := Network{ID: n.Network, Namespace: dataplane.Namespace(n.Network), Wanted: n.Wanted, Applied: n.Applied, Error: n.Error, Since: n.Since}
		if vpc, ok := v.VPCs.Get(n.Network); ok {
			out.Account, out.Region, out.Name, out.CIDR = vpc.Account, vpc.Region, vpc.Name, blocks(vpc.Blocks())
		}
		for g := range v.NATGateways.By(state.ByVPC, n.Network).All() {
			out.Gateways = append(out.Gateways, g.ID)
		}
		slices.Sort(out.Gateways)
		out.VSwitches = v.VSwitches.By(state.ByVPC, n.Network).Len()
		out.Instances = v.Instances.By(state.ByVPC, n.Network).Len()
		out.Elastic = v.ElasticIPs.By(state.ByVPC, n.Network).Len()
		out.DNAT = v.ForwardEntries.By(state.ByVPC, n.Network).Len()
		out.SNAT = v.SNATEntries.By(state.ByVPC, n.Network).Len()
		if s.GroupDrops != nil {
			out.GroupDrops = s.GroupDrops(n.Network)
		}
		list = append(list, out)
	}
	return list
}

func networkRoutes(s Networks) map[string]handler {
	return map[string]handler{
		"GET /v1/networks": func(*http.Request) (any, error) { return s.Networks(), nil },
	}
}

// Networks returns the state of every network's dataplane, by id.
func (c *Client) Networks(ctx context.Context) (list []Network, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/networks", nil, &list)
	return list, err
}

func blocks(list []netip.Prefix) string {
	var texts []string
	for _, p := range list {
		texts = append(texts, p.String())
	}
	return strings.Join(texts, ",")
}
