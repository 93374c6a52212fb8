package certificate

import (
	"bytes"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// world is a server whose clock and names the test sets.
type world struct {
	dir   string
	now   time.Time
	names []string
	log   bytes.Buffer
}

func newWorld(t *testing.T) *world {
	t.Helper()
	return &world{dir: filepath.Join(t.TempDir(), "tls"), now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), names: []string{"gateway.example.org", "192.0.2.1", "2001:db8::1"}}
}

func (w *world) config() Config {
	return Config{
		Dir: w.dir, Log: slog.New(slog.NewTextHandler(&w.log, nil)), Now: func() time.Time { return w.now },
		Names: func() ([]string, error) {
			if w.names == nil {
				return nil, errors.New("no names today")
			}
			return w.names, nil
		},
	}
}

func (w *world) open(t *testing.T) *Server {
	t.Helper()
	s, err := Open(w.config())
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// leaf returns the certificate that a client is shown.
func (w *world) leaf(t *testing.T, s *Server) *x509.Certificate {
	t.Helper()
	c, err := s.Certificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

func read(t *testing.T, path string) []byte {
	t.Helper()
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// handshake makes a connection as a client that trusts the authority's file.
func (w *world) handshake(t *testing.T, s *Server, name string) error {
	t.Helper()
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(read(t, s.AuthorityFile())) {
		t.Fatal("the authority's file holds no certificate")
	}
	client, server := net.Pipe()
	defer client.Close()
	defer server.Close()
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		// What is wrong with the certificate the client says.
		_ = tls.Server(server, &tls.Config{GetCertificate: s.Certificate}).Handshake()
		_, _ = io.Copy(io.Discard, server)
	}()
	err := tls.Client(client, &tls.Config{RootCAs: pool, ServerName: name, Time: func() time.Time { return w.now }}).Handshake()
	client.Close()
	<-ended
	return err
}

// TestClientsTrust: whoever trusts the authority's file reaches the server by each of its
// names, and by no other.
func TestClientsTrust(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	for _, name := range w.names {
		if err := w.handshake(t, s, name); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	for _, name := range []string{"example.org", "x.gateway.example.org", "192.0.2.2", "localhost"} {
		if err := w.handshake(t, s, name); err == nil {
			t.Errorf("%s is a name of the server", name)
		}
	}
	other := newWorld(t)
	if err := other.handshake(t, other.open(t), "192.0.2.1"); err != nil {
		t.Error(err)
	}
	s.Config.Dir = other.dir // a client that trusts the other's file
	if err := w.handshake(t, s, "192.0.2.1"); err == nil {
		t.Error("one authority vouches for what another has signed")
	}
}

// TestFiles: keys are for their owner alone, and everything is as it was when it is opened
// again.
func TestFiles(t *testing.T) {
	w := newWorld(t)
	first := w.leaf(t, w.open(t))
	for name, mode := range map[string]os.FileMode{authorityFile: 0o644, authorityKeyFile: 0o600, serverFile: 0o600} {
		info, err := os.Stat(filepath.Join(w.dir, name))
		if err != nil || info.Mode() != mode {
			t.Errorf("%s: %v, %v", name, info.Mode(), err)
		}
	}
	if info, err := os.Stat(w.dir); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the directory: %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(w.dir)
	if err != nil || len(entries) != 3 {
		t.Errorf("%v, %v", entries, err)
	}
	w.now = w.now.Add(59 * 24 * time.Hour)
	if again := w.leaf(t, w.open(t)); !again.Equal(first) {
		t.Error("opened again, it has another certificate")
	}
	authority := w.open(t).authority.leaf
	if !authority.IsCA || !authority.MaxPathLenZero || authority.NotAfter.Sub(authority.NotBefore) < 9*365*24*time.Hour {
		t.Errorf("authority %+v", authority)
	}
	if first.IsCA || first.KeyUsage != x509.KeyUsageDigitalSignature || !slices.Equal(first.ExtKeyUsage, []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}) {
		t.Errorf("server %+v", first)
	}
}

// TestMadeAnew: before its end, and for other names, while the server runs and when it is
// started; clients that trust the authority go on to.
func TestMadeAnew(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	authority := read(t, s.AuthorityFile())
	for _, c := range []struct {
		name   string
		change func()
	}{
		{"30 days before its end", func() { w.now = w.now.Add(61 * 24 * time.Hour) }},
		{"long after its end", func() { w.now = w.now.Add(200 * 24 * time.Hour) }},
		{"the clock was ahead", func() { w.now = w.now.Add(-150 * 24 * time.Hour) }},
		{"another name", func() { w.names, w.now = append(slices.Clone(w.names), "vpn.example.org"), w.now.Add(time.Minute) }},
		{"a name less", func() { w.names, w.now = w.names[1:], w.now.Add(time.Minute) }},
		{"the file cannot be read", func() { s.server = nil; damage(t, w.dir, serverFile); w.now = w.now.Add(time.Minute) }},
	} {
		before := w.leaf(t, s)
		c.change()
		after := w.leaf(t, s)
		if after.Equal(before) {
			t.Errorf("%s: it has the same certificate", c.name)
		}
		for _, n := range w.names {
			if err := w.handshake(t, s, n); err != nil {
				t.Errorf("%s: %s: %v", c.name, n, err)
			}
		}
		if again := w.leaf(t, w.open(t)); !again.Equal(after) {
			t.Errorf("%s: opened again, it has another one still", c.name)
		}
		if !bytes.Equal(read(t, s.AuthorityFile()), authority) {
			t.Fatalf("%s: the authority is another one", c.name)
		}
	}
}

func damage(t *testing.T, dir, name string) {
	t.Helper()
	if err := os.WriteFile(filepath.Join(dir, name), []byte("-----BEGIN CERTIFICATE-----\nxx\n-----END CERTIFICATE-----\n"), 0o600); err != nil {
		t.Fatal(err)
	}
}

// TestOldCertificateServes: what cannot be made anew does not take away what there is.
func TestOldCertificateServes(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	before := w.leaf(t, s)
	w.names, w.now = nil, w.now.Add(80*24*time.Hour)
	if !w.leaf(t, s).Equal(before) || !strings.Contains(w.log.String(), "no names today") {
		t.Errorf("the log says %s", w.log.String())
	}
	w.names, w.now = []string{"192.0.2.1"}, w.now.Add(time.Minute)
	if w.leaf(t, s).Equal(before) {
		t.Error("it is not made anew when it can be")
	}
}

// TestAuthorityEnds: near its end there is a new one, the log says so, and a certificate
// never outlives it.
func TestAuthorityEnds(t *testing.T) {
	w := newWorld(t)
	s := w.open(t)
	first := s.authority.leaf
	w.now = first.NotAfter.Add(-authorityRenew)
	if w.leaf(t, s); !s.authority.leaf.Equal(first) {
		t.Error("it was made anew too early")
	}
	w.now = w.now.Add(time.Minute)
	w.leaf(t, s)
	if s.authority.leaf.Equal(first) || !strings.Contains(w.log.String(), "level=WARN") {
		t.Errorf("it was not made anew, or not said: %s", w.log.String())
	}
	if err := w.handshake(t, s, w.names[0]); err != nil {
		t.Error(err)
	}
	if again := w.open(t); !again.authority.leaf.Equal(s.authority.leaf) || !w.leaf(t, again).Equal(w.leaf(t, s)) {
		t.Error("opened again, it has others")
	}
	made, err := newServer(s.authority, w.names, s.authority.leaf.NotAfter.Add(-24*time.Hour))
	if err != nil || made.leaf.NotAfter.After(s.authority.leaf.NotAfter) {
		t.Errorf("it outlives its authority: %v", err)
	}
	s.looked = s.authority.leaf.NotAfter.Add(-time.Hour)
	if !s.serves(made, w.names) {
		t.Error("what cannot be made to last longer does not serve")
	}
}

// TestClockIsWrong: whatever the clock was for a while, at the first start or later, with
// the right one clients trust the server: by the authority that they have been told of
// before, if there was one.
func TestClockIsWrong(t *testing.T) {
	right := newWorld(t).now
	for name, wrong := range map[string]time.Time{
		"since 1970":                right.AddDate(-56, 0, 0),
		"the zone's hours ahead":    right.Add(8 * time.Hour),
		"the zone's hours behind":   right.Add(-8 * time.Hour),
		"ahead by years":            right.AddDate(9, 9, 0),
		"ahead by 1,024 weeks":      right.AddDate(0, 0, 7*1024),
		"beyond an authority's end": right.AddDate(12, 0, 0),
	} {
		for _, restarted := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, restarted %v", name, restarted), func(t *testing.T) {
				w := newWorld(t)
				w.now = wrong // the first start
				s := w.open(t)
				at := func(now time.Time) {
					t.Helper()
					if w.now = now; restarted {
						s = w.open(t)
					}
					w.leaf(t, s) // of the first who calls
					if err := w.handshake(t, s, w.names[0]); err != nil {
						t.Errorf("at %v: %v", now, err)
					}
				}
				at(right)
				told := read(t, s.AuthorityFile())
				for _, now := range []time.Time{wrong.Add(time.Hour), right.Add(2 * time.Hour), wrong.Add(50 * time.Hour), right.Add(51 * time.Hour)} {
					at(now)
				}
				if !bytes.Equal(read(t, s.AuthorityFile()), told) {
					t.Error("clients have to be told of another authority")
				}
			})
		}
	}
}

// TestAuthorityIsRemoved: whoever removes it gets a new one, and none from before.
func TestAuthorityIsRemoved(t *testing.T) {
	w := newWorld(t)
	right := w.now
	w.open(t)
	w.now = right.AddDate(12, 0, 0)
	w.open(t)
	w.now = right
	first := w.open(t).authority.leaf
	if err := errors.Join(os.Remove(filepath.Join(w.dir, authorityFile)), os.Remove(filepath.Join(w.dir, authorityKeyFile))); err != nil {
		t.Fatal(err)
	}
	if w.open(t).authority.leaf.Equal(first) {
		t.Error("the one that was removed is there again")
	}
}

// TestUnusableAuthority: it is not replaced without being asked, as clients trust it.
func TestUnusableAuthority(t *testing.T) {
	for name, c := range map[string]struct {
		change func(dir string) error
		want   string // of the error; empty: a new one is made
	}{
		"no key":                 {func(dir string) error { return os.Remove(filepath.Join(dir, authorityKeyFile)) }, "restore both"},
		"a key that others read": {func(dir string) error { return os.Chmod(filepath.Join(dir, authorityKeyFile), 0o640) }, "make it 0600"},
		"a damaged key":          {func(dir string) error { return os.WriteFile(filepath.Join(dir, authorityKeyFile), []byte("x"), 0o600) }, "restore both"},
		"a damaged certificate":  {func(dir string) error { damage(t, dir, authorityFile); return nil }, "restore both"},
		"an empty certificate":   {func(dir string) error { return os.Truncate(filepath.Join(dir, authorityFile), 0) }, "restore both"},
		"another's key":          {func(dir string) error { return takeKey(t, dir) }, "the key is not that of the certificate"},
		"the server's in place":  {func(dir string) error { return takeServers(dir) }, "not that of an authority"},
		"no certificate":         {func(dir string) error { return os.Remove(filepath.Join(dir, authorityFile)) }, ""},
		"nothing but the server": {func(dir string) error {
			return errors.Join(os.Remove(filepath.Join(dir, authorityFile)), os.Remove(filepath.Join(dir, authorityKeyFile)))
		}, ""},
		"what a crash left there": {func(dir string) error { return os.WriteFile(filepath.Join(dir, authorityKeyFile+".123"), nil, 0o600) }, ""},
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			w.open(t)
			if err := c.change(w.dir); err != nil {
				t.Fatal(err)
			}
			s, err := Open(w.config())
			if c.want != "" {
				if err == nil || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), w.dir) {
					t.Errorf("%v; want %q", err, c.want)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if err := w.handshake(t, s, w.names[0]); err != nil {
				t.Error(err)
			}
		})
	}
}

// takeKey puts another authority's key in place.
func takeKey(t *testing.T, dir string) error {
	other := newWorld(t)
	other.open(t)
	return os.WriteFile(filepath.Join(dir, authorityKeyFile), read(t, filepath.Join(other.dir, authorityKeyFile)), 0o600)
}

// takeServers puts the server's key and certificate in the place of the authority's.
func takeServers(dir string) error {
	text, err := os.ReadFile(filepath.Join(dir, serverFile))
	return errors.Join(err, os.WriteFile(filepath.Join(dir, authorityKeyFile), text, 0o600), os.WriteFile(filepath.Join(dir, authorityFile), nil, 0o644))
}

func TestNames(t *testing.T) {
	for _, c := range []struct {
		listen string
		others []string
		want   []string
	}{
		{"127.0.0.1:8680", nil, []string{"127.0.0.1", "::1", "localhost"}},
		{"[::1]:0", nil, []string{"127.0.0.1", "::1", "localhost"}},
		{"localhost:1", []string{"Gateway.example.org"}, []string{"127.0.0.1", "::1", "gateway.example.org", "localhost"}},
		{"192.0.2.1:8680", []string{"192.0.2.1", "::ffff:192.0.2.2"}, []string{"192.0.2.1", "192.0.2.2"}},
		{"[2001:db8:0::1]:8680", nil, []string{"2001:db8::1"}},
		{"[fe80::1%eth0]:8680", nil, []string{"fe80::1"}},
		{"gw.example.org:8680", nil, []string{"gw.example.org"}},
	} {
		if got, err := Names(c.listen, c.others); err != nil || !slices.Equal(got, c.want) {
			t.Errorf("%s: %v, %v; want %v", c.listen, got, err, c.want)
		}
	}
	all, err := Names("[::]:8680", []string{"gw.example.org"})
	if err != nil {
		t.Fatal(err)
	}
	addresses, err := net.InterfaceAddrs()
	if err != nil {
		t.Fatal(err)
	}
	for _, a := range addresses {
		if ip := a.(*net.IPNet).IP; !ip.IsLinkLocalUnicast() && !slices.Contains(all, ip.String()) {
			t.Errorf("%s is not among %v", ip, all)
		}
	}
	for _, name := range []string{"localhost", "gw.example.org"} {
		if !slices.Contains(all, name) {
			t.Errorf("%s is not among %v", name, all)
		}
	}
	if slices.Contains(all, "::") {
		t.Errorf("%v", all)
	}
	if _, err := Names("nowhere", nil); err == nil {
		t.Error("an address without a port has names")
	}
}
