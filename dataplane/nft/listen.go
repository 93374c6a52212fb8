package nft

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"

	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"
)

// Listener hears when other programs change Sluice's tables in one namespace: those whose
// name begins with that of ours, of whatever family. What they do to tables of their own
// is nothing to it, however often.
type Listener struct {
	nl *netlink.Conn

	ours   bool   // the transaction of which messages come is about one of our tables
	sender uint32 // of the messages of that transaction

	mu     sync.Mutex
	closed bool
}

// newGeneration is the type of the message that ends every transaction of the
// nftables of a namespace.
const newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN

// Attributes of that message (enum nft_gen_attributes).
const (
	genProcessID   = 2 // NFTA_GEN_PROC_PID: the id of the thread that made the change
	genProcessName = 3 // NFTA_GEN_PROC_NAME
)

const (
	nfgenmsg      = 4 // length of the header that precedes the attributes
	tableNameAttr = 1 // NFTA_TABLE_NAME, and the attribute for the table of whatever is in one
)

// Listen begins to listen in namespace ns, which the caller keeps open meanwhile.
func Listen(ns netns.NsHandle) (*Listener, error) {
	nl, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns)})
	if err != nil {
		return nil, fmt.Errorf("listen to nftables: %w", err)
	}
	if err := nl.JoinGroup(unix.NFNLGRP_NFTABLES); err != nil {
		return nil, fmt.Errorf("listen to nftables: %w", errors.Join(err, nl.Close()))
	}
	return &Listener{nl: nl}, nil
}

// Table returns the table of the namespace as New does, whose own changes the Listener
// does not hear: the kernel does not even queue the messages, of which there is one for
// each element.
func (l *Listener) Table(ns netns.NsHandle) *Table {
	t := New(ns)
	t.dialed = l.ignore
	return t
}

// Receive waits for messages of the kernel and reports whether another program has
// changed one of our tables. It may have with an error as well: unix.ENOBUFS says that
// messages were lost.
func (l *Listener) Receive() (changed bool, err error) {
	messages, err := l.nl.Receive()
	if err != nil {
		l.ours = false
		return false, err
	}
	return l.take(messages), nil
}

// take takes messages in, and reports as Receive does.
func (l *Listener) take(messages []netlink.Message) (changed bool) {
	for i := range messages {
		m := &messages[i]
		if m.Header.PID != l.sender {
			l.ours, l.sender = false, m.Header.PID // the end of the last one was lost
		}
		switch {
		case m.Header.Type != newGeneration:
			l.ours = l.ours || aboutOurs(m)
		case l.ours:
			l.ours = false
			changed = changed || byOthers(m)
		}
	}
	return changed
}

// Close ends a Receive that waits.
func (l *Listener) Close() error {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.closed = true
	return l.nl.Close()
}

// ignore has the kernel leave out what one socket sends, that with this port id; 0 is none.
func (l *Listener) ignore(port uint32) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.closed {
		return nil
	}
	var id [4]byte // in the host's byte order in the message, in network order for the filter
	binary.NativeEndian.PutUint32(id[:], port)
	const sender, everything = 12, 1 << 18
	filter, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: sender, Size: 4}, // nlmsg_pid
		bpf.JumpIf{Cond: bpf.JumpNotEqual, Val: binary.BigEndian.Uint32(id[:]), SkipTrue: 1},
		bpf.RetConstant{Val: 0},
		bpf.RetConstant{Val: everything},
	})
	if port == 0 {
		filter, err = bpf.Assemble([]bpf.Instruction{bpf.RetConstant{Val: everything}})
	}
	if err == nil {
		err = l.nl.SetBPF(filter)
	}
	if err != nil {
		return fmt.Errorf("leave out our own changes of nftables: %w", err)
	}
	return nil
}

// aboutOurs reports whether a message is about one of our tables, or something in one.
func aboutOurs(m *netlink.Message) bool {
	if len(m.Data) < nfgenmsg {
		return true
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenmsg:])
	if err != nil {
		return true
	}
	for ad.Next() {
		if ad.Type() == tableNameAttr {
			return strings.HasPrefix(ad.String(), tableName)
		}
	}
	return true // where that cannot be told it is: looking costs little
}

// byOthers reports whether the transaction that a message ends was made by another
// process. Where that cannot be told it was.
func byOthers(m *netlink.Message) bool {
	if len(m.Data) < nfgenmsg {
		return true
	}
	ad, err := netlink.NewAttributeDecoder(m.Data[nfgenmsg:])
	if err != nil {
		return true
	}
	ad.ByteOrder = binary.BigEndian
	var thread uint32
	var name string
	for ad.Next() {
		switch ad.Type() {
		case genProcessID:
			thread = ad.Uint32()
		case genProcessName:
			name = ad.String()
		}
	}
	return ad.Err() != nil || !ownThread(thread, name)
}

// ownThread reports whether a thread is one of this process. The kernel gives
// its number in the first process id namespace, which need not be ours; its
// name must agree, too.
func ownThread(id uint32, name string) bool {
	comm, err := os.ReadFile("/proc/self/task/" + strconv.FormatUint(uint64(id), 10) + "/comm")
	return err == nil && strings.TrimRight(string(comm), "\n") == name
}
