package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"strconv"
	"sync/atomic"
	"syscall"
	"time"

	"sluice/api/aliyun"
	"sluice/test/lab"

	"golang.org/x/sys/unix"
)

const (
	strangers       = 5000 // connections that are held, or sought
	strangerSources = 50   // that they come from
	// A connection that was closed is sought again after up to this time.
	strangerPause = time.Second

	siegeArgument = "besiege"
)

// besiegeMain is the program as that of the attackers, where its arguments say so. They
// have the least of the processors, since in the field they have their own.
func besiegeMain() {
	if len(os.Args) != 4 || os.Args[1] != siegeArgument {
		return
	}
	n, err := strconv.Atoi(os.Args[3])
	if err == nil {
		err = errors.Join(unix.Setpriority(unix.PRIO_PROCESS, 0, 19), besiege(os.Args[2], n))
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(exitFailure)
	}
	os.Exit(0)
}

// besiege holds n connections to an address, in every way in turn, until the standard
// input ends. It writes a line when all have been there once, and one with the number of
// connections at the end.
func besiege(address string, n int) error {
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	var opened atomic.Int64
	first := make(chan struct{}, n)
	for i := range n {
		dial := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i%strangerSources))}}
		go func() {
			was := false
			for ctx.Err() == nil {
				conn, err := dial.DialContext(ctx, "tcp", address)
				if err == nil {
					opened.Add(1)
					ways[i/strangerSources%len(ways)](conn)
					conn.Close()
				}
				if !was {
					was = true
					first <- struct{}{}
				}
				time.Sleep(rand.N(strangerPause))
			}
		}()
	}
	// Those that are let stay do not come back, so that not all are waited for.
	for range n / 2 {
		<-first
	}
	fmt.Println("there")
	_, _ = io.Copy(io.Discard, os.Stdin)
	fmt.Println(opened.Load())
	return nil
}

// ways are what strangers do with a connection, until it is closed.
var ways = []func(net.Conn){
	sendAndWait(""),
	sendAndWait("GET / HTTP/1.1\r\n"),
	func(c net.Conn) { trickle(c, "GET / HTTP/1.1\r\nHost: x\r\nX-A: ") },
	func(c net.Conn) {
		trickle(c, "POST / HTTP/1.1\r\nHost: x\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: 100000\r\n\r\n")
	},
	func(c net.Conn) { _ = tls.Client(c, &tls.Config{ServerName: "localhost"}).Handshake() },
	func(c net.Conn) {
		in := bufio.NewReader(c)
		for {
			if _, err := io.WriteString(c, "GET /?Action=DescribeVpcs&RegionId=x&AccessKeyId=nobody HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
				return
			}
			resp, err := http.ReadResponse(in, nil)
			if err != nil {
				return
			}
			_, _ = io.Copy(io.Discard, resp.Body)
		}
	},
}

func sendAndWait(text string) func(net.Conn) {
	return func(c net.Conn) {
		if _, err := io.WriteString(c, text); err == nil {
			_, _ = io.Copy(io.Discard, c)
		}
	}
}

func trickle(c net.Conn, text string) {
	_, err := io.WriteString(c, text)
	for err == nil {
		time.Sleep(time.Second)
		_, err = io.WriteString(c, "a")
	}
}

// sieges measures how long a client waits for the answers to its calls while strangers
// take all the connections that they get: one that keeps its connection, and one that
// connects for each call.
func sieges(ctx context.Context, r *run) error {
	s, err := r.theSite(ctx)
	if err != nil {
		return err
	}
	calls, n := 1500, strangers
	if r.quick {
		calls, n = 200, 500
	}
	endpoint, err := s.lab.Endpoint()
	if err != nil {
		return err
	}
	u, err := url.Parse(endpoint)
	if err != nil {
		return err
	}
	clients := make([]*aliyun.Client, 2)
	for i := range clients {
		if clients[i], err = s.lab.Client(); err != nil {
			return err
		}
		defer clients[i].HTTP.CloseIdleConnections()
	}
	kept, fresh, err := siegeCalls(ctx, clients[0], clients[1], calls)
	if err != nil {
		return err
	}
	r.say("letting %d connections of strangers come from %d addresses", n, strangerSources)
	child := exec.CommandContext(ctx, "/proc/self/exe", siegeArgument, u.Host, strconv.Itoa(n))
	child.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	child.Stderr = os.Stderr
	end, err := child.StdinPipe()
	if err != nil {
		return err
	}
	said, err := child.StdoutPipe()
	if err != nil {
		return err
	}
	if err := child.Start(); err != nil {
		return err
	}
	lines := bufio.NewScanner(said)
	lines.Scan()
	began := time.Now()
	keptThen, freshThen, err := siegeCalls(ctx, clients[0], clients[1], calls)
	took := time.Since(began)
	end.Close()
	lines.Scan()
	opened := lines.Text()
	if err := errors.Join(err, child.Wait()); err != nil {
		return err
	}
	p99 := func(samples []time.Duration) float64 { return quantile(milliseconds(samples), 0.99) }
	return r.report.add("api_p99_under_siege_ms", max(p99(keptThen), p99(freshThen)), millis,
		fmt.Sprintf("%d connections sought from %d addresses, in %d ways, %s in all; %d calls in %.1f s: connection kept p99 %.3g ms (%.3g alone), a new one for each call %.3g ms (%.3g alone)",
			n, strangerSources, len(ways), opened, 2*calls, took.Seconds(), p99(keptThen), p99(kept), p99(freshThen), p99(fresh)))
}

// siegeCalls makes calls in turn: by a client that keeps its connection, and by one that
// makes a new one for each call.
func siegeCalls(ctx context.Context, keeps, comes *aliyun.Client, calls int) (kept, fresh []time.Duration, err error) {
	call := func(c *aliyun.Client, took *[]time.Duration) error {
		began := time.Now()
		_, err := c.Call(ctx, "DescribeVpcs", map[string]string{"RegionId": lab.DefaultRegion})
		*took = append(*took, time.Since(began))
		return err
	}
	for range calls {
		if err := call(keeps, &kept); err != nil {
			return nil, nil, err
		}
		comes.HTTP.CloseIdleConnections()
		if err := call(comes, &fresh); err != nil {
			return nil, nil, err
		}
	}
	return kept, fresh, nil
}
