package engine

import (
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"

	"github.com/mdlayher/netlink"
	"golang.org/x/net/bpf"
	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// watch hears of changes in one namespace.
type watch struct {
	conns  []*netlink.Conn
	closed atomic.Bool
	done   sync.WaitGroup
}

// newGeneration is the type of the message that ends every change of the
// nftables of a namespace.
const newGeneration = unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_NEWGEN

// Attributes of that message (enum nft_gen_attributes).
const (
	genProcessID   = 2 // NFTA_GEN_PROC_PID: the id of the thread that made the change
	genProcessName = 3 // NFTA_GEN_PROC_NAME
)

// watchNetwork begins to listen in a namespace, before it is read for the
// first time, so that no change is missed.
func (e *Engine) watchNetwork(n *network, ns *netns.Namespace) (*watch, error) {
	w := &watch{}
	links, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{
		NetNS: int(ns.Handle()),
		Groups: unix.RTMGRP_LINK | unix.RTMGRP_TC | unix.RTMGRP_IPV4_IFADDR | unix.RTMGRP_IPV4_ROUTE |
			1<<(unix.RTNLGRP_IPV4_RULE-1),
	})
	if err != nil {
		return nil, fmt.Errorf("watch links and routes in %s: %w", ns, err)
	}
	w.conns = append(w.conns, links)
	rules, err := netlink.Dial(unix.NETLINK_NETFILTER, &netlink.Config{NetNS: int(ns.Handle())})
	if err != nil {
		w.close()
		return nil, fmt.Errorf("watch nftables in %s: %w", ns, err)
	}
	w.conns = append(w.conns, rules)
	// The filter comes before the group: a change of ten thousand elements
	// makes as many messages, and the last one is enough.
	if err := errors.Join(rules.SetBPF(onlyNewGeneration()), rules.JoinGroup(unix.NFNLGRP_NFTABLES)); err != nil {
		w.close()
		return nil, fmt.Errorf("watch nftables in %s: %w", ns, err)
	}
	w.done.Go(func() {
		e.receive(n, w, links, staleLinks, func([]netlink.Message) bool { return true })
	})
	w.done.Go(func() { e.receive(n, w, rules, staleRules, byOthers) })
	return w, nil
}

// onlyNewGeneration is a socket filter for messages of type newGeneration.
func onlyNewGeneration() []bpf.RawInstruction {
	var t [2]byte // in the host's byte order in the message, in network order for the filter
	binary.NativeEndian.PutUint16(t[:], newGeneration)
	const everything = 1 << 18
	raw, err := bpf.Assemble([]bpf.Instruction{
		bpf.LoadAbsolute{Off: 4, Size: 2}, // nlmsg_type
		bpf.JumpIf{Cond: bpf.JumpEqual, Val: uint32(binary.BigEndian.Uint16(t[:])), SkipFalse: 1},
		bpf.RetConstant{Val: everything},
		bpf.RetConstant{Val: 0},
	})
	if err != nil {
		panic(err) // the instructions are constant
	}
	return raw
}

// receive reports events until the connection is closed.
func (e *Engine) receive(n *network, w *watch, c *netlink.Conn, part uint32, matters func([]netlink.Message) bool) {
	for {
		messages, err := c.Receive()
		switch {
		case w.closed.Load():
			return // whatever the error: a closed connection is wanted
		case err == nil:
			if matters(messages) {
				if part == staleLinks {
					n.renewPaths()
				}
				e.enqueue(n, part)
			}
		case errors.Is(err, unix.ENOBUFS):
			// There were more events than room for them; some are lost.
			n.renewPaths()
			e.enqueue(n, part)
		default:
			e.log.Warn("changes by others are only found by audits from now on", "network", n.id, "error", err)
			e.enqueue(n, part)
			return
		}
	}
}

// byOthers reports whether a change of nftables was made by another process.
// Where that cannot be told it was: looking costs little.
func byOthers(messages []netlink.Message) bool {
	const nfgenmsg = 4
	for _, m := range messages {
		if m.Header.Type != newGeneration || len(m.Data) < nfgenmsg {
			continue
		}
		attrs, err := netlink.UnmarshalAttributes(m.Data[nfgenmsg:])
		if err != nil {
			return true
		}
		var thread uint32
		var name string
		for _, a := range attrs {
			switch {
			case a.Type == genProcessID && len(a.Data) == 4:
				thread = binary.BigEndian.Uint32(a.Data)
			case a.Type == genProcessName:
				name = strings.TrimRight(string(a.Data), "\x00")
			}
		}
		if !ownThread(thread, name) {
			return true
		}
	}
	return false
}

// ownThread reports whether a thread is one of this process. The kernel gives
// its number in the first process id namespace, which need not be ours; its
// name must agree, too.
func ownThread(id uint32, name string) bool {
	comm, err := os.ReadFile("/proc/self/task/" + strconv.FormatUint(uint64(id), 10) + "/comm")
	return err == nil && strings.TrimRight(string(comm), "\n") == name
}

func (w *watch) close() {
	w.closed.Store(true)
	for _, c := range w.conns {
		c.Close()
	}
	w.done.Wait()
}
