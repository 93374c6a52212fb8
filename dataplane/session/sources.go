package session

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/cilium/ebpf/ringbuf"
	vishvananda "github.com/vishvananda/netlink"
	"golang.org/x/time/rate"

	"sluice/bpf"
	"sluice/dataplane/netns"
)

// Sources that the kernel knows no neighbour of are asked for, so many in a second at
// most: each takes a place in the kernel's table of neighbours, which all networks share,
// until nobody has answered for some seconds.
const (
	asksPerSecond = 10
	asksBurst     = 50

	// answerTime is longer than the kernel waits for an answer: it asks three times, a
	// second apart (net.ipv4.neigh.*.mcast_solicit, retrans_time_ms).
	answerTime = 4 * time.Second
)

// sayUnknown is how many packets from sources that are not known yet are worth a line in
// the log: the first packet of a host that has never asked for the gateway is one.
const sayUnknown = 100

// sourceReport is a packet from an address that is not its sender's, or not known yet.
type sourceReport struct {
	addr    netip.Addr
	link    uint32 // ifindex
	sender  net.HardwareAddr
	unknown bool
	// believed is set for one that is not known, and opens connections until nobody
	// answers for it.
	believed bool
	at       time.Time
}

// sourceReports are those that the log names: the last ones of different senders and
// addresses.
type sourceReports struct {
	mu   sync.Mutex
	last []sourceReport
}

func (s *sourceReports) add(r sourceReport) {
	s.mu.Lock()
	defer s.mu.Unlock()
	same := func(o sourceReport) bool {
		return o.unknown == r.unknown && (o.addr == r.addr || slices.Equal(o.sender, r.sender))
	}
	s.last = slices.DeleteFunc(s.last, same)
	if s.last = append(s.last, r); len(s.last) > 2*sayMost {
		s.last = slices.Delete(s.last, 0, 1)
	}
}

// newest returns what has been noted for a reason in the last minute.
func (s *sourceReports) newest(unknown bool, now time.Time) string {
	s.mu.Lock()
	defer s.mu.Unlock()
	var out []string
	for _, r := range s.last {
		if r.unknown == unknown && now.Sub(r.at) < time.Minute && len(out) < sayMost {
			out = append(out, fmt.Sprintf("%s from %s", r.addr, r.sender))
		}
	}
	return strings.Join(out, ", ")
}

// hearOfSources notes what the programs report, and asks for neighbours that the kernel
// does not know. Some of these are believed until then (SET_SOURCES in bpf/types.h): the
// connections of those that nobody answers for are ended. It does so until ctx ends.
func (w *watch) hearOfSources(ctx context.Context) {
	log := w.n.s.opt.Logger.With("network", w.n.id)
	reader, err := ringbuf.NewReader(w.n.maps["source_reports"])
	if err != nil {
		log.Warn("hosts that the kernel does not know yet have to ask for the gateway before they can open connections", "error", err)
		return
	}
	defer reader.Close()
	defer context.AfterFunc(ctx, func() { reader.Close() })()
	limit := rate.NewLimiter(asksPerSecond, asksBurst)
	var asked []solicited
	var rest time.Time // until when nothing is looked at again
	var record ringbuf.Record
	for {
		var until time.Time // no deadline
		if len(asked) > 0 {
			// Those that were asked for within a second are looked at together.
			until = asked[0].at.Add(answerTime + time.Second)
			if until.Before(rest) {
				until = rest
			}
		}
		reader.SetDeadline(until)
		err := reader.ReadInto(&record)
		now := time.Now()
		if len(asked) > 0 && !now.Before(until) {
			due := slices.IndexFunc(asked, func(s solicited) bool { return now.Before(s.at.Add(answerTime)) })
			if due < 0 {
				due = len(asked)
			}
			w.report(ctx, w.n.endUnanswered(asked[:due]))
			asked = slices.Delete(asked, 0, due)
			rest = time.Now().Add(10 * time.Since(now)) // a tenth of the time at most
		}
		switch {
		case errors.Is(err, os.ErrClosed):
			return
		case err != nil:
			continue
		}
		r, ok := sourceReportOf(record.RawSample)
		if !ok {
			continue
		}
		if !r.believed {
			w.sources.add(r)
		}
		if !r.unknown || !r.believed && !limit.AllowN(now, 1) {
			continue
		}
		if err := w.n.solicit(r); err != nil && ctx.Err() == nil {
			log.Debug("a host could not be asked for", "address", r.addr, "error", err)
		}
		asked = append(asked, solicited{r.addr, r.link, now})
	}
}

// solicited is an address that was asked for.
type solicited struct {
	addr netip.Addr
	link uint32 // ifindex
	at   time.Time
}

// endUnanswered ends the connections of addresses that nobody has answered for.
func (n *Network) endUnanswered(asked []solicited) error {
	known, err := netns.Dump(func() ([]vishvananda.Neigh, error) { return n.ns.Netlink().NeighList(0, vishvananda.FAMILY_V4) })
	if err != nil {
		return fmt.Errorf("list the neighbours in %s: %w", n.ns, err)
	}
	gone := map[netip.Addr]bool{}
	for _, s := range asked {
		gone[s.addr] = !slices.ContainsFunc(known, func(k vishvananda.Neigh) bool {
			return k.LinkIndex == int(s.link) && k.IP.Equal(s.addr.AsSlice()) && len(k.HardwareAddr) > 0 && k.State&(vishvananda.NUD_FAILED|vishvananda.NUD_INCOMPLETE) == 0
		})
	}
	used := false
	if err := n.each(func(k flowKey, _ *bpf.GatewaySession) { used = used || gone[address(k.Saddr)] }); err != nil || !used {
		return err
	}
	flows, err := n.conntrackFlows()
	if err != nil {
		return err
	}
	c, err := dialConntrack(n.ns)
	if err != nil {
		return err
	}
	defer c.Close()
	for i := range flows {
		if !gone[flows[i].TupleOrig.IP.SourceAddress] {
			continue
		}
		if err := c.Delete(flows[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("end a connection of %s, for which nobody answers: %w", flows[i].TupleOrig.IP.SourceAddress, err)
		}
	}
	return nil
}

func sourceReportOf(sample []byte) (sourceReport, bool) {
	var r bpf.GatewaySourceReport
	if binary.Size(r) != len(sample) {
		return sourceReport{}, false
	}
	if _, err := binary.Decode(sample, binary.NativeEndian, &r); err != nil {
		return sourceReport{}, false
	}
	return sourceReport{addr: address(r.Addr), link: r.Ifindex, sender: r.Sender[:], unknown: r.Unknown != 0, believed: r.Believed != 0, at: time.Now()}, true
}

// solicit has the kernel ask by ARP who has an address. It needs no answer here: the host's
// next packet finds the neighbour.
func (n *Network) solicit(r sourceReport) error {
	return n.ns.Netlink().NeighSet(&vishvananda.Neigh{
		LinkIndex: int(r.link), Family: vishvananda.FAMILY_V4, IP: r.addr.AsSlice(), Flags: vishvananda.NTF_USE,
	})
}
