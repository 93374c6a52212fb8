package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/google/nftables"
	"github.com/google/nftables/binaryutil"
	"golang.org/x/sys/unix"
)

// SetID names one set or map of the table.
type SetID int

// The sets and maps of table ip sluice.
const (
	SetElastic             SetID = iota // elastic IPs of the network
	SetEIPHosts                         // hosts with a 1:1 elastic IP
	SetDNATPort                         // elastic IP, protocol, port -> host, port
	SetDNATAddr                         // elastic IP -> host: DNAT of a whole address, and 1:1 mappings inbound
	SetEIPSrc                           // host -> elastic IP: 1:1 mappings outbound
	SetSNAT                             // source block -> address, for pools of one address
	SetSNATPool                         // source block -> pool, for pools of several addresses
	SetPool                             // pool, bucket -> address
	SetEIPMark                          // elastic IP -> mark that stands for it
	SetMarkEIP                          // and back
	SetVPN                              // addresses of VPN gateways
	SetIKE                              // those that charon listens at
	SetListen                           // address, protocol, port that an SSL-VPN server listens at
	SetEchoReply                        // elastic IPs that answer echo requests
	SetSwitches                         // links of VSwitches, and of SSL-VPN servers
	SetTunnels                          // links into tunnels of IPsec
	SetSSL                              // links of SSL-VPN servers
	SetReach                            // addresses of an SSL-VPN server's clients, what they may reach
	SetInterfaces                       // links of router interfaces, but for those by which the outside calls
	SetPublicInterfaces                 // those
	SetInterfaceMark                    // link of one of them -> mark of its connections
	SetInterfacePacketMark              // and of the packets that come in by it
	SetAnswerMark                       // mark of connections that came in by one -> mark by which their answers are routed
	SetReturned                         // link of a router interface, sources that some VSwitches' route tables lead back there
	SetClassic                          // hosts of the classic network that are linked
	SetClassicHeld                      // those of them whose Ethernet addresses are known
	SetClassicPairs                     // address and Ethernet address of each of these
	SetAnswered                         // whom SSL-VPN servers have answered lately; by packets
	SetCallers                          // whom they have not, each with how often it called; by packets
	setCount
)

// mostLearned is how many elements packets can add to a set. Each takes some 150 bytes.
const mostLearned = 1 << 16

// String returns the set's name in the kernel.
func (id SetID) String() string { return setSpecs[id].name }

// fieldKind says how one field of a key or value is laid out and printed.
type fieldKind int

const (
	fieldAddr  fieldKind = iota // 4 bytes, network order
	fieldProto                  // 1 byte and 3 of padding
	fieldPort                   // 2 bytes, network order, and 2 of padding
	fieldMark                   // 4 bytes, host order
	fieldLink                   // name of a link, 16 bytes, filled up with zeros
	fieldMAC                    // 6 bytes and 2 of padding
)

// setSpec is the fixed definition of one set.
type setSpec struct {
	name     string
	key, val []fieldKind
	interval bool // the key is stored as its first value, and then the last; of a link both are the same

	// Where packets add the elements: how long after the last one an element goes. A Ruleset
	// has no such elements, and nothing is compared or changed but the set itself.
	learned time.Duration
}

// setSpecs is constant; it is indexed by SetID.
//
// Intervals of SNAT entries live in maps of their own with a single-address key, not in a
// concatenation of block and bucket: a pool of many addresses would need some
// two hundred interval elements for every source block that uses it.
var setSpecs = [setCount]setSpec{
	SetElastic:   {name: "elastic", key: []fieldKind{fieldAddr}},
	SetEIPHosts:  {name: "eip_hosts", key: []fieldKind{fieldAddr}},
	SetDNATPort:  {name: "dnat_port", key: []fieldKind{fieldAddr, fieldProto, fieldPort}, val: []fieldKind{fieldAddr, fieldPort}},
	SetDNATAddr:  {name: "dnat_addr", key: []fieldKind{fieldAddr}, val: []fieldKind{fieldAddr}},
	SetEIPSrc:    {name: "eip_src", key: []fieldKind{fieldAddr}, val: []fieldKind{fieldAddr}},
	SetSNAT:      {name: "snat_addr", key: []fieldKind{fieldAddr}, val: []fieldKind{fieldAddr}, interval: true},
	SetSNATPool:  {name: "snat_pool", key: []fieldKind{fieldAddr}, val: []fieldKind{fieldMark}, interval: true},
	SetPool:      {name: "pool", key: []fieldKind{fieldMark, fieldMark}, val: []fieldKind{fieldAddr}},
	SetEIPMark:   {name: "eip_mark", key: []fieldKind{fieldAddr}, val: []fieldKind{fieldMark}},
	SetMarkEIP:   {name: "mark_eip", key: []fieldKind{fieldMark}, val: []fieldKind{fieldAddr}},
	SetVPN:       {name: "vpn", key: []fieldKind{fieldAddr}},
	SetIKE:       {name: "ike", key: []fieldKind{fieldAddr}},
	SetListen:    {name: "listen", key: []fieldKind{fieldAddr, fieldProto, fieldPort}},
	SetEchoReply: {name: "echo_reply", key: []fieldKind{fieldAddr}},
	SetSwitches:  {name: "switches", key: []fieldKind{fieldLink}},
	SetTunnels:   {name: "tunnels", key: []fieldKind{fieldLink}},
	SetSSL:       {name: "ssl", key: []fieldKind{fieldLink}},
	SetReach:     {name: "reach", key: []fieldKind{fieldAddr, fieldAddr}, interval: true},

	SetInterfaces:          {name: "router_interfaces", key: []fieldKind{fieldLink}},
	SetPublicInterfaces:    {name: "public_interfaces", key: []fieldKind{fieldLink}},
	SetInterfaceMark:       {name: "interface_mark", key: []fieldKind{fieldLink}, val: []fieldKind{fieldMark}},
	SetInterfacePacketMark: {name: "interface_packet_mark", key: []fieldKind{fieldLink}, val: []fieldKind{fieldMark}},
	SetAnswerMark:          {name: "answer_mark", key: []fieldKind{fieldMark}, val: []fieldKind{fieldMark}},
	SetReturned:            {name: "returned", key: []fieldKind{fieldLink, fieldAddr}, interval: true},
	SetClassic:             {name: "classic", key: []fieldKind{fieldAddr}},
	SetClassicHeld:         {name: "classic_held", key: []fieldKind{fieldAddr}},
	SetClassicPairs:        {name: "classic_pairs", key: []fieldKind{fieldAddr, fieldMAC}},
	SetAnswered:            {name: "answered", key: []fieldKind{fieldAddr}, learned: 10 * time.Minute},
	SetCallers:             {name: "callers", key: []fieldKind{fieldAddr}, learned: time.Minute},
}

func (s *setSpec) keyLen() int { return sizeOf(s.key) }
func (s *setSpec) valLen() int { return sizeOf(s.val) }

// single reports whether the kernel has each end of an interval as an element of its own:
// those of a concatenation are one.
func (s *setSpec) single() bool { return s.interval && len(s.key) == 1 }

// size returns the bytes that a field takes.
func (f fieldKind) size() int {
	switch f {
	case fieldLink:
		return unix.IFNAMSIZ
	case fieldMAC:
		return 8
	}
	return 4
}

func sizeOf(fields []fieldKind) (n int) {
	for _, f := range fields {
		n += f.size()
	}
	return n
}

// datatype returns the nftables type of a concatenation of fields.
func datatype(fields []fieldKind) nftables.SetDatatype {
	types := make([]nftables.SetDatatype, len(fields))
	for i, f := range fields {
		switch f {
		case fieldAddr:
			types[i] = nftables.TypeIPAddr
		case fieldProto:
			types[i] = nftables.TypeInetProto
		case fieldPort:
			types[i] = nftables.TypeInetService
		case fieldMark:
			types[i] = nftables.TypeMark
		case fieldMAC:
			types[i] = nftables.TypeEtherAddr
		case fieldLink:
			types[i] = nftables.TypeIFName
		}
	}
	if len(types) == 1 {
		return types[0]
	}
	return nftables.MustConcatSetType(types...)
}

// kernelSet returns the set as the netlink library wants it. The ID only has
// to be unique within a batch.
func kernelSet(t *nftables.Table, id SetID) *nftables.Set {
	s := &setSpecs[id]
	set := &nftables.Set{
		Table:         t,
		ID:            uint32(id) + 1,
		Name:          s.name,
		IsMap:         len(s.val) > 0,
		Interval:      s.interval,
		Concatenation: len(s.key) > 1,
		KeyType:       datatype(s.key),
		KeyByteOrder:  binaryutil.BigEndian,
	}
	if s.key[0] == fieldMark || s.key[0] == fieldLink {
		set.KeyByteOrder = binaryutil.NativeEndian
	}
	if s.learned > 0 {
		set.Dynamic, set.HasTimeout, set.Timeout, set.Size = true, true, s.learned, mostLearned
	}
	if set.IsMap {
		set.DataType = datatype(s.val)
	}
	return set
}

// kernelElements converts elements to the kernel's. An interval becomes two:
// its first address, and the address after its last one as an end mark, which
// is left out for an interval that reaches 255.255.255.255. The two are
// neighbours, the first address in front: the kernel's overlap check wants
// them in this order.
func kernelElements(id SetID, elements []Element) []nftables.SetElement {
	s := &setSpecs[id]
	n := len(elements)
	if s.single() {
		n *= 2
	}
	out := make([]nftables.SetElement, 0, n)
	for i := range elements {
		e := &elements[i]
		k := nftables.SetElement{Key: e.Key[:s.keyLen()]}
		if s.interval && !s.single() {
			k.KeyEnd = e.Key[s.keyLen() : 2*s.keyLen()]
		}
		if len(s.val) > 0 {
			k.Val = e.Value[:s.valLen()]
		}
		out = append(out, k)
		if !s.single() {
			continue
		}
		if last := binary.BigEndian.Uint32(e.Key[4:8]); last != ^uint32(0) {
			out = append(out, nftables.SetElement{
				Key:         binary.BigEndian.AppendUint32(nil, last+1),
				IntervalEnd: true,
			})
		}
	}
	return out
}

// errTwice says that a listing holds an element twice, which a set cannot.
var errTwice = errors.New("an element is listed twice")

// fromKernel converts what the kernel holds in set id, in any order, to sorted
// elements. It fails on what this package would never have put there, such as
// an interval without an end that belongs to it.
func fromKernel(id SetID, ks []nftables.SetElement) ([]Element, error) {
	s := &setSpecs[id]
	out := make([]Element, 0, len(ks))
	var ends []uint32
	for i := range ks {
		k := &ks[i]
		if len(k.Key) != s.keyLen() {
			return nil, fmt.Errorf("an element of set %s has a key of %d bytes, not %d", s.name, len(k.Key), s.keyLen())
		}
		if k.IntervalEnd {
			// The nft command marks address 0 as an end to say that nothing
			// lies below the first interval.
			if end := binary.BigEndian.Uint32(k.Key); end != 0 {
				ends = append(ends, end)
			}
			continue
		}
		if len(k.Val) != s.valLen() {
			return nil, fmt.Errorf("an element of set %s has a value of %d bytes, not %d", s.name, len(k.Val), s.valLen())
		}
		var e Element
		copy(e.Key[:], k.Key)
		copy(e.Value[:], k.Val)
		if s.interval && !s.single() {
			if len(k.KeyEnd) != s.keyLen() {
				return nil, fmt.Errorf("an element of set %s has an end of %d bytes, not %d", s.name, len(k.KeyEnd), s.keyLen())
			}
			copy(e.Key[s.keyLen():], k.KeyEnd)
		}
		out = append(out, e)
	}
	slices.SortFunc(out, Element.Compare)
	for i := 1; i < len(out); i++ {
		if out[i].Key == out[i-1].Key {
			return nil, fmt.Errorf("set %s: %w", s.name, errTwice)
		}
	}
	if !s.single() {
		return out, nil
	}
	slices.Sort(ends)
	if err := closeIntervals(out, ends); err != nil {
		return nil, fmt.Errorf("set %s: %w", s.name, err)
	}
	return out, nil
}

// closeIntervals fills in the last address of each interval from the sorted
// end marks.
func closeIntervals(sorted []Element, ends []uint32) error {
	for i := range sorted {
		first := binary.BigEndian.Uint32(sorted[i].Key[:4])
		last := ^uint32(0)
		switch {
		case len(ends) > 0 && ends[0] <= first:
			return errors.New("an interval's end has no beginning")
		case len(ends) > 0:
			last = ends[0] - 1
			ends = ends[1:]
		}
		if i+1 < len(sorted) && binary.BigEndian.Uint32(sorted[i+1].Key[:4]) <= last {
			return errors.New("an interval's beginning has no end")
		}
		binary.BigEndian.PutUint32(sorted[i].Key[4:8], last)
	}
	if len(ends) > 0 {
		return errors.New("an interval's end has no beginning")
	}
	return nil
}

func putAddr(b []byte, a netip.Addr) {
	v := a.As4()
	copy(b, v[:])
}

func addrAt(b []byte) netip.Addr { return netip.AddrFrom4([4]byte(b[:4])) }
