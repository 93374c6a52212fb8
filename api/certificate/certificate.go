package certificate

import (
	"crypto/ecdsa"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sluice/controlplane/pki"
)

// How long certificates are valid, and how long before their end they are made anew.
const (
	authorityLife  = 10 * 365 * 24 * time.Hour
	authorityRenew = 180 * 24 * time.Hour
	serverLife     = 90 * 24 * time.Hour
	serverRenew    = 30 * 24 * time.Hour
	skew           = time.Hour // by which clients' clocks may be behind
	lookEvery      = time.Minute
)

// Config is what a Server needs.
type Config struct {
	Dir string // of the files; made with mode 0700
	// Names returns the names and addresses that clients reach the server by: at
	// least one. It is asked again from time to time.
	Names func() ([]string, error)
	Now   func() time.Time // nil: time.Now
	Log   *slog.Logger
}

// Server has the certificate of a server, and keeps it valid. It is safe for concurrent
// use.
type Server struct {
	Config

	mu        sync.Mutex
	authority *pair
	server    *pair
	looked    time.Time
}

// pair is a certificate and its key.
type pair struct {
	leaf *x509.Certificate
	key  *ecdsa.PrivateKey
	tls  tls.Certificate
}

// Open reads the certificates, and makes those that are missing. The error says which
// file cannot be used and what to do.
func Open(c Config) (*Server, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	s := &Server{Config: c}
	if err := s.look(); err != nil {
		return nil, fmt.Errorf("certificates in %s: %w", c.Dir, err)
	}
	return s, nil
}

// AuthorityFile is the path of the authority's certificate, in PEM.
func (s *Server) AuthorityFile() string { return filepath.Join(s.Dir, authorityFile) }

// Certificate returns the server's certificate with that of the authority behind it. It
// is what tls.Config.GetCertificate wants, and goes by no name that a client asks for.
func (s *Server) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if now := s.Now(); now.Sub(s.looked).Abs() >= lookEvery {
		s.looked = now // also after an error: the old certificate may serve for a while
		if err := s.look(); err != nil {
			s.Log.Error("the certificate cannot be made anew", "dir", s.Dir, "error", err)
		}
	}
	return &s.server.tls, nil
}

// look reads or makes what is not there or does not do any more.
func (s *Server) look() error {
	s.looked = s.Now()
	names, err := s.Names()
	if err != nil {
		return err
	}
	if len(names) == 0 {
		return errors.New("the server has no name")
	}
	if s.authority == nil {
		if s.authority, err = readAuthority(s.Dir); err != nil {
			return err
		}
	}
	if s.authority == nil || !stands(s.authority, s.looked) {
		if err := s.replaceAuthority(); err != nil {
			return err
		}
	}
	if s.server == nil {
		s.server = readServer(s.Dir) // one that cannot be read is made anew: nobody has to be told
	}
	if s.server != nil && s.serves(s.server, names) {
		return nil
	}
	made, err := newServer(s.authority, names, s.looked)
	if err == nil {
		err = writeServer(s.Dir, made)
	}
	if err != nil {
		return err
	}
	s.server = made
	s.Log.Info("the server's certificate was made", "names", names, "until", made.leaf.NotAfter)
	return nil
}

// stands says whether an authority has begun, and is not near its end.
func stands(authority *pair, now time.Time) bool {
	return !now.Before(authority.leaf.NotBefore) && !now.After(authority.leaf.NotAfter.Add(-authorityRenew))
}

// replaceAuthority takes another authority: one of before that stands now, or a new one.
// The one that there was is kept, as it may be the clock that is wrong: with the right one
// clients can go on to trust what they have been told to.
func (s *Server) replaceAuthority() error {
	had := s.authority
	var next *pair
	if had != nil {
		if err := keepAuthority(s.Dir, had); err != nil {
			return err
		}
		next = keptAuthority(s.Dir, s.looked)
	}
	again := next != nil
	if !again {
		var err error
		if next, err = newAuthority(s.looked); err != nil {
			return err
		}
	}
	if err := writeAuthority(s.Dir, next); err != nil {
		return err
	}
	s.authority, s.server = next, nil
	file := s.AuthorityFile()
	switch {
	case had == nil:
		s.Log.Info("an authority of certificates was made", "file", file)
	case again:
		s.Log.Warn("by this clock an authority of certificates from before is valid, and the one that there was is not: it is put back", "file", file, "from", next.leaf.NotBefore, "was_from", had.leaf.NotBefore)
	case s.looked.Before(had.leaf.NotBefore):
		s.Log.Warn("the authority of the certificates is not valid yet, as the clock was ahead when it was made, or is behind now; another was made: clients have to be told to trust it, unless it is the clock that has to be set", "file", file, "was_from", had.leaf.NotBefore)
	default:
		s.Log.Warn("the authority of the certificates nears its end and was made anew: clients have to be told to trust it, unless it is the clock that has to be set", "file", file, "was_until", had.leaf.NotAfter)
	}
	return nil
}

// serves says whether a certificate is of the authority, for just these names, and valid
// for long enough.
func (s *Server) serves(p *pair, names []string) bool {
	end := p.leaf.NotAfter
	renew := end.Add(-serverRenew)
	if end.Equal(s.authority.leaf.NotAfter) {
		renew = end // it cannot be made to last longer
	}
	early := s.looked.Before(p.leaf.NotBefore) && p.leaf.NotBefore.After(s.authority.leaf.NotBefore)
	return p.leaf.CheckSignatureFrom(s.authority.leaf) == nil && s.looked.Before(renew) && !early &&
		slices.Equal(namesOf(p.leaf), slices.Sorted(slices.Values(names)))
}

// namesOf returns the names and addresses of a certificate, sorted.
func namesOf(c *x509.Certificate) []string {
	names := slices.Clone(c.DNSNames)
	for _, ip := range c.IPAddresses {
		if a, ok := netip.AddrFromSlice(ip); ok {
			names = append(names, a.Unmap().String())
		}
	}
	slices.Sort(names)
	return names
}

func newAuthority(now time.Time) (*pair, error) {
	id := make([]byte, 4)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	return issue(nil, &x509.Certificate{
		// Several of them in a list can be told apart.
		Subject:               pkix.Name{CommonName: "Sluice CA " + hex.EncodeToString(id)},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(authorityLife),
		IsCA:                  true,
		BasicConstraintsValid: true,
		MaxPathLenZero:        true, // it vouches for servers alone
		KeyUsage:              x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	})
}

func newServer(authority *pair, names []string, now time.Time) (*pair, error) {
	c := &x509.Certificate{
		Subject:               pkix.Name{CommonName: "sluiced"},
		NotBefore:             now.Add(-skew),
		NotAfter:              now.Add(serverLife),
		BasicConstraintsValid: true,
		KeyUsage:              x509.KeyUsageDigitalSignature,
		ExtKeyUsage:           []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if c.NotBefore.Before(authority.leaf.NotBefore) {
		c.NotBefore = authority.leaf.NotBefore
	}
	if c.NotAfter.After(authority.leaf.NotAfter) {
		c.NotAfter = authority.leaf.NotAfter
	}
	for _, name := range names {
		if a, err := netip.ParseAddr(name); err == nil {
			c.IPAddresses = append(c.IPAddresses, a.Unmap().AsSlice())
		} else {
			c.DNSNames = append(c.DNSNames, name)
		}
	}
	return issue(authority, c)
}

// issue makes a key and signs its certificate by an authority, or by itself.
func issue(by *pair, c *x509.Certificate) (*pair, error) {
	var authority pair
	if by != nil {
		authority = *by
	}
	leaf, key, err := pki.Issue(rand.Reader, authority.leaf, authority.key, *c)
	if err != nil {
		return nil, err
	}
	chain := [][]byte{leaf.Raw}
	if by != nil {
		chain = append(chain, by.leaf.Raw)
	}
	return newPair(chain, key)
}

// newPair puts a certificate, with those that vouch for it, and its key together.
func newPair(chain [][]byte, key *ecdsa.PrivateKey) (*pair, error) {
	leaf, err := x509.ParseCertificate(chain[0])
	if err != nil {
		return nil, err
	}
	if !key.PublicKey.Equal(leaf.PublicKey) {
		return nil, errors.New("the key is not that of the certificate")
	}
	return &pair{leaf: leaf, key: key, tls: tls.Certificate{Certificate: chain, PrivateKey: key, Leaf: leaf}}, nil
}
