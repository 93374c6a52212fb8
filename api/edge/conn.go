package edge

import (
	"container/list"
	"context"
	"errors"
	"io"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sys/unix"
)

// How much of what a client still sends is read after its answer, and for how long.
const (
	maxDiscard     = 16 << 20
	discardTimeout = 3 * time.Second
)

// conn is a connection of a site.
type conn struct {
	*net.TCPConn
	of      *Connections
	source  netip.Addr
	closing *atomic.Bool // the site stops
	once    sync.Once

	// Of Connections, and guarded by its lock.
	in              *pool // nil while it has a call under way, and once it is gone
	byAge, bySource *list.Element
	since           time.Time // when it came, or its last call was answered
	vouched         bool      // a request on it had a valid signature
	calling         bool
	gone            bool
}

// doors accepts connections for a site, and closes others for them.
type doors struct {
	net.Listener
	of      *Connections
	closing *atomic.Bool
}

// Accept implements net.Listener.
func (d *doors) Accept() (net.Conn, error) {
	for {
		raw, err := d.Listener.Accept()
		if err != nil {
			return nil, err
		}
		tcp, ok := raw.(*net.TCPConn)
		if !ok {
			raw.Close()
			return nil, errors.New("a site listens by TCP alone")
		}
		c := &conn{TCPConn: tcp, of: d.of, source: sourceOf(tcp.RemoteAddr().String()), closing: d.closing}
		closing, admitted := d.of.admit(c)
		for _, v := range closing {
			v.abort()
		}
		if admitted {
			return c, nil
		}
		c.abort()
	}
}

// abort closes the connection at once. A stranger's leaves nothing behind in the kernel.
func (c *conn) abort() {
	if !c.vouched { // which does not change any more
		_ = c.SetLinger(0)
	}
	c.TCPConn.Close()
}

// Close implements net.Conn. When a client still sends, such as the rest of a body that
// is too large, an end at once would reset the connection, and with it what the client
// has not read yet: its answer. So what comes is read and thrown away, within bounds.
func (c *conn) Close() (err error) {
	c.once.Do(func() {
		if c.unread() && !c.closing.Load() {
			c.discard()
		}
		err = c.TCPConn.Close()
		c.of.leave(c)
	})
	return err
}

func (c *conn) discard() {
	if c.CloseWrite() != nil || c.SetReadDeadline(time.Now().Add(discardTimeout)) != nil {
		return
	}
	_, _ = io.CopyN(io.Discard, c.TCPConn, maxDiscard) // however it ends, nobody is to be told
}

// unread says whether something has come that nobody has read.
func (c *conn) unread() bool {
	raw, err := c.SyscallConn()
	if err != nil {
		return false
	}
	n := 0
	err = raw.Control(func(fd uintptr) { n, err = unix.IoctlGetInt(int(fd), unix.SIOCINQ) })
	return err == nil && n > 0
}

type connKey struct{}

// withConn puts the connection of a site into the context of its requests.
func withConn(ctx context.Context, of net.Conn) context.Context {
	if t, ok := of.(interface{ NetConn() net.Conn }); ok { // TLS
		of = t.NetConn()
	}
	return context.WithValue(ctx, connKey{}, of)
}

// guest is the connection that a request came on; the zero guest one of no site.
type guest struct{ conn *conn }

func guestOf(ctx context.Context) guest {
	c, _ := ctx.Value(connKey{}).(*conn)
	return guest{c}
}

// vouch keeps the connection from being closed until release, and makes it one of a
// client that is known.
func (g guest) vouch() {
	if g.conn != nil {
		g.conn.of.vouch(g.conn)
	}
}

func (g guest) release() {
	if g.conn != nil {
		g.conn.of.release(g.conn)
	}
}

// stranger says whether no request on the connection has had a valid signature, and
// pressed whether there are many connections.
func (g guest) stranger() (yes, pressed bool) {
	if g.conn == nil {
		return false, false
	}
	a := g.conn.of
	a.mu.Lock()
	defer a.mu.Unlock()
	return !g.conn.vouched, a.pressed()
}
