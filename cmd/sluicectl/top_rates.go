package main

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"sluice/api/admin"
	"sluice/dataplane"
)

// reading is the counters of a VPC at one moment.
type reading struct {
	vpc     string // id
	gateway string // id of the NAT gateway that is asked for; empty: whatever there is
	at      time.Time
	traffic admin.Traffic
	err     string // why there are none
}

// activity is what happened between two readings; its JSON is for programs.
type activity struct {
	At        time.Time      `json:"at"`
	Gateways  []gatewayRates `json:"gateways"`
	Addresses []addressRates `json:"addresses"`
	Left      int            `json:"addressesLeftOut"` // beyond the limit
}

// rates are what happened in a second.
type rates struct {
	OutBits    float64 `json:"outBitsPerSecond"`
	OutPackets float64 `json:"outPacketsPerSecond"`
	InBits     float64 `json:"inBitsPerSecond"`
	InPackets  float64 `json:"inPacketsPerSecond"`
	New        float64 `json:"newSessionsPerSecond"`
}

// gatewayRates are those of a NAT gateway, or of what passes by none: by the hosts' own
// elastic IPs.
type gatewayRates struct {
	Gateway  string  `json:"gateway,omitempty"`
	VPC      string  `json:"vpc"`
	Seconds  float64 `json:"seconds"`                // between the two readings
	Sessions uint64  `json:"sessions"`               // open, of all kinds
	SNAT     uint64  `json:"snatSessions"`           // open, for which the limit holds
	Limit    int     `json:"sessionLimit,omitempty"` // 0: none
	NewLimit int     `json:"newSessionsPerSecondLimit,omitempty"`
	Refused  float64 `json:"refusedSessionsPerSecond"`
	Why      string  `json:"refusedMostBecause,omitempty"` // the reason of most of them
	rates
	Error string `json:"error,omitempty"` // why it could not be read
}

// addressRates are those of a private address, as far as it goes by a NAT gateway, or by
// none.
type addressRates struct {
	Gateway  string  `json:"gateway,omitempty"`
	VPC      string  `json:"vpc"`
	Address  string  `json:"address"`
	Sessions uint64  `json:"sessions"`                 // open
	Refused  float64 `json:"refusedSessionsPerSecond"` // for which no port was free, or which were beyond the address's share
	rates
}

// compare returns what happened between two readings. A gateway that was not
// in the first, or has begun to count anew, is left out: its rates are not
// known before the next one.
func compare(at time.Time, before, after []reading) activity {
	r := activity{At: at, Gateways: []gatewayRates{}, Addresses: []addressRates{}}
	for _, b := range after {
		if b.err != "" {
			r.Gateways = append(r.Gateways, gatewayRates{Gateway: b.gateway, VPC: b.vpc, Error: b.err})
			continue
		}
		i := slices.IndexFunc(before, func(a reading) bool { return a.vpc == b.vpc && a.err == "" })
		if i < 0 || before[i].traffic.Epoch != b.traffic.Epoch {
			continue
		}
		seconds := b.at.Sub(before[i].at).Seconds()
		if seconds <= 0 {
			continue
		}
		r.network(b, before[i].traffic, seconds)
	}
	return r
}

// network adds what happened in a VPC.
func (r *activity) network(is reading, was admin.Traffic, seconds float64) {
	per := func(now, then uint64) float64 {
		if now < then {
			return 0
		}
		return float64(now-then) / seconds
	}
	between := func(out, outWas, in, inWas admin.Volume, opened, openedWas uint64) rates {
		return rates{
			OutBits: 8 * per(out.Bytes, outWas.Bytes), OutPackets: per(out.Packets, outWas.Packets),
			InBits: 8 * per(in.Bytes, inWas.Bytes), InPackets: per(in.Packets, inWas.Packets),
			New: per(opened, openedWas),
		}
	}
	t := is.traffic
	before := make(map[string]admin.GatewayTraffic, len(was.Gateways))
	for _, g := range was.Gateways {
		before[g.ID] = g
	}
	for _, now := range t.Gateways {
		w, known := before[now.ID]
		if !known || is.gateway != "" && is.gateway != now.ID {
			continue
		}
		_, opened, _ := sessions(now)
		_, openedWas, _ := sessions(w)
		g := gatewayRates{
			Gateway: now.ID, VPC: is.vpc, Seconds: seconds, Limit: now.Limit, NewLimit: now.RateLimit,
			Refused: per(refused(now), refused(w)),
			rates:   between(now.Outbound, w.Outbound, now.Inbound, w.Inbound, opened, openedWas),
		}
		g.Sessions, _, g.SNAT = sessions(now)
		g.Why = whyRefused(now, w)
		// Where there are gateways, most hosts have no elastic IP of their own.
		if now.ID != "" || len(t.Gateways) == 1 || g.Sessions > 0 || g.Refused > 0 || g.rates != (rates{}) {
			r.Gateways = append(r.Gateways, g)
		}
	}

	type host struct{ address, gateway string }
	then := make(map[host]admin.AddressTraffic, len(was.Addresses))
	for _, a := range was.Addresses {
		then[host{a.Address, a.Gateway}] = a
	}
	for _, a := range t.Addresses {
		if is.gateway != "" && is.gateway != a.Gateway {
			continue
		}
		w := then[host{a.Address, a.Gateway}] // a new one began at 0
		v := between(a.Outbound, w.Outbound, a.Inbound, w.Inbound, a.Opened, w.Opened)
		no := per(a.NoPort+a.Share, w.NoPort+w.Share)
		if a.Open > 0 || no > 0 || v != (rates{}) {
			r.Addresses = append(r.Addresses, addressRates{Gateway: a.Gateway, VPC: is.vpc, Address: a.Address, Sessions: a.Open, Refused: no, rates: v})
		}
	}
}

func sessions(t admin.GatewayTraffic) (open, opened, snat uint64) {
	for _, s := range t.Sessions {
		open += s.Open
		opened += s.Opened
		if s.Kind == string(dataplane.SessionSNAT) {
			snat += s.Open
		}
	}
	return open, opened, snat
}

func refused(t admin.GatewayTraffic) (n uint64) {
	for _, c := range t.Refused {
		n += c.Count
	}
	return n
}

// whyRefused returns the reason for which most were refused between two readings.
func whyRefused(now, was admin.GatewayTraffic) (why string) {
	then := map[string]uint64{}
	for _, c := range was.Refused {
		then[c.Reason] = c.Count
	}
	var most uint64
	for _, c := range now.Refused {
		if n := c.Count - min(c.Count, then[c.Reason]); n > most {
			most, why = n, c.Reason
		}
	}
	return why
}

// orders are what addresses can be sorted by: the most first.
var orders = map[string]func(a addressRates) float64{
	"traffic":  func(a addressRates) float64 { return a.OutBits + a.InBits },
	"out":      func(a addressRates) float64 { return a.OutBits },
	"in":       func(a addressRates) float64 { return a.InBits },
	"packets":  func(a addressRates) float64 { return a.OutPackets + a.InPackets },
	"sessions": func(a addressRates) float64 { return float64(a.Sessions) },
	"new":      func(a addressRates) float64 { return a.New },
	"refused":  func(a addressRates) float64 { return a.Refused },
	"address":  func(addressRates) float64 { return 0 }, // what decides between equals
}

// order sorts the addresses and keeps the first of them.
func (r *activity) order(by string, limit int) {
	most := orders[by]
	numeric := func(s string) netip.Addr { a, _ := netip.ParseAddr(s); return a }
	slices.SortFunc(r.Addresses, func(a, b addressRates) int {
		return cmp.Or(cmp.Compare(most(b), most(a)), numeric(a.Address).Compare(numeric(b.Address)), cmp.Compare(a.VPC, b.VPC))
	})
	if limit > 0 && len(r.Addresses) > limit {
		r.Left = len(r.Addresses) - limit
		r.Addresses = r.Addresses[:limit]
	}
}
