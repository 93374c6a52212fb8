package main

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"sluice/api/aliyun"
	"sluice/controlplane/pki"
	profile "sluice/controlplane/vpn/client"
	"sluice/dataplane"
	"sluice/test/lab"
)

// sslClients is how many clients a server is measured with.
const sslClients = 200

// remote is a VPC with an SSL-VPN server, a host in it, and a machine on the Internet whose
// users are its clients.
type remote struct {
	s       *site
	vpc     string
	gateway string // VPN gateway
	server  string
	host    lab.Host
	machine lab.Host
	echo    netip.AddrPort // at the host
	dir     string         // of clients' files
}

// ssl returns what measures SSL-VPN against OpenVPN set up by hand.
func ssl(measure func(context.Context, *run, *remote) error) func(context.Context, *run) error {
	return func(ctx context.Context, r *run) error {
		if !r.installed("openvpn") {
			return nil
		}
		r.say("bringing up a lab with an SSL-VPN server")
		return r.withSite(ctx, "ssl", nil, func(s *site) (failed error) {
			m := &remote{s: s, dir: filepath.Join(r.dir, "sslclients")}
			if err := errors.Join(os.MkdirAll(m.dir, 0o700), m.build(ctx)); err != nil {
				return err
			}
			to, stop, err := echo(m.host.Namespace, m.host.IP())
			if err != nil {
				return err
			}
			defer func() { failed = errors.Join(failed, stop()) }()
			m.echo = to
			return measure(ctx, r, m)
		})
	}
}

func (m *remote) build(ctx context.Context) (err error) {
	var vpc aliyun.CreateVpcResponse
	if err := m.s.call(ctx, "CreateVpc", &vpc, "CidrBlock", "10.0.0.0/16"); err != nil {
		return err
	}
	m.vpc = vpc.VpcId
	var vsw aliyun.CreateVSwitchResponse
	if err := m.s.insist(ctx, "CreateVSwitch", &vsw, "VpcId", m.vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", "10.0.1.0/24"); err != nil {
		return err
	}
	if err := m.s.settled(ctx, m.vpc, ""); err != nil {
		return err
	}
	var gw aliyun.CreateVpnGatewayResponse
	err = m.s.call(ctx, "CreateVpnGateway", &gw, "VpcId", m.vpc, "Bandwidth", strconv.Itoa(vpnBandwidth), "EnableIpsec", "false", "EnableSsl", "true", "SslConnections", strconv.Itoa(sslClients))
	if err != nil {
		return err
	}
	m.gateway = gw.VpnGatewayId
	var server aliyun.CreateSslVpnServerResponse
	err = m.s.insist(ctx, "CreateSslVpnServer", &server, "VpnGatewayId", gw.VpnGatewayId, "ClientIpPool", "172.29.0.0/16", "LocalSubnet", "10.0.1.0/24")
	if err != nil {
		return err
	}
	m.server = server.SslVpnServerId
	if m.host, err = m.s.lab.HostAdd(ctx, lab.HostOptions{Name: "inside", VSwitch: vsw.VSwitchId}); err != nil {
		return err
	}
	m.machine, err = m.s.lab.InternetAdd(ctx, "users", netip.Addr{})
	return err
}

// certificate makes a client's certificate, and the file that its holder runs.
func (m *remote) certificate(ctx context.Context) (id, file string, err error) {
	var made aliyun.CreateSslVpnClientCertResponse
	if err := m.s.insist(ctx, "CreateSslVpnClientCert", &made, "SslVpnServerId", m.server); err != nil {
		return "", "", err
	}
	// A client that comes before the server knows of it is refused, and ends.
	within, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	err = lab.Await(within, "wait for the certificate", func() error {
		var gw aliyun.DescribeVpnGatewayResponse
		if err := m.s.call(within, "DescribeVpnGateway", &gw, "VpnGatewayId", m.gateway); err != nil {
			return err
		}
		if gw.Status != "active" {
			return fmt.Errorf("VPN gateway %s is %s", m.gateway, gw.Status)
		}
		return nil
	})
	if err != nil {
		return "", "", err
	}
	var got aliyun.DescribeSslVpnClientCertResponse
	if err := m.s.call(ctx, "DescribeSslVpnClientCert", &got, "SslVpnClientCertId", made.SslVpnClientCertId); err != nil {
		return "", "", err
	}
	file = filepath.Join(m.dir, made.SslVpnClientCertId+".ovpn")
	return made.SslVpnClientCertId, file, os.WriteFile(file, []byte(got.ClientConfig), 0o600)
}

// openvpn is a running OpenVPN.
type openvpn struct{ *exec.Cmd }

func startOpenVPN(namespace, file string, more ...string) (openvpn, error) {
	o := openvpn{exec.Command("openvpn", append([]string{"--config", file, "--log", file + ".log"}, more...)...)}
	if err := lab.In(namespace, o.Start); err != nil {
		return o, fmt.Errorf("start openvpn: %w", err)
	}
	return o, nil
}

// end ends it as a user does: the server is told.
func (o openvpn) end() error {
	if err := o.Process.Signal(unix.SIGTERM); err != nil {
		return err
	}
	var exit *exec.ExitError
	if err := o.Wait(); err != nil && !errors.As(err, &exit) {
		return err
	}
	return nil
}

// manual is an OpenVPN server on a machine of the Internet, with a host behind it.
type manual struct {
	openvpn
	server string // namespace of it
	host   string // namespace of the host
	at     netip.Addr
	file   string // that a client runs
}

// setUpManually makes the server that somebody would who has read OpenVPN's manual, with the
// ciphers of Sluice's.
func (m *remote) setUpManually(ctx context.Context, r *run) (*manual, error) {
	f := &far{lab: m.s.lab, lan: netip.MustParseAddr("192.168.201.1")}
	var err error
	if f.Host, err = m.s.lab.InternetAdd(ctx, "byhand", netip.Addr{}); err != nil {
		return nil, err
	}
	h := &manual{server: f.Host.Namespace, at: behind(f), file: filepath.Join(m.dir, "byhand.ovpn")}
	if h.host, err = r.hostBehind(f); err != nil {
		return nil, err
	}
	now := time.Now()
	made, err := pki.NewServer(rand.Reader, now, "byhand")
	if err != nil {
		return nil, err
	}
	user, err := made.Authority.NewClient(rand.Reader, now, "user")
	if err != nil {
		return nil, err
	}
	p := profile.Profile{
		Server: "byhand", Certificate: "user", Address: f.Host.IP(), Port: 1194, Protocol: unix.IPPROTO_UDP, Cipher: dataplane.SSLAES128, Expires: user.Expires,
		CA: made.Authority.Certificate, Cert: user.Certificate, Key: dataplane.Secret(user.Key), TLSCrypt: dataplane.Secret(made.TLSCrypt),
	}
	// By hand the MTU is OpenVPN's default.
	text := strings.Replace(p.Inline(), fmt.Sprintf("tun-mtu %d\n", p.MTU()), "", 1)
	server := fmt.Sprintf(`dev tun0
topology subnet
server 172.28.0.0 255.255.0.0
proto udp
local %s
port 1194
dh none
data-ciphers %s
auth SHA256
tls-version-min 1.2
remote-cert-tls client
keepalive 10 60
push "route 192.168.201.0 255.255.255.0"
<ca>
%s</ca>
<cert>
%s</cert>
<key>
%s</key>
<tls-crypt>
%s</tls-crypt>
`, f.Host.IP(), p.DataCiphers(), made.Authority.Certificate, made.Own.Certificate, made.Own.Key, made.TLSCrypt)
	file := filepath.Join(m.dir, "byhand.conf")
	if err := errors.Join(os.WriteFile(h.file, []byte(text), 0o600), os.WriteFile(file, []byte(server), 0o600)); err != nil {
		return nil, err
	}
	h.openvpn, err = startOpenVPN(f.Host.Namespace, file)
	return h, err
}

// sslAgainstOpenVPN compares a client of an SSL-VPN server with one of an OpenVPN set up by
// hand: how soon it is up, and what TCP makes of it.
func sslAgainstOpenVPN(ctx context.Context, r *run, m *remote) (failed error) {
	rounds, bulk := 20, 20
	if r.quick {
		rounds, bulk = 1, 1
	}
	hand, err := m.setUpManually(ctx, r)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, hand.end()) }()
	to, stop, err := echo(hand.host, hand.at)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, stop()) }()
	_, file, err := m.certificate(ctx)
	if err != nil {
		return err
	}
	up := func(file string, to netip.AddrPort) (openvpn, float64, error) {
		began := time.Now()
		o, err := startOpenVPN(m.machine.Namespace, file)
		if err != nil {
			return o, 0, err
		}
		err = awaitEcho(ctx, m.machine.Namespace, netip.IPv4Unspecified(), to)
		took := float64(time.Since(began)) / float64(time.Millisecond)
		if err != nil {
			log, _ := os.ReadFile(file + ".log")
			err = errors.Join(fmt.Errorf("%w; openvpn said:\n%s", err, log), o.end())
		}
		return o, took, err
	}
	once := func(file string, to netip.AddrPort) slot {
		return func() (float64, error) {
			o, took, err := up(file, to)
			if err != nil {
				return 0, err
			}
			return took, o.end()
		}
	}
	r.say("a client of an SSL-VPN server and one of an OpenVPN set up by hand, %d rounds", rounds)
	values, err := alternate(ctx, rounds, once(hand.file, to), once(file, m.echo))
	if err != nil {
		return err
	}
	err = errors.Join(
		r.report.add("ssl_up_over_openvpn", median(values[1])/median(values[0]), ratio,
			fmt.Sprintf("medians of %d each, from the client's start to a packet and its answer", len(values[0]))),
		r.report.add("ssl_up_ms", median(values[1]), millis, fmt.Sprintf("by Sluice; worst %.3g", quantile(values[1], 1))),
		r.report.add("ssl_up_openvpn_ms", median(values[0]), millis, fmt.Sprintf("by hand; worst %.3g", quantile(values[0], 1))),
	)
	if err != nil || !r.installed("iperf3") {
		return err
	}
	for _, c := range []struct {
		file string
		to   netip.AddrPort
	}{{hand.file, to}, {file, m.echo}} {
		o, _, err := up(c.file, c.to)
		if err != nil {
			return err
		}
		defer func() { failed = errors.Join(failed, o.end()) }()
	}
	limited, err := limitLike(m.vpc, hand.server, "tun0")
	if err == nil && !limited {
		err = errors.New("the gateway's queue is not found")
	}
	if err != nil {
		return err
	}
	r.say("TCP through both, %d rounds", bulk)
	start := func(namespace string, c *exec.Cmd) error { return lab.In(namespace, c.Start) }
	through := func(namespace string, at netip.Addr) slot {
		return func() (float64, error) {
			return iperfWith(ctx, m.machine.Namespace, namespace, at, 2, start, "-t", "2", "-R")
		}
	}
	values, err = alternate(ctx, bulk, through(hand.host, hand.at), through(m.host.Namespace, m.host.IP()))
	if err != nil {
		return err
	}
	return errors.Join(
		r.report.addRatio("ssl_tcp_over_openvpn", values[1], values[0], fmt.Sprintf("one TCP connection of iperf3 to the client; AES-256-GCM over UDP; both limited to %d Mbit/s by a queue", vpnBandwidth)),
		r.report.add("ssl_tcp", median(values[1]), bitRate, "through an SSL-VPN server"),
		r.report.add("ssl_tcp_openvpn", median(values[0]), bitRate, "through OpenVPN set up by hand"),
	)
}

// sslRevoked measures how long after the answer of DeleteSslVpnClientCert a client still
// reaches a host, by packets every millisecond.
func sslRevoked(ctx context.Context, r *run, m *remote) error {
	rounds := 50
	if r.quick {
		rounds = 2
	}
	r.say("deleting the certificates of %d connected clients, one by one", rounds)
	var took []time.Duration
	for range rounds {
		one, err := m.revoked(ctx)
		if err != nil {
			return err
		}
		took = append(took, one)
	}
	ms := milliseconds(took)
	return r.report.add("ssl_revoke_ms", quantile(ms, 0.99), millis,
		fmt.Sprintf("p99 of %d, from the answer of DeleteSslVpnClientCert to the last answer of a host; median %.3g ms", rounds, median(ms)))
}

// quiet is how long nothing must come back for a session to be gone.
const quiet = 500 * time.Millisecond

func (m *remote) revoked(ctx context.Context) (_ time.Duration, failed error) {
	id, file, err := m.certificate(ctx)
	if err != nil {
		return 0, err
	}
	o, err := startOpenVPN(m.machine.Namespace, file)
	if err != nil {
		return 0, err
	}
	defer func() { failed = errors.Join(failed, o.end()) }()
	if err := awaitEcho(ctx, m.machine.Namespace, netip.IPv4Unspecified(), m.echo); err != nil {
		return 0, err
	}
	c, err := listenUDP(m.machine.Namespace, netip.IPv4Unspecified())
	if err != nil {
		return 0, err
	}
	defer c.Close()
	answered := make(chan error, 1)
	var deleted time.Time
	go func() {
		err := m.s.insist(ctx, "DeleteSslVpnClientCert", nil, "SslVpnClientCertId", id)
		deleted = time.Now()
		answered <- err
	}()
	last, buffer := time.Now(), make([]byte, 64)
	for waiting := true; waiting || time.Since(last) < quiet; {
		if waiting {
			select {
			case err := <-answered:
				if err != nil {
					return 0, err
				}
				waiting = false
			default:
			}
		}
		_, _ = c.WriteToUDPAddrPort([]byte("x"), m.echo) // there may be no way any more
		_ = c.SetReadDeadline(time.Now().Add(time.Millisecond))
		if _, _, err := c.ReadFromUDPAddrPort(buffer); err == nil {
			last = time.Now()
		}
		if !waiting && time.Since(deleted) > 30*time.Second {
			return 0, fmt.Errorf("certificate %s is deleted, and its client still reaches a host after 30 s", id)
		}
	}
	return max(0, last.Sub(deleted)), nil
}

// sslMany measures how long many clients of one server take that start at once.
func sslMany(ctx context.Context, r *run, m *remote) (failed error) {
	n := sslClients
	if r.quick {
		n = 5
	}
	r.say("issuing %d certificates", n)
	files := make([]string, n)
	for i := range files {
		var err error
		if _, files[i], err = m.certificate(ctx); err != nil {
			return err
		}
	}
	r.say("%d clients of one server", n)
	var all []openvpn
	defer func() {
		for _, o := range all { // at once: each takes a second to say goodbye
			failed = errors.Join(failed, o.Process.Signal(unix.SIGTERM))
		}
		for _, o := range all {
			_ = o.Wait()
		}
	}()
	began := time.Now()
	for i, file := range files {
		// All are on one machine: no two may lead its packets into their tunnels.
		o, err := startOpenVPN(m.machine.Namespace, file, "--dev", fmt.Sprintf("tun%d", i), "--dev-type", "tun", "--route-nopull", "--verb", "1")
		if err != nil {
			return err
		}
		all = append(all, o)
	}
	for i := range files {
		if err := m.through(ctx, fmt.Sprintf("tun%d", i)); err != nil {
			return fmt.Errorf("client %d of %d: %w", i, n, err)
		}
	}
	return r.report.add("ssl_200_clients_s", time.Since(began).Seconds(), seconds,
		fmt.Sprintf("%d clients of one server on one machine, from the first one's start until each has had an answer from a host", n))
}

// through waits until a host answers what is sent by a client's device.
func (m *remote) through(ctx context.Context, device string) error {
	return poll(ctx, "a way through "+device, func() error {
		c, err := listenUDP(m.machine.Namespace, netip.IPv4Unspecified())
		if err != nil {
			return err
		}
		defer c.Close()
		raw, err := c.SyscallConn()
		if err != nil {
			return err
		}
		var bound error
		if err := raw.Control(func(fd uintptr) { bound = unix.BindToDevice(int(fd), device) }); err != nil || bound != nil {
			return errors.Join(err, bound)
		}
		if _, err := c.WriteToUDPAddrPort([]byte("x"), m.echo); err != nil {
			return err
		}
		_ = c.SetReadDeadline(time.Now().Add(200 * time.Millisecond))
		_, _, err = c.ReadFromUDPAddrPort(make([]byte, 64))
		return err
	})
}
