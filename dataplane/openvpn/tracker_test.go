package openvpn

import (
	"fmt"
	"maps"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
)

// story is what a tracker has told.
type story struct {
	*tracker
	told []string
}

func tell(file string) *story {
	s := &story{}
	s.tracker = openTracker(file, "vss-1",
		func(one session) { s.told = append(s.told, "+"+one.Certificate+" "+one.Address.String()) },
		func(one session, at time.Time, why string) {
			s.told = append(s.told, fmt.Sprintf("-%s %s %d", one.Certificate, why, at.Unix()))
		})
	return s
}

// says has it hear lines, each a second after the one before.
func (s *story) says(from int64, lines ...string) {
	var all []logLine
	for i, text := range lines {
		l, ok := parseLog(fmt.Sprintf("%d.000000 %s", from+int64(i), text))
		if !ok {
			panic(text)
		}
		all = append(all, l)
	}
	s.hear(all, s.offset()+1)
}

const (
	a = "198.51.100.6:60159"
	b = "198.51.100.7:1000"
)

func TestSessions(t *testing.T) {
	file := filepath.Join(t.TempDir(), "state.json")
	s := tell(file)
	s.says(100,
		"1 "+a+" [vsc-1] Peer Connection Initiated with [AF_INET]"+a,
		"1 vsc-1/"+a+" MULTI: primary virtual IP for vsc-1/"+a+": 10.99.0.2",
		"1 vsc-1/"+a+" Data Channel: cipher 'AES-256-GCM', peer-id: 0",
		"1 vsc-2/"+b+" MULTI: primary virtual IP for vsc-2/"+b+": 10.99.0.3",
	)
	one := client{name: "vsc-1", remote: netip.MustParseAddrPort(a), address: netip.MustParseAddr("10.99.0.2"), since: time.Unix(100, 0), received: 1000, sent: 2000, cipher: "AES-256-GCM", id: 1}
	two := client{name: "vsc-2", remote: netip.MustParseAddrPort(b), address: netip.MustParseAddr("10.99.0.3"), since: time.Unix(102, 0), id: 2, cipher: "AES-128-CBC"}
	if s.meet(time.Unix(104, 0), []client{one, two}) {
		t.Error("a status that says the same turns something")
	}
	if err := s.save(); err != nil {
		t.Fatal(err)
	}
	// The next daemon knows it, too.
	s.told, s = nil, tell(file)
	var status dataplane.SSLStatus
	s.fill(&status)
	if len(status.Clients) != 2 || status.Clients[0].Cipher != "AES-256-GCM" || status.Clients[0].Inbound.Bytes != 1000 || !status.Clients[0].Since.Equal(time.Unix(101, 0)) {
		t.Errorf("it knows %+v", status.Clients)
	}
	s.says(200,
		// From elsewhere: the one before goes.
		"1 vsc-1/198.51.100.8:5 MULTI: new connection by client 'vsc-1' will cause previous active sessions by this client to be dropped.  Remember to use the --duplicate-cn option",
		"1 vsc-1/198.51.100.8:5 MULTI: primary virtual IP for vsc-1/198.51.100.8:5: 10.99.0.2",
		// Said of the one that is gone already.
		"1 vsc-1/"+a+" SIGTERM[soft,ping-restart] received, client-instance exiting",
		"1 vsc-2/"+b+" SIGUSR1[soft,ping-restart] received, client-instance restarting",
	)
	one.remote, one.id = netip.MustParseAddrPort("198.51.100.8:5"), 3
	s.meet(time.Unix(205, 0), []client{one})
	s.leave("vsc-1", "thrown out")
	// One that began after the status was asked for is not missing there.
	s.says(206, "1 vsc-3/"+b+" MULTI: primary virtual IP for vsc-3/"+b+": 10.99.0.4")
	s.meet(time.Unix(206, 0), nil)
	// One that no line has told of.
	two.name, two.id = "vsc-4", 9
	s.meet(time.Unix(207, 0), []client{two})
	// What was so when the status was asked for is not so any more when it is here.
	s.says(220, "1 vsc-4/"+b+" SIGTERM[soft,remote-exit] received, client-instance exiting", "1 vsc-5/"+a+" MULTI: primary virtual IP for vsc-5/"+a+": 10.99.0.5")
	five := client{name: "vsc-5", remote: netip.MustParseAddrPort("198.51.100.9:9"), address: netip.MustParseAddr("10.99.0.9"), id: 10}
	s.meet(time.Unix(220, 0), []client{two, five})
	s.lost(time.Unix(230, 0), "OpenVPN has ended")
	want := []string{
		"-vsc-1 taken over by another login 200", "+vsc-1 10.99.0.2", "-vsc-2 ping-restart 203", "+vsc-3 10.99.0.4", "-vsc-1 thrown out 206",
		"+vsc-4 10.99.0.3", "-vsc-3  207", "-vsc-4 remote-exit 220", "+vsc-5 10.99.0.5", "-vsc-5 OpenVPN has ended 230",
	}
	if !slices.Equal(s.told, want) {
		t.Errorf("it has told\n%s\nwant\n%s", strings.Join(s.told, "\n"), strings.Join(want, "\n"))
	}
}

// Failures are counted once for an attempt, by what was told first.
func TestFailures(t *testing.T) {
	s := tell(filepath.Join(t.TempDir(), "state.json"))
	s.says(100,
		"1 "+a+" VERIFY ERROR: depth=0, error=certificate has expired: CN=vsc-1, serial=12",
		"1 "+a+" OpenSSL: error:0A000086:SSL routines::certificate verify failed:",
		"1 "+a+" TLS_ERROR: BIO read tls_read_plaintext error",
		"1 "+a+" TLS Error: TLS object -> incoming plaintext read error",
		"1 "+a+" TLS Error: TLS handshake failed",
		"1 "+a+" SIGUSR1[soft,tls-error] received, client-instance restarting",
		"1 "+a+" VERIFY CRL: depth=0, CN=vsc-1, serial=12 is revoked",
		"1 "+a+" TLS Error: TLS handshake failed",
		"1 "+a+" VERIFY ERROR: depth=0, error=unable to get local issuer certificate: CN=vsc-1, serial=12",
		"1 "+a+" TLS Error: TLS handshake failed",
		"1 "+a+" TLS Error: TLS key negotiation failed to occur within 60 seconds (check your network connectivity)",
		"1 "+a+" TLS Error: TLS handshake failed",
		"1 "+a+" TLS Error: TLS handshake failed",
		"1 TLS Error: tls-crypt unwrapping failed from [AF_INET]"+a,
		"1 TLS Error: tls-crypt unwrapping failed from [AF_INET]"+a, // the same client tries again
		"1 TLS Error: tls-crypt unwrapping failed from [AF_INET]"+b,
		"1 "+b+" TLS Auth Error: --client-config-dir authentication failed for common name 'vsc-9' file='/clients/vsc-9'",
		"1 vsc-1/"+b+" PUSH: No common cipher between server and client. Server data-ciphers: 'AES-256-GCM', client supported ciphers 'BF-CBC'",
		"1 MULTI: new incoming connection would exceed maximum number of clients (1)",
	)
	s.says(1000, "1 TLS Error: tls-crypt unwrapping failed from [AF_INET]"+a)
	var status dataplane.SSLStatus
	s.fill(&status)
	want := map[string]uint64{reasonExpired: 1, reasonRevoked: 1, reasonCertificate: 1, reasonTimeout: 1, reasonTLS: 1, reasonKey: 3, reasonUnknown: 1, reasonCipher: 1}
	if !maps.Equal(status.Failures, want) || status.Refused != 1 {
		t.Errorf("failures are %v, want %v; refused are %d", status.Failures, want, status.Refused)
	}
	for reason := range status.Failures {
		if !slices.Contains(Reasons(), reason) {
			t.Errorf("reason %s is none of all", reason)
		}
	}
	s.says(2000, "11 Socket bind failed on local address [AF_INET]192.0.2.1:1194: Address already in use (errno=98)", "1 Exiting due to fatal error")
	if got := s.lastWords(); !strings.HasPrefix(got, "Socket bind failed on local address") {
		t.Errorf("it has ended since %q", got)
	}
}
