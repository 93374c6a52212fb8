package openvpn

import (
	"errors"
	"fmt"
	"net/netip"
	"path/filepath"
	"slices"
	"strings"

	"go4.org/netipx"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// The files in a server's directory.
const (
	settingsFile   = "openvpn.conf"
	socketFile     = "management"
	logFile        = "openvpn.log"
	poolFile       = "pool"
	stateFile      = "state.json"
	rootDir        = "root" // OpenVPN's
	clientsDir     = "clients"
	revokedDir     = "revoked"
	tmpDir         = "tmp" // OpenVPN insists on one, and writes nothing there
	unprivileged   = "nobody"
	socketLimit    = 107 // how long the path of a Unix socket may be (unix(7))
	longestName    = 64  // of a certificate: X.520's bound of a common name
	smallestPool   = 29  // prefix length
	largestPool    = 16
	defaultCN      = "DEFAULT" // the file of clients that have none
	pingEvery      = 2         // s
	pingRestart    = 6         // s without a packet, until a client begins anew; the server waits twice as long
	mutedAfter     = 200       // messages of the same kind in a row
	outerPacket    = 1492      // bytes with all headers: as long as PPPoE lets through
	persistedEvery = 2         // s
	smallestLease  = 2         // addresses: OpenVPN refuses fewer
	spare          = 256       // connections beside those of clients who are logged in
)

// aead are the ciphers that clients of today negotiate, best first.
const aead = "AES-256-GCM:AES-128-GCM:CHACHA20-POLY1305"

// check says what of a server cannot be done.
func check(s *dataplane.SSLServer) error {
	switch {
	case s.Protocol != unix.IPPROTO_TCP && s.Protocol != unix.IPPROTO_UDP:
		return fmt.Errorf("protocol %d: must be %d (TCP) or %d (UDP)", s.Protocol, unix.IPPROTO_TCP, unix.IPPROTO_UDP)
	case s.Port == 0:
		return errors.New("port 0: must be 1 to 65535")
	case !s.Pool.IsValid() || !s.Pool.Addr().Is4() || s.Pool != s.Pool.Masked() || s.Pool.Bits() > smallestPool || s.Pool.Bits() < largestPool:
		return fmt.Errorf("pool %s: must be an IPv4 prefix of /%d to /%d", s.Pool, largestPool, smallestPool)
	case s.Clients < 1:
		return fmt.Errorf("%d clients: must be 1 or more", s.Clients)
	case !slices.Contains(dataplane.SSLCiphers(), s.Cipher):
		return fmt.Errorf("cipher %q is not known", s.Cipher)
	}
	for name, text := range map[string]string{"CA": s.CA, "certificate": s.Certificate, "key": string(s.Key), "tls-crypt key": string(s.TLSCrypt)} {
		if strings.TrimSpace(text) == "" || strings.Contains(text, "</") {
			return fmt.Errorf("%s: is not PEM", name)
		}
	}
	for _, c := range s.Certificates {
		if !fileName(c.ID) || c.ID == defaultCN || len(c.ID) > longestName {
			return fmt.Errorf("certificate %q: must have 1 to %d letters, digits, hyphens, underscores and dots", c.ID, longestName)
		}
	}
	for _, serial := range s.Revoked {
		if strings.Trim(string(serial), "0123456789") != "" || serial == "" || len(serial) > 60 {
			return fmt.Errorf("serial number %q: must be decimal", serial)
		}
	}
	return nil
}

// fileName says whether a name can be a file's and a common name that OpenVPN leaves as it
// is.
func fileName(s string) bool {
	return s != "" && s[0] != '.' && !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("-_.", c)
	})
}

// limit returns how many clients a server can have at once: no more than its pool has
// addresses for.
func limit(s *dataplane.SSLServer) int {
	return min(s.Clients, int(number(netipx.PrefixLastIP(s.Pool))-number(s.Own()))-1)
}

// leased returns the first and the last address of the pool that clients may get: as many
// as clients may be connected, so that one too many gets none, whoever looks. It is not
// for max-clients to count them: that counts who is about to log in, too, so that whoever
// can reach the port could keep everybody out, and a client that comes back from elsewhere
// would have to wait until its session from before is over.
func leased(s *dataplane.SSLServer) (first, last netip.Addr) {
	first = s.Own().Next()
	b := first.As4()
	n := number(first) + uint32(max(limit(s), smallestLease)) - 1
	b[0], b[1], b[2], b[3] = byte(n>>24), byte(n>>16), byte(n>>8), byte(n)
	return first, netip.AddrFrom4(b)
}

// mostConnections returns how many connections there may be at once, logged in or not.
func mostConnections(s *dataplane.SSLServer) int {
	if limit(s) < smallestLease {
		return limit(s)
	}
	return limit(s) + spare
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return uint32(b[0])<<24 | uint32(b[1])<<16 | uint32(b[2])<<8 | uint32(b[3])
}

// settings returns the configuration file of a server with files in dir, that listens at
// an address. What changes in it needs a restart.
func settings(dir string, at netip.Addr, s *dataplane.SSLServer, group string) string {
	var b strings.Builder
	line := func(words ...string) {
		for i, w := range words {
			if i > 0 {
				b.WriteByte(' ')
			}
			b.WriteString(quote(w))
		}
		b.WriteByte('\n')
	}
	file := func(name string) string { return filepath.Join(dir, name) }
	number := func(n int) string { return fmt.Sprint(n) }

	b.WriteString("# Written by sluiced. What is changed here is lost.\n")
	// The log first: what is wrong with the rest shall be there.
	line("log-append", file(logFile))
	line("machine-readable-output")
	line("verb", "3")
	line("mute", number(mutedAfter))
	line("mode", "server")
	line("tls-server")
	line("local", at.String())
	line("port", number(int(s.Port)))
	if s.Protocol == unix.IPPROTO_TCP {
		line("proto", "tcp4-server")
		line("socket-flags", "TCP_NODELAY")
		line("push", "socket-flags TCP_NODELAY")
	} else {
		line("proto", "udp4")
		line("explicit-exit-notify", "1")
		// Packets that are longer than a path takes are cut on the way. Linux would forbid that, and
		// lose them where nobody tells it, or is let through to tell.
		line("mtu-disc", "no")
	}
	line("dev", s.Link())
	line("dev-type", "tun")
	line("disable-dco") // switched off by CBC anyhow, and not to be relied on before 2.7
	line("ifconfig-noexec")
	line("route-noexec")
	line("topology", "subnet")
	first, last := leased(s)
	line("server", s.Pool.Addr().String(), mask(s.Pool), "nopool")
	line("ifconfig-pool", first.String(), last.String(), mask(s.Pool))
	line("ifconfig-pool-persist", file(poolFile), number(persistedEvery))
	line("tun-mtu", number(s.MTU()))
	line("mssfix", number(outerPacket), "mtu")
	line("data-ciphers", aead+":"+string(s.Cipher))
	line("data-ciphers-fallback", string(s.Cipher))
	line("auth", "SHA256")
	line("compress", "migrate") // understands clients that would compress, and has them not do it
	line("dh", "none")
	line("tls-version-min", "1.2")
	line("remote-cert-tls", "client")
	line("verify-client-cert", "require")
	line("max-clients", number(mostConnections(s)))
	line("keepalive", number(pingEvery), number(pingRestart))
	line("persist-key")
	line("persist-tun")
	line("user", unprivileged)
	line("group", group)
	line("chroot", file(rootDir))
	line("tmp-dir", "/"+tmpDir)
	line("client-config-dir", "/"+clientsDir)
	line("ccd-exclusive")
	line("crl-verify", "/"+revokedDir, "dir")
	line("management", file(socketFile), "unix")
	for _, part := range []struct{ tag, text string }{{"ca", s.CA}, {"cert", s.Certificate}, {"key", string(s.Key)}, {"tls-crypt", string(s.TLSCrypt)}} {
		fmt.Fprintf(&b, "<%s>\n%s\n</%[1]s>\n", part.tag, strings.TrimSpace(part.text))
	}
	return b.String()
}

// clientFile returns what the server tells a client that logs in.
func clientFile(s *dataplane.SSLServer) string {
	var b strings.Builder
	for _, p := range s.Reach {
		fmt.Fprintf(&b, "push \"route %s %s\"\n", p.Addr(), mask(p))
	}
	return b.String()
}

func mask(p netip.Prefix) string {
	return netip.AddrFrom4([4]byte(netMask(p.Bits()))).String()
}

func netMask(bits int) []byte {
	n := ^uint32(0) << (32 - bits)
	if bits == 0 {
		n = 0
	}
	return []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n)}
}

// quote writes a word so that OpenVPN reads it as it is.
func quote(s string) string {
	if s != "" && !strings.ContainsAny(s, " \t\"'\\#;") {
		return s
	}
	return `"` + strings.NewReplacer(`\`, `\\`, `"`, `\"`).Replace(s) + `"`
}
