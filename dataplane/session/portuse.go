package session

import (
	"cmp"
	"net/netip"
	"slices"
	"sync"

	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// portUse keeps what of the elastic IPs is in use, as of the last comparison.
type portUse struct {
	mu    sync.Mutex
	list  []dataplane.Ports
	hosts map[hostOf]int // sessions
}

// hostOf is a private address, as it is seen from outside.
type hostOf struct{ external, private netip.Addr }

func (p *portUse) set(c *portCount) {
	list := c.list()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.list, p.hosts = list, c.hosts
}

func (p *portUse) get() []dataplane.Ports {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.list)
}

// top returns the hosts with the most sessions through an elastic IP, and how
// many each has.
func (p *portUse) top(external netip.Addr, most int) (hosts []netip.Addr, sessions []int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for h := range p.hosts {
		if h.external == external {
			hosts = append(hosts, h.private)
		}
	}
	slices.SortFunc(hosts, func(a, b netip.Addr) int {
		return cmp.Or(cmp.Compare(p.hosts[hostOf{external, b}], p.hosts[hostOf{external, a}]), a.Compare(b))
	})
	hosts = hosts[:min(most, len(hosts))]
	for _, h := range hosts {
		sessions = append(sessions, p.hosts[hostOf{external, h}])
	}
	return hosts, sessions
}

// portsMost is how many ports the kernel can hand out of an elastic IP for a
// source port from 1024 on: 1024 to 65535. Of ICMP it may hand out any identifier
// (nf_nat_l4proto_unique_tuple).
func portsMost(protocol uint8) int {
	if protocol == unix.IPPROTO_ICMP {
		return 65536
	}
	return 65536 - 1024
}

// portCount counts ports in use by external address and destination, and
// sessions by host.
type portCount struct {
	used  map[portsTowards]int
	hosts map[hostOf]int
}

type portsTowards struct {
	external    netip.Addr
	protocol    uint8
	destination netip.AddrPort
}

func newPortCount() *portCount {
	return &portCount{used: map[portsTowards]int{}, hosts: map[hostOf]int{}}
}

func (p *portCount) add(f *conntrack.Flow, status uint32) {
	t := &f.TupleReply
	if status&statusSourceNAT == 0 {
		return
	}
	p.hosts[hostOf{t.IP.DestinationAddress, f.TupleOrig.IP.SourceAddress}]++
	if hasPorts(t.Proto.Protocol) || t.Proto.Protocol == unix.IPPROTO_ICMP {
		p.used[portsTowards{t.IP.DestinationAddress, t.Proto.Protocol, netip.AddrPortFrom(t.IP.SourceAddress, t.Proto.SourcePort)}]++
	}
}

// list returns the use towards the destination with the most, for each address
// and protocol.
func (p *portCount) list() []dataplane.Ports {
	most := map[portsTowards]int{}
	for k, n := range p.used {
		k.destination = netip.AddrPort{}
		most[k] = max(most[k], n)
	}
	out := make([]dataplane.Ports, 0, len(most))
	for k, n := range most {
		out = append(out, dataplane.Ports{External: k.external, Protocol: k.protocol, Used: n, Most: portsMost(k.protocol)})
	}
	slices.SortFunc(out, func(a, b dataplane.Ports) int {
		return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.Protocol, b.Protocol))
	})
	return out
}
