package engine

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// pipes stands for OpenVPN: each server's TUN device is joined with one in a client's
// namespace, which is a host of its own.
type pipes struct {
	t       *testing.T
	clients map[string]*netns.Namespace // by server id; a server without one throws packets away

	mu   sync.Mutex
	open map[string]*pipe // by network and server id
}

type pipe struct {
	index       int // of the TUN device
	server, far *os.File
	done        sync.WaitGroup
}

// openTUN opens a TUN device in a namespace; one that is not there is made.
func openTUN(ns *netns.Namespace, name string) (*os.File, error) {
	fd := -1
	err := ns.Do(func() (err error) {
		if fd, err = unix.Open("/dev/net/tun", unix.O_RDWR|unix.O_NONBLOCK|unix.O_CLOEXEC, 0); err != nil {
			return err
		}
		request, err := unix.NewIfreq(name)
		if err != nil {
			return err
		}
		request.SetUint16(unix.IFF_TUN | unix.IFF_NO_PI)
		return unix.IoctlIfreq(fd, unix.TUNSETIFF, request)
	})
	if err != nil {
		return nil, fmt.Errorf("open %s in %s: %w", name, ns, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func (p *pipes) Apply(_ context.Context, ns *netns.Namespace, network string, want []dataplane.VPNGateway) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.open == nil {
		p.open = map[string]*pipe{}
	}
	wanted := map[string]bool{}
	for _, s := range dataplane.AllSSL(want) {
		key := network + "/" + s.ID
		wanted[key] = true
		link, err := ns.Netlink().LinkByName(s.Link())
		if err != nil {
			return err
		}
		if old := p.open[key]; old != nil {
			if old.index == link.Attrs().Index {
				continue
			}
			old.close()
		}
		made := &pipe{index: link.Attrs().Index}
		if made.server, err = openTUN(ns, s.Link()); err != nil {
			return err
		}
		if far := p.clients[s.ID]; far != nil {
			if made.far, err = openTUN(far, "tun0"); err != nil {
				return err
			}
		}
		made.join()
		p.open[key] = made
	}
	for key, o := range p.open {
		if len(key) > len(network) && key[:len(network)+1] == network+"/" && !wanted[key] {
			o.close()
			delete(p.open, key)
		}
	}
	return nil
}

func (p *pipe) join() {
	carry := func(from, to *os.File) {
		b := make([]byte, 1<<16)
		for {
			n, err := from.Read(b)
			if errors.Is(err, os.ErrClosed) || errors.Is(err, unix.EBADFD) {
				return
			}
			if err == nil && to != nil {
				_, _ = to.Write(b[:n])
			}
		}
	}
	p.done.Go(func() { carry(p.server, p.far) })
	if p.far != nil {
		p.done.Go(func() { carry(p.far, p.server) })
	}
}

func (p *pipe) close() {
	p.server.Close()
	if p.far != nil {
		p.far.Close()
	}
	p.done.Wait()
}

func (p *pipes) Close() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, o := range p.open {
		o.close()
	}
	p.open = nil
}

func (p *pipes) Available() error                             { return nil }
func (p *pipes) Status(string) map[string]dataplane.SSLStatus { return nil }
func (p *pipes) Log(string, string, time.Time, time.Time) ([]dataplane.SSLLine, error) {
	return nil, nil
}
func (p *pipes) Disconnect(context.Context, string, string, string) error { return nil }
