package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"sluice/dataplane"
)

// Counters reads what the dataplane counts.
type Counters interface {
	// Traffic returns what was counted of a network; nil if it is not counted.
	Traffic(ctx context.Context, network string) (*dataplane.Traffic, error)
}

// NotCounted is the reason of the refusal for a network whose traffic is not
// counted: it has no public side, or is not there.
const NotCounted = "NotCounted"

// Traffic is what was counted of a network, and what it holds now. Counters
// only grow while the epoch stays the same.
type Traffic struct {
	Epoch     uint64           `json:"epoch"`
	Gateways  []GatewayTraffic `json:"gateways"`       // of each NAT gateway, and first of what none translates
	Sessions  []Sessions       `json:"sessions"`       // by kind
	Refused   []Count          `json:"refused"`        // sessions, by reason
	Hits      uint64           `json:"shortcutHits"`   // packets that the flow cache forwarded
	Misses    []Count          `json:"shortcutMisses"` // packets that it left to the kernel, by reason
	Misplaced uint64           `json:"outOfWindow"`    // packets dropped: a RST or FIN that was not where its connection is
	Outbound  Volume           `json:"outbound"`
	Inbound   Volume           `json:"inbound"`
	Addresses []AddressTraffic `json:"addresses"` // by private address and gateway
	Ports     []Ports          `json:"ports"`     // by elastic IP and protocol
	NoPort    []NoPort         `json:"noPort"`    // by elastic IP, protocol and private address
}

// GatewayTraffic is what was counted of a NAT gateway, or, without an id, of what passes
// by the hosts' own elastic IPs.
type GatewayTraffic struct {
	ID        string     `json:"id,omitempty"`
	Limit     int        `json:"limit,omitempty"`     // SNAT sessions that may be open; 0: no limit
	RateLimit int        `json:"rateLimit,omitempty"` // that may be opened in a second; 0: no limit
	Sessions  []Sessions `json:"sessions"`            // by kind
	Refused   []Count    `json:"refused"`             // sessions, by reason
	Outbound  Volume     `json:"outbound"`
	Inbound   Volume     `json:"inbound"`
}

// Sessions counts those of one kind: snat, dnat or elastic.
type Sessions struct {
	Kind   string `json:"kind"`
	Open   uint64 `json:"open"`
	Opened uint64 `json:"opened"` // so far
}

// Count is a counter with what it counts.
type Count struct {
	Reason string `json:"reason"`
	Count  uint64 `json:"count"`
}

// Volume is an amount of traffic at layer 3.
type Volume struct {
	Bytes   uint64 `json:"bytes"`
	Packets uint64 `json:"packets"`
}

// AddressTraffic is what was counted of one private address, as far as it went by one NAT
// gateway, or by none.
type AddressTraffic struct {
	Address  string `json:"address"`
	Gateway  string `json:"gateway,omitempty"` // id
	Outbound Volume `json:"outbound"`
	Inbound  Volume `json:"inbound"`
	Open     uint64 `json:"open"`   // sessions, now
	Opened   uint64 `json:"opened"` // sessions, so far
	NoPort   uint64 `json:"noPort"` // sessions refused so far for which no port was free
	Share    uint64 `json:"share"`  // sessions refused so far because the address had its share of the gateway's limits
}

// Ports says how many ports of an elastic IP are in use towards the
// destination with the most, and how many there can be.
type Ports struct {
	ElasticIP string `json:"elasticIp"`
	Protocol  uint8  `json:"protocol"` // 1 ICMP, 6 TCP, 17 UDP
	Used      int    `json:"used"`
	Most      int    `json:"most"`
}

// NoPort counts the sessions of a host that were refused since no port of the
// elastic IP was free.
type NoPort struct {
	ElasticIP string `json:"elasticIp"`
	Address   string `json:"address,omitempty"` // empty for hosts without a counter of their own
	Protocol  uint8  `json:"protocol"`
	Count     uint64 `json:"count"`
}

func traffic(t *dataplane.Traffic) Traffic {
	out := Traffic{
		Epoch: t.Epoch, Gateways: make([]GatewayTraffic, 0, len(t.Gateways)),
		Sessions: sessions(t.Sessions), Refused: counts(t.Refused), Hits: t.Shortcut.Hits, Misses: counts(t.Shortcut.Misses), Misplaced: t.Misplaced,
		Outbound: Volume(t.Outbound), Inbound: Volume(t.Inbound),
		Addresses: make([]AddressTraffic, 0, len(t.Addresses)), Ports: []Ports{}, NoPort: []NoPort{},
	}
	for _, g := range t.Gateways {
		out.Gateways = append(out.Gateways, GatewayTraffic{
			ID: g.ID, Limit: g.Limits.Connections, RateLimit: g.Limits.NewPerSecond,
			Sessions: sessions(g.Sessions), Refused: counts(g.Refused), Outbound: Volume(g.Outbound), Inbound: Volume(g.Inbound),
		})
	}
	for _, a := range t.Addresses {
		out.Addresses = append(out.Addresses, AddressTraffic{a.Address.String(), a.Gateway, Volume(a.Outbound), Volume(a.Inbound), a.Open, a.Opened, a.NoPort, a.Share})
	}
	for _, p := range t.Ports {
		out.Ports = append(out.Ports, Ports{p.External.String(), p.Protocol, p.Used, p.Most})
	}
	for _, p := range t.NoPort {
		n := NoPort{ElasticIP: p.External.String(), Protocol: p.Protocol, Count: p.Count}
		if p.Private.IsValid() {
			n.Address = p.Private.String()
		}
		out.NoPort = append(out.NoPort, n)
	}
	return out
}

func sessions(list []dataplane.Sessions) []Sessions {
	out := []Sessions{}
	for _, s := range list {
		out = append(out, Sessions{string(s.Kind), s.Open, s.Opened})
	}
	return out
}

func counts(list []dataplane.Count) []Count {
	out := []Count{}
	for _, c := range list {
		out = append(out, Count(c))
	}
	return out
}

func trafficRoutes(s Counters) map[string]handler {
	return map[string]handler{
		"GET /v1/networks/{id}/traffic": func(r *http.Request) (any, error) {
			id := r.PathValue("id")
			t, err := s.Traffic(r.Context(), id)
			switch {
			case err != nil:
				return nil, fmt.Errorf("read the counters of %s: %w", id, err)
			case t == nil:
				return nil, &Error{
					Status: http.StatusNotFound, Reason: NotCounted,
					Message: fmt.Sprintf("the traffic of %s is not counted: a VPC's is while it has a NAT gateway or an elastic IP in use", id),
				}
			}
			return traffic(t), nil
		},
	}
}

// Traffic returns what was counted of the network of a VPC. The refusal for one
// that is not counted has the reason NotCounted.
func (c *Client) Traffic(ctx context.Context, network string) (t Traffic, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/networks/"+url.PathEscape(network)+"/traffic", nil, &t)
	return t, err
}
