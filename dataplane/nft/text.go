package nft

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"net"
	"strconv"
	"strings"
)

// String returns the Ruleset as text: a line on the fixed part, then one line
// for each element, in the order of sets and keys. The buckets of a pool are
// gathered: one line for each address, with the ranges of its buckets.
func (r *Ruleset) String() string {
	var b strings.Builder
	switch {
	case r == nil || r.Skeleton == "" && r.Damage == "":
		return "table ip sluice: absent\n"
	case r.Skeleton == "":
		return fmt.Sprintf("table ip sluice: damaged: %s\n", r.Damage)
	}
	b.WriteString("table ip sluice\n")
	for id := range setCount {
		if id == SetPool {
			writePools(&b, r.Sets[id].Slice())
			continue
		}
		for e := range r.Sets[id].All() {
			fmt.Fprintf(&b, "%s %s\n", id, elementText(id, &e))
		}
	}
	return b.String()
}

// elementText returns an element as the nft command would write it.
func elementText(id SetID, e *Element) string {
	s := keyText(id, e)
	if val := setSpecs[id].val; len(val) > 0 {
		s += " : " + fieldsText(val, e.Value[:])
	}
	return s
}

func keyText(id SetID, e *Element) string {
	s := &setSpecs[id]
	if !s.interval {
		return fieldsText(s.key, e.Key[:])
	}
	parts, at := make([]string, len(s.key)), 0
	for i, f := range s.key {
		parts[i] = fieldsText(s.key[i:i+1], e.Key[at:])
		if f == fieldAddr {
			parts[i] += "-" + addrAt(e.Key[s.keyLen()+at:]).String()
		}
		at += f.size()
	}
	return strings.Join(parts, " . ")
}

func fieldsText(fields []fieldKind, b []byte) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		v := b[:f.size()]
		b = b[f.size():]
		switch f {
		case fieldAddr:
			parts[i] = addrAt(v).String()
		case fieldProto:
			parts[i] = protocolText(v[0])
		case fieldPort:
			parts[i] = fmt.Sprint(binary.BigEndian.Uint16(v))
		case fieldMark:
			parts[i] = fmt.Sprintf("0x%08x", binary.NativeEndian.Uint32(v))
		case fieldMAC:
			parts[i] = net.HardwareAddr(v[:6]).String()
		case fieldLink:
			parts[i] = strconv.Quote(string(bytes.TrimRight(v, "\x00")))
		}
	}
	return strings.Join(parts, " . ")
}

func protocolText(p uint8) string {
	switch p {
	case 6:
		return "tcp"
	case 17:
		return "udp"
	}
	return fmt.Sprint(p)
}

// writePools writes pool elements by pool and address.
func writePools(b *strings.Builder, elements []Element) {
	type owner struct {
		pool uint32
		addr [4]byte
	}
	var order []owner
	owned := map[owner][]uint32{}
	for i := range elements {
		e := &elements[i]
		o := owner{binary.NativeEndian.Uint32(e.Key[0:]), [4]byte(e.Value[:4])}
		if owned[o] == nil {
			order = append(order, o)
		}
		owned[o] = append(owned[o], binary.NativeEndian.Uint32(e.Key[4:]))
	}
	for _, o := range order {
		fmt.Fprintf(b, "%s 0x%08x . %s : %s\n", SetPool, o.pool, rangesText(owned[o]), addrAt(o.addr[:]))
	}
}

// rangesText writes ascending numbers as ranges: 0-2,5.
func rangesText(ns []uint32) string {
	var parts []string
	for i := 0; i < len(ns); {
		j := i
		for j+1 < len(ns) && ns[j+1] == ns[j]+1 {
			j++
		}
		if i == j {
			parts = append(parts, fmt.Sprint(ns[i]))
		} else {
			parts = append(parts, fmt.Sprintf("%d-%d", ns[i], ns[j]))
		}
		i = j + 1
	}
	return strings.Join(parts, ",")
}
