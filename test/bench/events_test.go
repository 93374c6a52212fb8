package main

import (
	"encoding/binary"
	"testing"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"
)

// elementMessage is what the kernel sends when elements with these ports come
// into a set, or go.
func elementMessage(t *testing.T, kind int, set string, ports ...uint16) netlink.Message {
	t.Helper()
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.NFTA_SET_ELEM_LIST_TABLE, "sluice")
	ae.String(unix.NFTA_SET_ELEM_LIST_SET, set)
	ae.Nested(unix.NFTA_SET_ELEM_LIST_ELEMENTS, func(list *netlink.AttributeEncoder) error {
		for _, port := range ports {
			list.Nested(unix.NFTA_LIST_ELEM, func(element *netlink.AttributeEncoder) error {
				value := func(id uint16, b []byte) {
					element.Nested(id, func(data *netlink.AttributeEncoder) error {
						data.Bytes(unix.NFTA_DATA_VALUE, b)
						return nil
					})
				}
				key := make([]byte, keySize)
				copy(key, []byte{203, 0, 113, 10, protocolUDP})
				binary.BigEndian.PutUint16(key[keyPort:], port)
				value(unix.NFTA_SET_ELEM_KEY, key)
				value(unix.NFTA_SET_ELEM_DATA, []byte{10, 0, 0, 10, 0, 80, 0, 0})
				return nil
			})
		}
		return nil
	})
	b, err := ae.Encode()
	if err != nil {
		t.Fatal(err)
	}
	return netlink.Message{
		Header: netlink.Header{Type: netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | kind)},
		Data:   append([]byte{unix.NFPROTO_IPV4, 0, 0, 0}, b...),
	}
}

func TestParseElements(t *testing.T) {
	for _, c := range []struct {
		name  string
		kind  int
		set   string
		ports []uint16
		added bool
		want  int
	}{
		{"two come", unix.NFT_MSG_NEWSETELEM, mapName, []uint16{80, 65535}, true, 2},
		{"one goes", unix.NFT_MSG_DELSETELEM, mapName, []uint16{443}, false, 1},
		{"another set", unix.NFT_MSG_NEWSETELEM, "elastic", []uint16{80}, false, 0},
		{"another message", unix.NFT_MSG_NEWRULE, mapName, []uint16{80}, false, 0},
	} {
		got, err := parseElements(elementMessage(t, c.kind, c.set, c.ports...))
		if err != nil {
			t.Errorf("%s: %v", c.name, err)
		}
		if len(got) != c.want {
			t.Errorf("%s: %d events, want %d", c.name, len(got), c.want)
			continue
		}
		for i, ev := range got {
			if ev.port != c.ports[i] || ev.added != c.added {
				t.Errorf("%s: event %d is %+v, want port %d, added %v", c.name, i, ev, c.ports[i], c.added)
			}
		}
	}
	short := netlink.Message{Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWSETELEM}, Data: []byte{2}}
	if _, err := parseElements(short); err == nil {
		t.Error("a message without its header was read")
	}
}
