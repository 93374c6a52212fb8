package monitor

import (
	"fmt"
	"net/netip"

	"sluice/dataplane"
)

// Minute is the length of what is counted together, in seconds.
const Minute = 60

// Counts are the figures of one private address. Of a minute: what was sent,
// received and opened in it, and what was open at its end. Of a reading: the
// same since the counters began.
type Counts struct {
	Outbound, Inbound dataplane.Volume // layer 3
	Open              uint64           // sessions; a level, not a sum
	Opened            uint64           // sessions
}

// silent says whether there is nothing to report.
func (c Counts) silent() bool { return c == Counts{} }

// since returns how much the counters have grown from an earlier reading. One
// that is smaller than it was has begun at 0 again.
func (c Counts) since(before Counts) Counts {
	return Counts{
		Outbound: growth(c.Outbound, before.Outbound),
		Inbound:  growth(c.Inbound, before.Inbound),
		Open:     c.Open,
		Opened:   grown(c.Opened, before.Opened),
	}
}

// plus returns the sum of two parts of the same address.
func (c Counts) plus(o Counts) Counts {
	return Counts{
		Outbound: dataplane.Volume{Bytes: c.Outbound.Bytes + o.Outbound.Bytes, Packets: c.Outbound.Packets + o.Outbound.Packets},
		Inbound:  dataplane.Volume{Bytes: c.Inbound.Bytes + o.Inbound.Bytes, Packets: c.Inbound.Packets + o.Inbound.Packets},
		Open:     c.Open + o.Open,
		Opened:   c.Opened + o.Opened,
	}
}

func growth(now, before dataplane.Volume) dataplane.Volume {
	return dataplane.Volume{Bytes: grown(now.Bytes, before.Bytes), Packets: grown(now.Packets, before.Packets)}
}

func grown(now, before uint64) uint64 {
	if now < before {
		return now
	}
	return now - before
}

// Row is the figures of one address.
type Row struct {
	Address netip.Addr // IPv4
	Counts
}

// rowsOf returns the rows of a reading that are of a gateway; the addresses are
// ascending. One that is there twice (two processors may begin to count a new address at
// the same moment) has the sum of both.
func rowsOf(t *dataplane.Traffic, gateway string) ([]Row, error) {
	rows := make([]Row, 0, len(t.Addresses))
	for _, a := range t.Addresses {
		if a.Gateway != gateway {
			continue
		}
		c := Counts{Outbound: a.Outbound, Inbound: a.Inbound, Open: a.Open, Opened: a.Opened}
		last := len(rows) - 1
		switch {
		case !a.Address.Is4():
			return nil, fmt.Errorf("%v was counted, which is no IPv4 address", a.Address)
		case last >= 0 && a.Address == rows[last].Address:
			rows[last].Counts = rows[last].plus(c)
		case last >= 0 && a.Address.Less(rows[last].Address):
			return nil, fmt.Errorf("%v was counted after %v; addresses have to ascend", a.Address, rows[last].Address)
		default:
			rows = append(rows, Row{a.Address, c})
		}
	}
	return rows, nil
}

// growthOf returns what has happened between two readings, without the
// addresses of which there is nothing to report. Both are ascending by address;
// so is the result.
func growthOf(now, before []Row) []Row {
	var out []Row
	for _, r := range now {
		for len(before) > 0 && before[0].Address.Less(r.Address) {
			before = before[1:]
		}
		var earlier Counts
		if len(before) > 0 && before[0].Address == r.Address {
			earlier = before[0].Counts
		}
		if c := r.since(earlier); !c.silent() {
			out = append(out, Row{r.Address, c})
		}
	}
	return out
}
