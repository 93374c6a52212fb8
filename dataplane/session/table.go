package session

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"net/netip"
	"os"
	"runtime"
	"strconv"
	"strings"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/ti-mo/conntrack"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Conntrack's table. The kernel compares the number of entries of each namespace
// with one limit, net.netfilter.nf_conntrack_max, which the first namespace alone
// can set; a namespace that is at the limit loses entries of its own, and of no
// other (nf_conntrack_alloc, early_drop; the same in Linux 6.1 and 6.18). The
// programs see to it that it never comes to that.

// readTable reads a figure of conntrack's table: that of the thread's namespace.
func readTable(name string) (uint32, error) {
	b, err := os.ReadFile(tableFile(name))
	if err != nil {
		return 0, err
	}
	return parseFigure(b)
}

func tableFile(name string) string { return "/proc/sys/net/netfilter/nf_conntrack_" + name }

// table is what a network's namespace has of conntrack's table.
type table struct {
	most    uint32 // the kernel's limit; 0 for none
	entries uint32
}

// tableFiles are open files of the kernel, which tell of the namespace that they were
// opened in wherever they are read. They do not keep it.
type tableFiles struct{ most, entries *os.File }

func openTable(ns *netns.Namespace) (f tableFiles, err error) {
	err = ns.Do(func() (err error) {
		if f.most, err = os.Open(tableFile("max")); err == nil {
			f.entries, err = os.Open(tableFile("count"))
		}
		return err
	})
	if err != nil {
		f.close()
		return tableFiles{}, fmt.Errorf("open the size of conntrack's table in %s: %w", ns, err)
	}
	return f, nil
}

func (f tableFiles) close() {
	for _, one := range []*os.File{f.most, f.entries} {
		if one != nil {
			one.Close()
		}
	}
}

func (n *Network) readTable() (t table, err error) {
	if t.most, err = readFigure(n.files.most); err == nil {
		t.entries, err = readFigure(n.files.entries)
	}
	if err != nil {
		return table{}, fmt.Errorf("read the size of conntrack's table in %s: %w", n.ns, err)
	}
	return t, nil
}

func readFigure(f *os.File) (uint32, error) {
	var b [32]byte
	length, err := unix.Pread(int(f.Fd()), b[:], 0)
	if err != nil {
		return 0, err
	}
	return parseFigure(b[:length])
}

func parseFigure(b []byte) (uint32, error) {
	v, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 32)
	return uint32(v), err
}

// usable is how many entries a network may have of so many. What is left is for
// packets that are on their way between the programs and conntrack, on each CPU
// (a poll of a device, 64 packets), and for those that conntrack drops again.
func usable(most uint32) uint32 {
	if most == 0 {
		return 0
	}
	return most - max(1, most/64, min(uint32(64*runtime.NumCPU()), most/8))
}

// shares divides the table among the classes: what each can have whatever the
// others do. SNAT has as much as the gateways' specifications allow, and up to
// seven eighths of the table; of the rest, a quarter each is for the others that
// there are, and at least one quarter for whoever comes first.
func shares(entries uint32, r *rules) [4]uint32 {
	var s [4]uint32
	if r.snat {
		s[bpf.GatewayClassCLASS_SNAT] = entries / 2
		if c := r.connections; c > 0 {
			s[bpf.GatewayClassCLASS_SNAT] = min(c, entries/8*7)
		}
	}
	rest := entries - s[bpf.GatewayClassCLASS_SNAT]
	s[bpf.GatewayClassCLASS_OTHERS] = rest / 4
	if r.elasticHosts {
		s[bpf.GatewayClassCLASS_ELASTIC] = rest / 4
	}
	if len(r.mapped)+r.dnat.Len() > 0 {
		s[bpf.GatewayClassCLASS_INBOUND] = rest / 4
	}
	return s
}

// bounds fills in what of the settings depends on the size of the table.
func (n *Network) bounds(s *settings, r *rules) {
	most := n.table.most
	if room := n.maps["sessions"].MaxEntries() / 2; most == 0 || room < most {
		most = room
	}
	// Without a setting it is the kernel's own limit, which is the same everywhere.
	if c := n.s.opt.Sessions; c > 0 && uint32(min(c, mostSessions)) < most {
		most = uint32(c)
	}
	most = min(most, mostSessions)
	s.Entries = usable(most)
	s.Share = shares(s.Entries, r)
	b := r.bounds
	def := func(given int, part uint32) uint32 {
		if given > 0 {
			return uint32(min(given, math.MaxInt32))
		}
		return max(1, s.Entries/part)
	}
	s.PerEntry, s.PerElasticIp, s.PerHost = def(b.PerEntry, 8), def(b.PerElasticIP, 4), def(b.PerHost, 4)
	s.Others = n.others
}

// boundsOf returns the bounds that settings hold to.
func boundsOf(s *settings) dataplane.Bounds {
	return dataplane.Bounds{PerEntry: int(s.PerEntry), PerElasticIP: int(s.PerElasticIp), PerHost: int(s.PerHost)}
}

// partNumber is the number by which the kernel knows conntrack's data of each
// namespace (nf_conntrack_net_id): the same as long as the machine runs, unless
// the module is loaded anew. It stands nowhere, and is found by looking.
var partNumber struct {
	sync.Mutex
	known  uint32 // 0 if it could not be found
	failed error
}

// errNotFound says that the kernel's number of entries was not found.
var errNotFound = errors.New("the kernel's number of entries is in none of the places where it could be")

// locate has the programs read the number of the network's entries where the
// kernel keeps it.
func (n *Network) locate() error {
	partNumber.Lock()
	defer partNumber.Unlock()
	if partNumber.known == 0 && partNumber.failed == nil {
		partNumber.known, partNumber.failed = findPart(n.loaded("locate"))
		if partNumber.failed != nil {
			n.s.opt.Logger.Warn("what is not translated is held to its share of conntrack's table by the second only", "error", partNumber.failed)
		}
	}
	_, err := countAt(n.loaded("locate"), n.ns, partNumber.known)
	return err
}

// countAt runs the program locate for a part of a namespace.
func countAt(p *ebpf.Program, ns *netns.Namespace, part uint32) (count uint32, err error) {
	frame := make([]byte, ethernetHeader+4)
	binary.NativeEndian.PutUint32(frame[ethernetHeader:], part)
	err = ns.Do(func() (err error) {
		count, err = p.Run(&ebpf.RunOptions{Data: frame})
		return err
	})
	return count, err
}

// findPart finds the number: that of the only part whose first word is the number
// of a namespace's entries, whatever that is.
func findPart(p *ebpf.Program) (uint32, error) {
	ns, err := netns.Anonymous()
	if err != nil {
		return 0, err
	}
	defer ns.Close()
	c, err := dialConntrack(ns)
	if err != nil {
		return 0, err
	}
	defer c.Close()
	const first, last = 3, 255 // the pointers begin after the length (MIN_PERNET_OPS_ID)
	var fits []uint32
	for part := uint32(first); part <= last; part++ {
		fits = append(fits, part)
	}
	from, to, port := netip.AddrFrom4([4]byte{192, 0, 2, 1}), netip.AddrFrom4([4]byte{192, 0, 2, 2}), uint16(1024)
	for _, more := range []int{3, 4, 10, 24} {
		for range more {
			f := conntrack.NewFlow(unix.IPPROTO_UDP, 0, from, to, port, 9, 60, 0)
			if err := c.Create(f); err != nil {
				return 0, fmt.Errorf("make a connection in %s: %w", ns, err)
			}
			port++
		}
		var entries uint32
		if err := ns.Do(func() (err error) { entries, err = readTable("count"); return err }); err != nil {
			return 0, err
		}
		var still []uint32
		for _, part := range fits {
			count, err := countAt(p, ns, part)
			if err != nil {
				return 0, err
			}
			if count == entries {
				still = append(still, part)
			}
		}
		fits = still
	}
	if len(fits) != 1 {
		return 0, fmt.Errorf("%w: %d of them fit", errNotFound, len(fits))
	}
	return fits[0], nil
}
