package pki

import (
	"bytes"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"regexp"
	"testing"
	"time"
)

var now = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func newServer(t *testing.T, id string) *Server {
	t.Helper()
	s, err := NewServer(rand.Reader, now, id)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func leaf(t *testing.T, certificate string) *x509.Certificate {
	t.Helper()
	block, rest := pem.Decode([]byte(certificate))
	if block == nil || len(rest) > 0 {
		t.Fatalf("%q is not one PEM block", certificate)
	}
	c, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// accepts says whether a certificate is one of an authority, for a use, at a time.
func accepts(t *testing.T, authority, certificate string, use x509.ExtKeyUsage, at time.Time) bool {
	t.Helper()
	roots := x509.NewCertPool()
	roots.AddCert(leaf(t, authority))
	_, err := leaf(t, certificate).Verify(x509.VerifyOptions{Roots: roots, KeyUsages: []x509.ExtKeyUsage{use}, CurrentTime: at})
	return err == nil
}

func TestServerAndClient(t *testing.T) {
	s, other := newServer(t, "vss-1"), newServer(t, "vss-2")
	c, err := s.Authority.NewClient(rand.Reader, now.AddDate(1, 0, 0), "vsc-1")
	if err != nil {
		t.Fatal(err)
	}
	later := now.AddDate(1, 0, 1)
	for name, ok := range map[string]bool{
		"the server is one":              accepts(t, s.Authority.Certificate, s.Own.Certificate, x509.ExtKeyUsageServerAuth, later),
		"the client is one":              accepts(t, s.Authority.Certificate, c.Certificate, x509.ExtKeyUsageClientAuth, later),
		"the client is no server":        !accepts(t, s.Authority.Certificate, c.Certificate, x509.ExtKeyUsageServerAuth, later),
		"the server is no client":        !accepts(t, s.Authority.Certificate, s.Own.Certificate, x509.ExtKeyUsageClientAuth, later),
		"it is none of another server's": !accepts(t, other.Authority.Certificate, c.Certificate, x509.ExtKeyUsageClientAuth, later),
		"valid with a clock behind":      accepts(t, s.Authority.Certificate, s.Own.Certificate, x509.ExtKeyUsageServerAuth, now.Add(-59*time.Minute)),
		"the client ends":                !accepts(t, s.Authority.Certificate, c.Certificate, x509.ExtKeyUsageClientAuth, c.Expires.Add(time.Second)),
	} {
		if !ok {
			t.Errorf("not true: %s", name)
		}
	}
	if !c.Expires.Equal(now.AddDate(4, 0, 0)) || !s.Own.Expires.Equal(now.AddDate(10, 0, 0)) || !s.Authority.Expires.Equal(s.Own.Expires) {
		t.Errorf("ends: client %s, server %s, authority %s", c.Expires, s.Own.Expires, s.Authority.Expires)
	}
	if name := leaf(t, c.Certificate).Subject.CommonName; name != "vsc-1" {
		t.Errorf("the client's common name is %q", name)
	}
	if name := leaf(t, s.Own.Certificate).Subject.CommonName; name != "vss-1" {
		t.Errorf("the server's common name is %q", name)
	}
	for _, p := range []Pair{s.Authority, s.Own, *c} {
		if _, err := tls.X509KeyPair([]byte(p.Certificate), p.Key); err != nil {
			t.Error(err)
		}
		if !regexp.MustCompile(`^[1-9][0-9]{38}$`).MatchString(string(p.Serial)) || leaf(t, p.Certificate).SerialNumber.String() != string(p.Serial) {
			t.Errorf("serial number %s", p.Serial)
		}
	}
	if c.Serial == s.Own.Serial || s.Own.Serial == s.Authority.Serial {
		t.Error("one serial number twice")
	}
}

// A client's certificate ends with its authority, and an authority that has ended makes none.
func TestAuthorityEnds(t *testing.T) {
	s := newServer(t, "vss-1")
	c, err := s.Authority.NewClient(rand.Reader, now.AddDate(9, 0, 0), "vsc-1")
	if err != nil || !c.Expires.Equal(s.Authority.Expires) {
		t.Errorf("%+v, %v", c, err)
	}
	if _, err := s.Authority.NewClient(rand.Reader, now.AddDate(10, 0, 0), "vsc-2"); !errors.Is(err, ErrExpired) {
		t.Errorf("of an authority that has ended: %v", err)
	}
	broken := Pair{Certificate: s.Authority.Certificate, Key: []byte("secret")}
	if _, err := broken.NewClient(rand.Reader, now, "vsc-3"); err == nil || bytes.Contains([]byte(err.Error()), []byte("secret")) {
		t.Errorf("with a key that is none: %v", err)
	}
}

func TestStaticKey(t *testing.T) {
	a, b := newServer(t, "vss-1").TLSCrypt, newServer(t, "vss-1").TLSCrypt
	form := regexp.MustCompile(`^#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n([0-9a-f]{32}\n){16}-----END OpenVPN Static key V1-----\n$`)
	if !form.Match(a) || bytes.Equal(a, b) {
		t.Errorf("%s", a)
	}
}
