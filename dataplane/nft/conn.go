package nft

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

const (
	// sendBuffer lets one batch hold some hundred thousand elements. It is a
	// limit, not memory that is set aside.
	sendBuffer = 64 << 20
	// receiveBuffer takes the acknowledgements of such a batch.
	receiveBuffer = 16 << 20
)

// conn is a netlink connection to nftables in one namespace.
type conn struct {
	*nftables.Conn
	nl *netlink.Conn // the same connection, for what the library has no call for

	batches uint32 // sent in this use of the connection, see Table.do
}

// Flush sends what has been collected as one batch, and counts it.
func (c *conn) Flush() error {
	c.batches++
	return c.Conn.Flush()
}

func dial(ns netns.NsHandle) (*conn, error) {
	c := &conn{}
	prepare := func(nl *netlink.Conn) error {
		c.nl = nl
		if err := nl.SetWriteBuffer(sendBuffer); err != nil {
			return fmt.Errorf("set send buffer of %d bytes: %w", sendBuffer, err)
		}
		return nl.SetReadBuffer(receiveBuffer)
	}
	var err error
	c.Conn, err = nftables.New(nftables.WithNetNSFd(int(ns)), nftables.AsLasting(), nftables.WithSockOptions(prepare))
	if err != nil {
		if c.nl != nil {
			c.nl.Close() // the library leaves it open when an option fails
		}
		return nil, fmt.Errorf("open netlink socket in namespace %s (needs CAP_NET_ADMIN): %w", ns, err)
	}
	return c, nil
}

// do runs f with the table's connection, one f at a time, and observes ctx's
// deadline. After an error the connection is given up, since answers that were
// not read may be left in it.
//
// The connection is kept between calls: closing a netlink socket waits for the
// kernel to have freed what earlier batches deleted, 10 to 40 ms, with the
// ruleset locked (nft_rcv_nl_event, Linux 6.18), and a batch takes 0.3 ms.
func (t *Table) do(ctx context.Context, f func(c *conn) error) (err error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	if t.conn == nil {
		if t.conn, err = dial(t.ns); err != nil {
			return err
		}
		if t.dialed != nil {
			if err := t.dialed(t.conn.nl.PID()); err != nil {
				return errors.Join(err, t.close())
			}
		}
	}
	defer func() {
		if err != nil {
			t.close()
		}
	}()
	deadline, _ := ctx.Deadline() // the zero time means none
	if err := t.conn.nl.SetDeadline(deadline); err != nil {
		return fmt.Errorf("set deadline of netlink socket: %w", err)
	}
	t.conn.batches = 0
	if err = f(t.conn); t.conn.batches > 0 {
		t.follow(t.conn, err)
	}
	if cerr := ctx.Err(); err != nil && cerr != nil {
		return errors.Join(cerr, err)
	}
	return err
}

// follow notes the generation after batches of our own, of which each counts it up
// by one, if there was nobody else's among them.
func (t *Table) follow(c *conn, err error) {
	want := t.at + c.batches
	known := t.at != 0 && err == nil && want > t.at // it begins anew, beside 0, once in 4 billion
	t.at = 0
	if !known {
		return
	}
	if at, err := c.generation(); err == nil && at == want {
		t.at = at
	}
}

// Changed reports whether the kernel's ruleset may be other than what this Table
// read or made last: whether it has another generation than after that. A change of
// another table, which the kernel counts as well, looks the same until the next Read.
func (t *Table) Changed(ctx context.Context) (bool, error) {
	changed := true
	err := t.do(ctx, func(c *conn) error {
		at, err := c.generation()
		changed = err != nil || t.at == 0 || at != t.at
		return err
	})
	if err != nil {
		return true, fmt.Errorf("look whether nftables table %s has changed: %w", tableName, err)
	}
	return changed, nil
}

func (t *Table) close() error {
	t.at = 0
	if t.conn == nil {
		return nil
	}
	err := t.conn.CloseLasting()
	t.conn = nil
	if t.dialed != nil {
		err = errors.Join(err, t.dialed(0))
	}
	return err
}

// Close closes the connection to the kernel, which would keep a deleted
// namespace alive. The table in the kernel stays as it is. A later call of
// another method connects again.
func (t *Table) Close() error {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.close()
}

// generation returns the number that the kernel counts up with every batch in
// this namespace.
func (c *conn) generation() (uint32, error) {
	replies, err := c.nl.Execute(netlink.Message{
		Header: netlink.Header{
			Type:  netlink.HeaderType(unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN),
			Flags: netlink.Request,
		},
		Data: make([]byte, 4), // struct nfgenmsg: any family, version 0
	})
	if err != nil {
		return 0, fmt.Errorf("read ruleset generation: %w", err)
	}
	for _, m := range replies {
		if len(m.Data) < 4 {
			continue
		}
		ad, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return 0, fmt.Errorf("read ruleset generation: %w", err)
		}
		ad.ByteOrder = binary.BigEndian
		for ad.Next() {
			if ad.Type() == unix.NFTA_GEN_ID {
				return ad.Uint32(), nil
			}
		}
	}
	return 0, errors.New("read ruleset generation: the kernel's answer has none")
}
