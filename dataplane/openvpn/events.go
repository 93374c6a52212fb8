package openvpn

import (
	"net/netip"
	"regexp"
	"strings"
)

// what a line of the log tells.
type what int

const (
	nothing  what = iota
	begun         // a client has logged in
	ciphered      // its data channel has a cipher
	over          // its session is over
	taken         // it is so since the client has logged in anew
	goodbye       // a client ends
	refusal       // a client is one too many
	failed        // a handshake, or a login, has failed, for the reason told before, or for none
	reason        // why one is going to
	why           // OpenVPN ends
	ready         // OpenVPN listens
)

// event is what a line tells.
type event struct {
	what   what
	name   string         // the certificate, as far as it is told
	remote netip.AddrPort // of the client, likewise
	text   string         // address of the pool, cipher, reason
}

// The reasons why handshakes and logins fail.
const (
	reasonKey         = "tls_crypt"   // a packet without the server's tls-crypt key
	reasonExpired     = "expired"     // certificate
	reasonRevoked     = "revoked"     // certificate
	reasonCertificate = "certificate" // of another authority, or not for clients
	reasonUnknown     = "not_allowed" // certificate that is none of those that may log in
	reasonCipher      = "cipher"      // none in common
	reasonTLS         = "tls"         // any other failure of TLS: version, no certificate, garbage
	reasonTimeout     = "timeout"     // no end of the handshake within a minute
	reasonOther       = "login"       // any other refusal of a login
)

// Reasons returns all of them.
func Reasons() []string {
	return []string{reasonKey, reasonExpired, reasonRevoked, reasonCertificate, reasonUnknown, reasonCipher, reasonTLS, reasonTimeout, reasonOther}
}

// patterns are how OpenVPN 2.6 words it, behind who it is about; the first that matches
// counts. A group is the event's text.
var patterns = []struct {
	what   what
	reason string
	is     *regexp.Regexp
}{
	{ready, "", regexp.MustCompile(`^Initialization Sequence Completed`)},
	{begun, "", regexp.MustCompile(`^MULTI: primary virtual IP for \S+: (\S+)$`)},
	{ciphered, "", regexp.MustCompile(`^Data Channel: cipher '([^']+)'`)},
	{taken, "", regexp.MustCompile(`^MULTI: new connection by client '([^']*)' will cause previous active sessions`)},
	{over, "", regexp.MustCompile(`^(?:SIG\w+)\[\w+,([^\]]*)\] received, client-instance (?:exiting|restarting)`)},
	{goodbye, "", regexp.MustCompile(`^CC-EEN exit message received by peer`)},
	{refusal, "", regexp.MustCompile(`^MULTI: new incoming connection would exceed maximum number of clients`)},
	{failed, reasonKey, regexp.MustCompile(`^TLS Error: tls-crypt unwrapping failed from`)},
	{failed, reasonKey, regexp.MustCompile(`^TLS Error: could not determine wrapping from`)},
	{reason, reasonExpired, regexp.MustCompile(`^VERIFY ERROR: .*error=certificate has expired`)},
	{reason, reasonRevoked, regexp.MustCompile(`^VERIFY CRL: .* is revoked`)},
	{reason, reasonCertificate, regexp.MustCompile(`^VERIFY (?:KU |EKU |X509NAME |nsCertType )?ERROR`)},
	{failed, reasonUnknown, regexp.MustCompile(`^TLS Auth Error: --client-config-dir authentication failed`)},
	{failed, reasonOther, regexp.MustCompile(`^TLS Auth Error: `)},
	{failed, reasonCipher, regexp.MustCompile(`^PUSH: No common cipher between server and client`)},
	{refusal, "", regexp.MustCompile(`^MULTI: no dynamic or static remote`)},
	{reason, reasonTimeout, regexp.MustCompile(`^TLS Error: TLS key negotiation failed to occur within`)},
	{failed, "", regexp.MustCompile(`^TLS Error: TLS handshake failed`)},
}

// who a line is about: a client's transport address, with its certificate's common name
// before it once that is known.
var who = regexp.MustCompile(`^(?:([^\s/]+)/)?((?:udp\d?:|tcp\d?(?:-server)?:)?\d+\.\d+\.\d+\.\d+:\d+) `)

// inText is where such an address is in the text itself.
var inText = regexp.MustCompile(`\[AF_INET\](\d+\.\d+\.\d+\.\d+:\d+)`)

// read finds out what a line tells.
func read(l logLine) event {
	var e event
	text := l.text
	if m := who.FindStringSubmatch(text); m != nil {
		e.name = m[1]
		e.remote, _ = parseRemote(m[2])
		text = text[len(m[0]):]
	}
	if l.flags&fatal != 0 || strings.HasPrefix(text, "Options error: ") {
		e.what, e.text = why, text
		return e
	}
	for i := range patterns {
		m := patterns[i].is.FindStringSubmatch(text)
		if m == nil {
			continue
		}
		e.what, e.text = patterns[i].what, patterns[i].reason
		if len(m) > 1 {
			e.text = m[1]
		}
		if a := inText.FindStringSubmatch(text); a != nil && !e.remote.IsValid() {
			e.remote, _ = parseRemote(a[1])
		}
		return e
	}
	return e
}
