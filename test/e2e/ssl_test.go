package e2e

import (
	"context"
	"fmt"
	"io"
	"maps"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

// sslGateway makes a VPN gateway with SSL-VPN, until the test ends. more are further
// parameters.
func (n *network) sslGateway(t *testing.T, more ...string) string {
	t.Helper()
	if _, err := exec.LookPath("openvpn"); err != nil {
		t.Skip(err)
	}
	id := n.call(t, "CreateVpnGateway", append([]string{"VpcId", n.vpc, "Bandwidth", "10", "EnableSsl", "true", "SslConnections", "5"}, more...)...)["VpnGatewayId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteVpnGateway", "VpnGatewayId", id); n.settled(t) })
	n.settled(t)
	return id
}

// sslServer makes an SSL-VPN server until the test ends, and waits for it.
func (n *network) sslServer(t *testing.T, gateway, pool, local string, more ...string) string {
	t.Helper()
	id := n.call(t, "CreateSslVpnServer", append([]string{"VpnGatewayId", gateway, "ClientIpPool", pool, "LocalSubnet", local}, more...)...)["SslVpnServerId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteSslVpnServer", "SslVpnServerId", id); n.settled(t) })
	n.settled(t)
	return id
}

// sslCertificate issues a client's certificate, and returns it with the file that its holder
// runs.
func (n *network) sslCertificate(t *testing.T, server string) (id, conf string) {
	t.Helper()
	id = n.call(t, "CreateSslVpnClientCert", "SslVpnServerId", server)["SslVpnClientCertId"].(string)
	t.Cleanup(func() { n.try("DeleteSslVpnClientCert", "SslVpnClientCertId", id) })
	n.settled(t)
	return id, n.sslConfig(t, id)
}

func (n *network) sslConfig(t *testing.T, certificate string) string {
	t.Helper()
	var got aliyun.DescribeSslVpnClientCertResponse
	n.into(t, &got, "DescribeSslVpnClientCert", "SslVpnClientCertId", certificate)
	return got.ClientConfig
}

// openvpn runs Debian's openvpn with a configuration, and more options, until the test ends or
// the function that it returns is called.
func (e *endpoint) openvpn(t *testing.T, conf string, more ...string) (stop func()) {
	t.Helper()
	file := filepath.Join(t.TempDir(), "client.ovpn")
	if err := os.WriteFile(file, []byte(conf), 0o600); err != nil {
		t.Fatal(err)
	}
	stop, _ = e.runOpenVPN(t, file, more...)
	return stop
}

// runOpenVPN is openvpn with a configuration in a file; log is what it logs.
func (e *endpoint) runOpenVPN(t *testing.T, file string, more ...string) (stop func(), log func() string) {
	t.Helper()
	name := filepath.Join(t.TempDir(), "client.log")
	cmd := exec.Command("openvpn", append([]string{"--cd", filepath.Dir(file), "--config", file, "--log-append", name, "--connect-retry", "1", "2"}, more...)...)
	if err := lab.In(e.namespace, cmd.Start); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	stop = func() { _ = cmd.Process.Kill(); <-ended }
	log = func() string {
		text, _ := os.ReadFile(name)
		return string(text)
	}
	t.Cleanup(func() {
		stop()
		if t.Failed() {
			t.Logf("openvpn at %s:\n%s", e.addr, log())
		}
	})
	return stop, log
}

// clientSeen waits until a service of a host sees a client with an address of a pool, which
// it returns.
func (e *endpoint) clientSeen(t *testing.T, to netip.AddrPort, pool string) (as netip.Addr) {
	t.Helper()
	eventually(t, "a way from a client at "+e.addr.String()+" to "+to.String(), func() string {
		seen, err := e.trySeenAs("tcp", to, time.Second)
		switch {
		case err != nil:
			return err.Error()
		case !netip.MustParsePrefix(pool).Contains(seen.Addr()):
			return "it is seen as " + seen.String()
		}
		as = seen.Addr()
		return ""
	})
	return as
}

// openVPNs returns the processes of the lab's SSL-VPN servers.
func (g *gateway) openVPNs(t *testing.T) (pids []int) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*/cmdline")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range all {
		line, _ := os.ReadFile(name)
		if strings.Contains(string(line), filepath.Join(g.RunDir(), "ssl")) {
			pid := 0
			if _, err := fmt.Sscanf(name, "/proc/%d/", &pid); err == nil {
				pids = append(pids, pid)
			}
		}
	}
	return pids
}

// TestSSLVPN: Debian's openvpn, with the file that is printed for a certificate, reaches hosts
// of the VPC and a site, and they it; through a crash of sluiced, of OpenVPN, changes of the
// server, and the deletion of another's certificate.
func TestSSLVPN(t *testing.T) {
	t.Parallel()
	g := gateways[0].another(t, "ssl", "")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24", "172.16.2.0/24")
	h, other := n.host(t, 0, "172.16.1.10"), n.host(t, 1, "172.16.2.10")
	id := n.sslGateway(t, "EnableIpsec", "true")
	const pool = "172.29.0.0/24"
	server := n.sslServer(t, id, pool, "172.16.0.0/16,192.168.77.0/24", "Proto", "UDP", "Port", "1194")
	ann, annConf := n.sslCertificate(t, server)
	bob, bobConf := n.sslCertificate(t, server)
	service, second := h.serve(t, "tcp", h.addr.String()+":0"), other.serve(t, "tcp", other.addr.String()+":0")

	a, b := n.machine(t, "ann"), n.machine(t, "bob")
	a.openvpn(t, annConf)
	b.openvpn(t, bobConf)
	annAs, bobAs := a.clientSeen(t, service, pool), b.clientSeen(t, service, pool)
	a.clientSeen(t, second, pool)
	if annAs == bobAs {
		t.Errorf("both clients are %s", annAs)
	}
	// Their owner is told who is connected, and from where.
	want := map[string]string{"CN=" + ann: fmt.Sprint("online ", a.addr, " ", annAs), "CN=" + bob: fmt.Sprint("online ", b.addr, " ", bobAs)}
	eventually(t, "both clients to be listed", func() string {
		var list aliyun.DescribeSslVpnClientsResponse
		n.into(t, &list, "DescribeSslVpnClients", "VpnGatewayId", id)
		told := map[string]string{}
		for _, x := range list.ClientInfoList {
			told[x.CommonName] = x.Status + " " + x.Ip + " " + x.PrivateIp
			if age := time.Since(time.UnixMilli(x.ConnectedTime)); age < 0 || age > time.Hour || x.Port == "" || x.ReceiveBytes == 0 || x.SendBytes == 0 {
				return fmt.Sprintf("%+v", x)
			}
		}
		if !maps.Equal(told, want) || list.TotalCount != 2 {
			return fmt.Sprintf("connected are %v, and not %v", told, want)
		}
		return ""
	})
	// A host calls a client, which sees it.
	called := a.serve(t, "tcp", annAs.String()+":0")
	called = netip.AddrPortFrom(annAs, called.Port())
	if seen, err := h.trySeenAs("tcp", called, answerTimeout); err != nil || seen.Addr() != h.addr {
		t.Errorf("a client sees a host that calls it as %s: %v", seen, err)
	}

	// A site, whose connection's local subnet has the pool.
	var gateway aliyun.DescribeVpnGatewayResponse
	n.into(t, &gateway, "DescribeVpnGateway", "VpnGatewayId", id)
	s := n.site(t, "s", "192.168.77.1")
	w := modern("172.16.1.0/24,"+pool, "192.168.77.0/24")
	s.answer(t, netip.MustParseAddr(gateway.InternetIp), w)
	n.status(t, n.connect(t, id, s, w, ikeModern, ipsecModern), "ipsec_sa_established")
	a.clientSeen(t, s.open(t, "tcp", "-"), pool)

	// Sluiced is killed, and is away for a while: nothing of a client is lost.
	answers := h.serve(t, "udp", h.addr.String()+":0")
	lost := b.pings(t, answers)
	g.killDaemon(t)
	for range 20 {
		if err := a.tryEcho("tcp", service, answerTimeout); err != nil {
			t.Errorf("without sluiced: %v", err)
		}
	}
	g.startDaemon(t)
	n.settled(t)
	if sent, missing := lost(); missing > 0 {
		t.Errorf("%d of %d were lost while sluiced was away", missing, sent)
	}

	// OpenVPN is killed, and clients are back.
	pids := g.openVPNs(t)
	if len(pids) != 1 {
		t.Fatalf("OpenVPNs: %v", pids)
	}
	if err := syscall.Kill(pids[0], syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	a.clientSeen(t, service, pool)
	b.clientSeen(t, service, pool)

	// What clients reach is changed, as they are connected.
	n.call(t, "ModifySslVpnServer", "SslVpnServerId", server, "LocalSubnet", "172.16.1.0/24")
	n.settled(t)
	a.clientSeen(t, service, pool)
	eventually(t, "the end of what is out of reach", func() string {
		if err := a.tryEcho("tcp", second, 500*time.Millisecond); err == nil {
			return "a client reaches it"
		}
		return ""
	})

	// Ann's certificate is deleted: her session ends, and Bob's goes on.
	b.clientSeen(t, service, pool)
	lost = b.pings(t, answers)
	n.call(t, "DeleteSslVpnClientCert", "SslVpnClientCertId", ann)
	n.settled(t)
	eventually(t, "the end of a deleted certificate's session", func() string {
		if err := a.tryEcho("tcp", service, 500*time.Millisecond); err == nil {
			return "its client is let through"
		}
		return ""
	})
	if sent, missing := lost(); missing > 0 {
		t.Errorf("%d of %d were lost as another's certificate was deleted", missing, sent)
	}

	// Another transport and port, with the file that is printed then.
	n.call(t, "ModifySslVpnServer", "SslVpnServerId", server, "Proto", "TCP", "Port", "8443")
	n.settled(t)
	_, conf := n.sslCertificate(t, server)
	n.machineAgain(t, a).openvpn(t, conf)
	a.clientSeen(t, service, pool)

	from := time.Now().Add(-10 * time.Minute).Unix()
	got := n.call(t, "DescribeVpnSslServerLogs", "VpnSslServerId", server, "From", fmt.Sprint(from), "To", fmt.Sprint(time.Now().Unix()+1))
	if fmt.Sprint(got["Count"]) == "0" {
		t.Errorf("no log of the server: %v", got)
	}
}

// machineAgain ends a machine's openvpn, whose certificate is none any more.
func (n *network) machineAgain(t *testing.T, e *endpoint) *endpoint {
	t.Helper()
	out, _ := exec.CommandContext(context.Background(), "ip", "netns", "pids", e.namespace).Output()
	for _, p := range strings.Fields(string(out)) {
		name, _ := os.ReadFile("/proc/" + p + "/comm")
		pid := 0
		if _, err := fmt.Sscan(p, &pid); err == nil && strings.TrimSpace(string(name)) == "openvpn" {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	return e
}

// TestSSLVPNOverlap: two VPCs of one block, whose clients have one pool, know nothing of each
// other.
func TestSSLVPNOverlap(t *testing.T) {
	t.Parallel()
	const pool = "172.29.0.0/24"
	for i := range 2 {
		n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
		h := n.host(t, 0, fmt.Sprintf("172.16.1.%d", 10+i))
		service := h.serve(t, "tcp", h.addr.String()+":0")
		server := n.sslServer(t, n.sslGateway(t, "EnableIpsec", "false"), pool, "172.16.0.0/16", "Proto", "TCP", "Port", "1194")
		_, conf := n.sslCertificate(t, server)
		c := n.machine(t, "c")
		c.openvpn(t, conf)
		c.clientSeen(t, service, pool)
		if err := c.tryEcho("tcp", netip.AddrPortFrom(netip.MustParseAddr(fmt.Sprintf("172.16.1.%d", 11-i)), service.Port()), 300*time.Millisecond); err == nil {
			t.Error("a client reaches the other VPC's host")
		}
	}
}

// pours writes so many bytes to whoever connects with a host.
func (e *endpoint) pours(t *testing.T, bytes int) netip.AddrPort {
	t.Helper()
	var l net.Listener
	inNamespace(t, e.namespace, func() (err error) { l, err = net.Listen("tcp4", e.addr.String()+":0"); return err })
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				_, _ = c.Write(make([]byte, bytes))
				c.Close()
			}()
		}
	}()
	return netip.MustParseAddrPort(l.Addr().String())
}

// TestSSLVPNBandwidth: a client and a site have the bandwidth of a VPN gateway together.
func TestSSLVPNBandwidth(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id := n.sslGateway(t, "EnableIpsec", "true")
	const (
		pool   = "172.29.0.0/24"
		limit  = 10_000_000 // bit/s: the gateway's
		size   = 5 << 20    // bytes, to each
		atOnce = 1 << 20    // bytes that may pass at first, with what queues hold
		asked  = 2 * size * 8
	)
	server := n.sslServer(t, id, pool, "172.16.0.0/16")
	_, conf := n.sslCertificate(t, server)
	var gateway aliyun.DescribeVpnGatewayResponse
	n.into(t, &gateway, "DescribeVpnGateway", "VpnGatewayId", id)
	s := n.site(t, "s", "192.168.77.1")
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	s.answer(t, netip.MustParseAddr(gateway.InternetIp), w)
	n.status(t, n.connect(t, id, s, w, ikeModern, ipsecModern), "ipsec_sa_established")
	user := n.machine(t, "u")
	user.openvpn(t, conf)
	user.clientSeen(t, h.serve(t, "tcp", h.addr.String()+":0"), pool)
	h.reaches(t, s.open(t, "tcp", "-"))

	from := h.pours(t, size)
	began := time.Now()
	took := make([]time.Duration, 2)
	var all errgroup.Group
	for i, get := range []func() (net.Conn, error){
		func() (net.Conn, error) { return user.dial("tcp", netip.Addr{}, from, answerTimeout) },
		func() (net.Conn, error) { return s.dial("tcp", s.lan, from, answerTimeout) },
	} {
		all.Go(func() error {
			c, err := get()
			if err != nil {
				return err
			}
			defer c.Close()
			if got, err := io.Copy(io.Discard, c); err != nil || got != size {
				return fmt.Errorf("%d bytes have come: %w", got, err)
			}
			took[i] = time.Since(began)
			return nil
		})
	}
	if err := all.Wait(); err != nil {
		t.Fatal(err)
	}
	// What is measured inside the tunnels is less than the limit, which counts their packets.
	least := time.Duration(float64(asked-8*atOnce) / limit * float64(time.Second))
	t.Logf("%d bytes to each: a client %s, a site %s; at the limit at least %s", size, took[0], took[1], least)
	if last := max(took[0], took[1]); last < least {
		t.Errorf("both had %d bytes within %s, which is more than the gateway's bandwidth", size, last)
	}
	// Neither takes all of it.
	if first := min(took[0], took[1]); first < least/2 {
		t.Errorf("one had all of its bytes within %s", first)
	}
}
