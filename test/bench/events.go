package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"time"

	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// mapName is the nftables map of port DNAT entries, see dataplane/nft. Its key
// is address, protocol and port, each in a word of 4 bytes.
const mapName = "dnat_port"

const (
	keyPort = 8 // offset of the port in the key
	keySize = 12
)

// elementEvent says that an entry's element came into the kernel's map, or went.
type elementEvent struct {
	port  uint16
	added bool
}

// elementEvents listens to what changes in the map of a network.
type elementEvents struct{ conn *netlink.Conn }

// watchElements begins to listen. Events from then on are kept for next.
func watchElements(vpc string) (*elementEvents, error) {
	ns, err := netns.GetFromName(dataplane.Namespace(vpc))
	if err != nil {
		return nil, fmt.Errorf("open the namespace of %s: %w", vpc, err)
	}
	defer ns.Close()
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns)})
	if err != nil {
		return nil, fmt.Errorf("open nftables' events of %s: %w", vpc, err)
	}
	if err := c.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		c.Close()
		return nil, fmt.Errorf("listen to nftables' events of %s: %w", vpc, err)
	}
	return &elementEvents{c}, nil
}

func (e *elementEvents) close() error { return e.conn.Close() }

// errNoEvent is what await returns when nothing has come in time.
var errNoEvent = errors.New("the kernel's map has not changed in time")

// await returns the time at which the element of a port came, or went.
func (e *elementEvents) await(ctx context.Context, port uint16, added bool, patience time.Duration) (time.Time, error) {
	deadline := time.Now().Add(patience)
	for ctx.Err() == nil {
		if err := e.conn.SetReadDeadline(deadline); err != nil {
			return time.Time{}, err
		}
		messages, err := e.conn.Receive()
		at := time.Now()
		if errors.Is(err, os.ErrDeadlineExceeded) {
			return time.Time{}, fmt.Errorf("port %d: %w", port, errNoEvent)
		}
		if err != nil {
			return time.Time{}, fmt.Errorf("read nftables' events: %w", err)
		}
		for _, m := range messages {
			events, err := parseElements(m)
			if err != nil {
				return time.Time{}, err
			}
			for _, ev := range events {
				if ev.port == port && ev.added == added {
					return at, nil
				}
			}
		}
	}
	return time.Time{}, ctx.Err()
}

// parseElements returns what a message says of the map, nothing if it is about
// something else.
func parseElements(m netlink.Message) ([]elementEvent, error) {
	added := m.Header.Type == unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_NEWSETELEM
	if !added && m.Header.Type != unix.NFNL_SUBSYS_NFTABLES<<8|unix.NFT_MSG_DELSETELEM {
		return nil, nil
	}
	const header = 4 // struct nfgenmsg
	if len(m.Data) < header {
		return nil, errors.New("short message of nftables")
	}
	keys, err := elementKeys(m.Data[header:])
	if err != nil {
		return nil, fmt.Errorf("read elements of an nftables map: %w", err)
	}
	var events []elementEvent
	for _, k := range keys {
		if len(k) == keySize {
			events = append(events, elementEvent{port: binary.BigEndian.Uint16(k[keyPort:]), added: added})
		}
	}
	return events, nil
}

// elementKeys returns the keys in a list of elements of the map.
func elementKeys(attributes []byte) ([][]byte, error) {
	ad, err := netlink.NewAttributeDecoder(attributes)
	if err != nil {
		return nil, err
	}
	var keys [][]byte
	ours := false
	for ad.Next() {
		switch ad.Type() {
		case unix.NFTA_SET_ELEM_LIST_SET:
			ours = ad.String() == mapName
		case unix.NFTA_SET_ELEM_LIST_ELEMENTS:
			ad.Nested(func(list *netlink.AttributeDecoder) error {
				for list.Next() {
					list.Nested(func(element *netlink.AttributeDecoder) error {
						for element.Next() {
							if element.Type() != unix.NFTA_SET_ELEM_KEY {
								continue
							}
							element.Nested(func(data *netlink.AttributeDecoder) error {
								for data.Next() {
									if data.Type() == unix.NFTA_DATA_VALUE {
										keys = append(keys, data.Bytes())
									}
								}
								return nil
							})
						}
						return nil
					})
				}
				return nil
			})
		}
	}
	if err := ad.Err(); err != nil || !ours {
		return nil, err
	}
	return keys, nil
}

// countElements returns how many entries the kernel's map of a network holds;
// none if there is no such network, table or map.
func countElements(vpc string) (int, error) {
	ns, err := netns.GetFromName(dataplane.Namespace(vpc))
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("open the namespace of %s: %w", vpc, err)
	}
	defer ns.Close()
	c, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns)})
	if errors.Is(err, unix.EINVAL) {
		return 0, nil // the name is there, the namespace not yet
	}
	if err != nil {
		return 0, fmt.Errorf("open nftables of %s: %w", vpc, err)
	}
	defer c.Close()
	ae := netlink.NewAttributeEncoder()
	ae.String(unix.NFTA_SET_ELEM_LIST_TABLE, "sluice")
	ae.String(unix.NFTA_SET_ELEM_LIST_SET, mapName)
	attributes, err := ae.Encode()
	if err != nil {
		return 0, err
	}
	answers, err := c.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETSETELEM,
			Flags: netlink.Request | netlink.Dump,
		},
		Data: append([]byte{unix.NFPROTO_IPV4, unix.NFNETLINK_V0, 0, 0}, attributes...),
	})
	if errors.Is(err, os.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("read map %s of %s: %w", mapName, vpc, err)
	}
	n := 0
	for _, m := range answers {
		keys, err := elementKeys(m.Data[min(4, len(m.Data)):])
		if err != nil {
			return 0, err
		}
		n += len(keys)
	}
	return n, nil
}
