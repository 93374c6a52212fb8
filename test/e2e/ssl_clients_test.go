package e2e

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/rand"
	"fmt"
	"io"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/controlplane/identity"
	"sluice/controlplane/local"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
	"sluice/test/lab"
)

// remoteUsers is a network with an SSL-VPN server in a lab of its own.
type remoteUsers struct {
	*network
	server  string
	pool    string
	service netip.AddrPort // by TCP, of a host
	answers netip.AddrPort // likewise, by UDP
}

// TestSSLVPNClients: what befalls clients of an SSL-VPN server, with the file that sluicectl
// prints for them.
func TestSSLVPNClients(t *testing.T) {
	t.Parallel()
	g := gateways[0].another(t, "sslc", "")
	n := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	u := &remoteUsers{network: n, pool: "172.29.0.0/24", service: h.serve(t, "tcp", h.addr.String()+":0"), answers: h.serve(t, "udp", h.addr.String()+":0")}
	u.server = n.sslServer(t, n.sslGateway(t, "EnableIpsec", "false"), u.pool, "172.16.0.0/16", "Proto", "UDP", "Port", "1194")

	t.Run("behind a NAT", u.behindNAT)
	t.Run("limits", u.limits)
	t.Run("ciphers", u.ciphers)
	t.Run("expiry", u.expiry)
	t.Run("flood", u.flood)
}

// sluicectl runs it on the lab's daemon, and returns what it prints.
func (g *gateway) sluicectl(t *testing.T, args ...string) []byte {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(g.others.programs, "sluicectl"), append(args, "--socket", g.AdminSocket())...)
	out, err := cmd.Output()
	if err != nil {
		t.Fatalf("sluicectl %v: %v", args, err)
	}
	return out
}

// printed returns the name of the file that a certificate's holder runs, as sluicectl prints
// it: one file, or one of an archive.
func (u *remoteUsers) printed(t *testing.T, certificate, format string) string {
	t.Helper()
	dir := t.TempDir()
	out := u.g.sluicectl(t, "vpn", "ssl", "client-config", certificate, "--format", format)
	if format == "ovpn" {
		name := filepath.Join(dir, "laptop.ovpn")
		if err := os.WriteFile(name, out, 0o600); err != nil {
			t.Fatal(err)
		}
		return name
	}
	archive, err := zip.NewReader(bytes.NewReader(out), int64(len(out)))
	if err != nil {
		t.Fatal(err)
	}
	conf := ""
	for _, f := range archive.File {
		in, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(in)
		if err != nil {
			t.Fatal(err)
		}
		name := filepath.Join(dir, f.Name)
		if err := os.WriteFile(name, text, f.Mode()); err != nil {
			t.Fatal(err)
		}
		if filepath.Ext(name) == ".ovpn" {
			conf = name
		}
	}
	return conf
}

// certificate issues one.
func (u *remoteUsers) certificate(t *testing.T) string {
	t.Helper()
	id, _ := u.sslCertificate(t, u.server)
	return id
}

// status returns how the server is, as an operator sees it.
func (u *remoteUsers) status(t *testing.T) *admin.SSLServer {
	t.Helper()
	c, err := u.g.admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.SSLServers(t.Context())
	if err != nil || len(list) != 1 {
		t.Fatalf("SSL-VPN servers are %+v, %v", list, err)
	}
	return &list[0]
}

// client returns the session of a certificate, or nil.
func (u *remoteUsers) client(t *testing.T, certificate string) *admin.SSLClient {
	t.Helper()
	s := u.status(t)
	for i := range s.Clients {
		if s.Clients[i].Certificate == certificate {
			return &s.Clients[i]
		}
	}
	return nil
}

// listed waits until the client of a certificate is in the status, which may be a moment after
// its first packet.
func (u *remoteUsers) listed(t *testing.T, certificate string) (c *admin.SSLClient) {
	t.Helper()
	eventually(t, "status of the client with "+certificate, func() string {
		if c = u.client(t, certificate); c == nil {
			return "there is none"
		}
		return ""
	})
	return c
}

// connected waits until so many clients are, at least so many were refused, and the API says
// the first, too.
func (u *remoteUsers) connected(t *testing.T, clients int, refused uint64) {
	t.Helper()
	eventually(t, "clients", func() string {
		s := u.status(t)
		if len(s.Clients) != clients || s.Refused < refused {
			return fmt.Sprintf("%d are connected, not %d, and %d refused, not %d: %+v", len(s.Clients), clients, s.Refused, refused, s.Clients)
		}
		return ""
	})
	var list aliyun.DescribeSslVpnServersResponse
	u.into(t, &list, "DescribeSslVpnServers", "SslVpnServerId", u.server)
	if x := list.SslVpnServers.SslVpnServer[0]; x.Connections != clients {
		t.Errorf("by the API %d of %d are connected, not %d", x.Connections, x.MaxConnections, clients)
	}
}

// behindNAT: a client behind a router goes on while keys are negotiated anew, and when the
// router forgets it and gives it another port. It has the archive.
func (u *remoteUsers) behindNAT(t *testing.T) {
	home := u.machine(t, "home")
	router := u.natted(t, home)
	id := u.certificate(t)
	_, log := home.runOpenVPN(t, u.printed(t, id, "zip"), "--reneg-sec", "2")
	home.clientSeen(t, u.service, u.pool)
	lost := home.pings(t, u.answers)
	eventually(t, "new keys", func() string {
		if text := log(); strings.Count(text, "TLS: soft reset") < 2 || strings.Count(text, "Control Channel: TLSv1") < 3 {
			return "there are none"
		}
		return ""
	})
	if sent, missing := lost(); missing > 0 || sent < 50 {
		t.Errorf("%d of %d were lost while keys were negotiated", missing, sent)
	}
	before := u.listed(t, id)
	if before == nil || before.Remote.Addr() != router.addr {
		t.Fatalf("the client of router %s is %+v", router.addr, before)
	}

	inNamespace(t, router.namespace, func() error {
		rules := fmt.Sprintf("flush table ip nat; add rule ip nat out oifname %q udp dport 1194 masquerade to :20000-20099; add rule ip nat out oifname %[1]q masquerade", lab.HostInterface)
		if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
			return fmt.Errorf("%w: %s", err, out)
		}
		return netlink.ConntrackTableFlush(netlink.ConntrackTable)
	})
	eventually(t, "the client at its router's other port", func() string {
		if err := home.tryEcho("tcp", u.service, time.Second); err != nil {
			return err.Error()
		}
		now := u.client(t, id)
		if now == nil || now.Remote.Port() < 20000 || now.Remote.Port() > 20099 {
			return fmt.Sprintf("it is %+v", now)
		}
		if !now.Since.Equal(before.Since) || now.Address != before.Address {
			t.Fatalf("it has another session: %+v, before %+v", now, before)
		}
		return ""
	})
	// Keys are negotiated by the new way.
	resets := strings.Count(log(), "Control Channel: TLSv1")
	eventually(t, "new keys by another port", func() string {
		if text := log(); strings.Count(text, "Control Channel: TLSv1") < resets+2 {
			return "there are none"
		}
		return ""
	})
	if err := home.tryEcho("tcp", u.service, answerTimeout); err != nil {
		t.Error(err)
	}
	u.withdraw(t, []string{id})
}

// limits: as many clients as the gateway allows are connected, then as many as the pool has
// addresses for; one more is refused, counted, and gets in when another one goes.
func (u *remoteUsers) limits(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	const most = 5
	one, crowd, last := u.machine(t, "one"), u.machine(t, "crowd"), u.machine(t, "last")
	var certificates []string
	connect := func(e *endpoint) {
		t.Helper()
		certificates = append(certificates, u.certificate(t))
		e.runOpenVPN(t, u.printed(t, certificates[len(certificates)-1], "ovpn"))
	}
	connect(one)
	one.clientSeen(t, u.service, u.pool)
	for range most - 1 {
		connect(crowd) // their routes are in each other's way, but they are connected
	}
	u.connected(t, most, 0)
	connect(last)
	u.connected(t, most, 2) // it tries again
	if err := one.tryEcho("tcp", u.service, answerTimeout); err != nil {
		t.Errorf("who was first: %v", err)
	}
	if err := last.tryEcho("tcp", u.service, 300*time.Millisecond); err == nil {
		t.Error("one too many gets through")
	}
	u.call(t, "DeleteSslVpnClientCert", "SslVpnClientCertId", certificates[1])
	u.settled(t)
	last.clientSeen(t, u.service, u.pool)
	u.connected(t, most, 2)

	// A pool of as many addresses: all come back, and one more finds none.
	u.pool = "172.29.1.8/29"
	u.call(t, "ModifySslVpnServer", "SslVpnServerId", u.server, "ClientIpPool", u.pool)
	u.settled(t)
	one.clientSeen(t, u.service, u.pool)
	last.clientSeen(t, u.service, u.pool)
	u.connected(t, most, 2)
	refused := u.status(t).Refused
	more := u.machine(t, "more")
	connect(more)
	u.connected(t, most, refused+1)
	for _, e := range []*endpoint{one, last} {
		if err := e.tryEcho("tcp", u.service, answerTimeout); err != nil {
			t.Error(err)
		}
	}
	u.withdraw(t, certificates)
}

// withdraw deletes certificates, which may be gone already, until nobody is connected.
func (u *remoteUsers) withdraw(t *testing.T, certificates []string) {
	t.Helper()
	for _, id := range certificates {
		_, _ = u.try("DeleteSslVpnClientCert", "SslVpnClientCertId", id)
		u.settled(t)
	}
	u.connected(t, 0, 0)
}

// ciphers: each cipher by both transports; today's clients negotiate AES-GCM, old ones that
// can do the documented one alone get that.
func (u *remoteUsers) ciphers(t *testing.T) {
	modern, old := u.machine(t, "modern"), u.machine(t, "old")
	modernID, oldID := u.certificate(t), u.certificate(t)
	port := 2000
	for i, proto := range []string{"UDP", "TCP"} {
		for k, cipher := range []dataplane.SSLCipher{dataplane.SSLAES128, dataplane.SSLNone, dataplane.SSLAES192, dataplane.SSLAES256} {
			if testing.Short() && i != k {
				continue
			}
			port++ // with another protocol the number may be the same, but clients see whom they reach
			u.call(t, "ModifySslVpnServer", "SslVpnServerId", u.server, "Proto", proto, "Port", fmt.Sprint(port), "Cipher", string(cipher))
			u.settled(t)
			format := []string{"ovpn", "zip"}[i]
			stop, _ := modern.runOpenVPN(t, u.printed(t, modernID, format))
			stopOld, _ := old.runOpenVPN(t, u.printed(t, oldID, format), "--data-ciphers", string(cipher), "--cipher", string(cipher))
			for _, e := range []*endpoint{modern, old} {
				e.clientSeen(t, u.service, u.pool)
			}
			eventually(t, proto+" "+string(cipher), func() string {
				a, b := u.client(t, modernID), u.client(t, oldID)
				if a == nil || b == nil || a.Cipher != "AES-256-GCM" || b.Cipher != string(cipher) {
					return fmt.Sprintf("clients are %+v and %+v", a, b)
				}
				return ""
			})
			stop()
			stopOld()
		}
	}
	u.call(t, "ModifySslVpnServer", "SslVpnServerId", u.server, "Proto", "UDP", "Port", "1194")
	u.settled(t)
}

// made issues a certificate as it was done ClientYears before it expires.
func (u *remoteUsers) made(t *testing.T, expires time.Time) (id string) {
	t.Helper()
	log := slog.New(slog.NewTextHandler(t.Output(), nil))
	s, err := local.Open(t.Context(), u.g.DataDir(), "", log)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	}()
	v := s.DB.View()
	server, ok := v.SSLServers.Get(u.server)
	if !ok {
		t.Fatalf("there is no SSL-VPN server %s", u.server)
	}
	s.DB.Observed.Report(u.vpc, v.Revision, nil, time.Now())
	at := expires.AddDate(-3, 0, 0)
	service := vpn.New(s.DB, &settings.Settings{Quotas: state.DefaultQuotas(), Regions: []settings.Region{{ID: lab.DefaultRegion}}}, s.Sealer, nil, func() time.Time { return at }, rand.Reader, log)
	c, err := service.CreateSSLCertificate(context.Background(), identity.Caller{Account: server.Account, RequestID: "R"}, vpn.NewSSLCertificate{Region: lab.DefaultRegion, Server: u.server})
	if err != nil {
		t.Fatal(err)
	}
	return c.ID
}

// expiry: a certificate of three years ago, which expires while its client is connected, ends
// that session, and no other; the client does not get in again.
func (u *remoteUsers) expiry(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	other, late := u.machine(t, "other"), u.machine(t, "late")
	otherID := u.certificate(t)
	other.runOpenVPN(t, u.printed(t, otherID, "ovpn"))
	other.clientSeen(t, u.service, u.pool)
	since := u.listed(t, otherID).Since
	u.g.killDaemon(t)
	id := u.made(t, time.Now().Add(12*time.Second))
	u.g.startDaemon(t)
	u.settled(t)
	state := func() string {
		var list aliyun.DescribeSslVpnClientCertsResponse
		u.into(t, &list, "DescribeSslVpnClientCerts", "SslVpnClientCertId", id)
		return list.SslVpnClientCertificateKeys.SslVpnClientCertKey[0].Status
	}
	late.runOpenVPN(t, u.printed(t, id, "ovpn"))
	late.clientSeen(t, u.service, u.pool)
	if got := state(); got != "expiring-soon" {
		t.Errorf("it is %s", got)
	}
	u.connected(t, 2, 0)
	lost := other.pings(t, u.answers)
	u.connected(t, 1, 0)
	if got := state(); got != "expired" {
		t.Errorf("it is %s", got)
	}
	eventually(t, "a refusal of the expired certificate", func() string {
		if f := u.status(t).Failures; f["expired"] == 0 {
			return fmt.Sprintf("failures are %v", f)
		}
		return ""
	})
	if sent, missing := lost(); missing > 0 {
		t.Errorf("%d of %d were lost of another one", missing, sent)
	}
	if now := u.client(t, otherID); now == nil || !now.Since.Equal(since) {
		t.Errorf("another one's session of %s is %+v", since, now)
	}
	u.g.logged(t, "an SSL-VPN client is disconnected", id, "its certificate has expired")
	for _, c := range []string{id, otherID} {
		u.call(t, "DeleteSslVpnClientCert", "SslVpnClientCertId", c)
		u.settled(t)
	}
}

// logged is how much the server's OpenVPN has logged, in bytes.
func (u *remoteUsers) logged(t *testing.T) int64 {
	t.Helper()
	logs, err := filepath.Glob(filepath.Join(u.g.RunDir(), "ssl", "*", "*", "openvpn.log"))
	if err != nil || len(logs) != 1 {
		t.Fatalf("logs of OpenVPN: %v, %v", logs, err)
	}
	st, err := os.Stat(logs[0])
	if err != nil {
		t.Fatal(err)
	}
	return st.Size()
}

// flood: while sluiced is away somebody without the server's key sends as much as goes. Who is
// connected goes on, others get in, and OpenVPN's log stays small.
func (u *remoteUsers) flood(t *testing.T) {
	before, after := u.machine(t, "before"), u.machine(t, "after")
	attacker := u.machineAt(t, "attacker", netip.MustParseAddr("203.0.113.254")) // no client has had that
	first, second := u.certificate(t), u.certificate(t)
	before.runOpenVPN(t, u.printed(t, first, "ovpn"))
	before.clientSeen(t, u.service, u.pool)
	conf := u.printed(t, second, "ovpn")
	at := netip.AddrPortFrom(u.status(t).Address, u.status(t).Port)
	u.g.killDaemon(t)
	logged := u.logged(t)

	c, err := attacker.dial("udp", netip.Addr{}, at, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	packet := append([]byte{7 << 3, 1, 2, 3, 4, 5, 6, 7, 8, 0, 0, 0, 1}, make([]byte, 41)...) // a first one, of no key
	var sent atomic.Int64
	stop := background(t, func() {
		for range 100 {
			if _, err := c.Write(packet); err == nil {
				sent.Add(1)
			}
		}
	})
	lost := before.pings(t, u.answers)
	after.runOpenVPN(t, conf)
	after.clientSeen(t, u.service, u.pool)
	const many = 5000
	eventually(t, "a flood", func() string {
		if n := sent.Load(); n < many {
			return fmt.Sprintf("it has %d packets", n)
		}
		return ""
	})
	all, missing := lost()
	stop()
	if missing > 0 {
		t.Errorf("%d of %d were lost of who was connected", missing, all)
	}
	if more := u.logged(t) - logged; more > 200*many/10 { // each packet that comes through takes some 200
		t.Errorf("OpenVPN's log has grown by %d bytes with %d packets without the key", more, sent.Load())
	}
	u.g.startDaemon(t)
	u.settled(t)
	u.connected(t, 2, 0)
}
