package engine

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// Twenty hosts with the same source ports, behind one elastic IP, have thousands
// of connections to one server at once, each seen from a port of its own.
func TestSameSourcePorts(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		nstest.Listen(t, p.public, 9100)
		hosts, ports := 20, 100
		if testing.Short() {
			hosts = 6
		}
		var conns []*os.File
		defer func() {
			for _, c := range conns {
				c.Close()
			}
		}()
		server := &unix.SockaddrInet4{Addr: netip.MustParseAddr(outsideAt).As4(), Port: 9100}
		var sources []unix.SockaddrInet4
		for i := range hosts {
			a := netip.AddrFrom4([4]byte{10, 0, 1, byte(100 + i)})
			nstest.Address(t, p.client, "eth0", a.String()+"/24")
			for k := range ports {
				sources = append(sources, unix.SockaddrInet4{Addr: a.As4(), Port: 20000 + k})
			}
		}
		err := p.client.Do(func() error {
			for _, kind := range []int{unix.SOCK_STREAM, unix.SOCK_DGRAM} {
				for i := range sources {
					fd, err := unix.Socket(unix.AF_INET, kind|unix.SOCK_NONBLOCK|unix.SOCK_CLOEXEC, 0)
					if err != nil {
						return err
					}
					conns = append(conns, os.NewFile(uintptr(fd), fmt.Sprint(sources[i])))
					if err := unix.Bind(fd, &sources[i]); err != nil {
						return err
					}
					if err := unix.Connect(fd, server); err != nil && !errors.Is(err, unix.EINPROGRESS) {
						return err
					}
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		// Twice: the second time all are open, and have been learned.
		for round := range 2 {
			failed := make([]error, len(conns))
			seen := make([]string, len(conns))
			var all sync.WaitGroup
			turns := make(chan struct{}, 64) // a socket holds no more datagrams than some hundred
			for i, c := range conns {
				all.Go(func() {
					turns <- struct{}{}
					defer func() { <-turns }()
					_ = c.SetDeadline(time.Now().Add(2 * nstest.Deadline))
					_, failed[i] = io.WriteString(c, "who am I?")
					buf := make([]byte, 100)
					if failed[i] == nil {
						var n int
						n, failed[i] = c.Read(buf)
						seen[i] = string(buf[:n])
					}
				})
			}
			all.Wait()
			if err := errors.Join(failed...); err != nil {
				t.Fatalf("round %d: %v", round, err)
			}
			for _, kind := range [][]string{seen[:len(seen)/2], seen[len(seen)/2:]} {
				unique := map[string]bool{}
				for _, s := range kind {
					unique[s] = true
				}
				if len(unique) != hosts*ports {
					t.Errorf("round %d: %d flows were seen from %d ports", round, hosts*ports, len(unique))
				}
			}
		}
		p.shortened(t, uint64(hosts*ports))
	})
}

// What has come to a port from outside, and was dropped, is not in the way of a
// host that then begins from the same port: it keeps it.
func TestStrayKeepsNoPort(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		nstest.Listen(t, p.public, 9100)
		for _, network := range []string{"udp4", "tcp4"} {
			for i, from := range []struct {
				ns       *netns.Namespace
				external string
			}{{p.client, "203.0.113.10"}, {p.mapped, "203.0.113.12"}} {
				at := fmt.Sprintf("%s:%d", from.external, 4500+i)
				arrived := counter(t, inNetwork(t, p.n.ID), "prerouting", fmt.Sprintf("ip saddr %s ip daddr %s", outsideAt, from.external))
				stray(t, p.public, network, 9100, at)
				nstest.Eventually(t, func() error {
					if arrived() == 0 {
						return errors.New("nothing has come from outside")
					}
					return nil
				})
				var c net.Conn
				nstest.Eventually(t, func() error {
					return from.ns.Do(func() (err error) {
						d := net.Dialer{Timeout: time.Second, Control: reuse, LocalAddr: &net.UDPAddr{Port: 4500 + i}}
						if network == "tcp4" {
							d.LocalAddr = &net.TCPAddr{Port: 4500 + i}
						}
						c, err = d.DialContext(context.Background(), network, outsideAt+":9100")
						return err
					})
				})
				defer c.Close()
				var said string
				nstest.Eventually(t, func() (err error) { said, err = nstest.Ask(c); return err })
				if said != at {
					t.Errorf("%s from %s is seen as %s after what came first", network, at, said)
				}
			}
		}
	})
}

// stray sends something from a port of ours that nobody has asked for.
func stray(t *testing.T, ns *netns.Namespace, network string, port uint16, to string) {
	t.Helper()
	b := make([]byte, 20)
	protocol := unix.IPPROTO_UDP
	target := netip.MustParseAddrPort(to)
	b[0], b[1], b[2], b[3] = byte(port>>8), byte(port), byte(target.Port()>>8), byte(target.Port())
	if network == "tcp4" {
		protocol = unix.IPPROTO_TCP
		b[12], b[13], b[14] = 5<<4, flagSYN, 0x10
	} else {
		b[5] = byte(len(b)) // without a checksum
	}
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_RAW|unix.SOCK_CLOEXEC, protocol)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		if network == "tcp4" {
			from := netip.MustParseAddr(outsideAt).As4()
			pseudo := append(append(from[:], target.Addr().AsSlice()...), 0, byte(protocol), 0, byte(len(b)))
			sum := ^checksum(uint32(checksum(0, pseudo)), b)
			b[16], b[17] = byte(sum>>8), byte(sum)
		}
		return unix.Sendto(fd, b, 0, &unix.SockaddrInet4{Addr: target.Addr().As4()})
	})
	if err != nil {
		t.Fatal(err)
	}
}

// A host reaches itself by its own elastic IP, whatever it sends.
func TestOwnElasticIP(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		p := newPopulated(t, on)
		nstest.Stream(t, p.mapped, mappedEcho, 1<<20)
		nstest.Datagrams(t, p.mapped, mappedEcho, 1, 1472, 1473, 4000, 9000)
		nstest.Ping(t, p.mapped, mappedAt, 0, 56, 1472, 5000)
		nstest.Listen(t, p.mapped, 9100)
		for _, network := range []string{"tcp4", "udp4"} {
			nstest.Eventually(t, seenAs(p.mapped, network, mappedAt+":9100", mappedAt))
		}
	})
}
