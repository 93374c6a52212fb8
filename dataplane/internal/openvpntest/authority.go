package openvpntest

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"strings"
	"testing"
	"time"

	"sluice/dataplane"
)

// Authority is a server's own, with the server's certificate and tls-crypt key.
type Authority struct {
	t    testing.TB
	key  *ecdsa.PrivateKey
	cert *x509.Certificate

	CA, Certificate string // PEM
	Key, TLSCrypt   string
	serial          int64
}

// Pair is a client's certificate and key.
type Pair struct {
	ID               string
	Serial           dataplane.SSLSerial
	Expires          time.Time
	Certificate, Key string // PEM
}

// NewAuthority makes one.
func NewAuthority(t testing.TB) *Authority {
	t.Helper()
	a := &Authority{t: t, serial: 1, key: newKey(t)}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority"},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(24 * time.Hour),
		IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, a.key.Public(), a.key)
	if err != nil {
		t.Fatal(err)
	}
	if a.cert, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.CA = block("CERTIFICATE", der)
	server := a.issue("server", time.Now().Add(24*time.Hour), x509.ExtKeyUsageServerAuth)
	a.Certificate, a.Key = server.Certificate, server.Key
	a.TLSCrypt = StaticKey(t)
	return a
}

// Client issues a client's certificate, whose common name is id.
func (a *Authority) Client(id string) Pair {
	a.t.Helper()
	return a.issue(id, time.Now().Add(24*time.Hour), x509.ExtKeyUsageClientAuth)
}

// Expired issues one that has been valid until a minute ago.
func (a *Authority) Expired(id string) Pair {
	a.t.Helper()
	return a.issue(id, time.Now().Add(-time.Minute), x509.ExtKeyUsageClientAuth)
}

func (a *Authority) issue(name string, until time.Time, use x509.ExtKeyUsage) Pair {
	a.t.Helper()
	a.serial++
	// Longer than 64 bits, as serial numbers mostly are.
	serial := new(big.Int).Add(new(big.Int).Lsh(big.NewInt(1), 100), big.NewInt(a.serial))
	key := newKey(a.t)
	template := &x509.Certificate{
		SerialNumber: serial, Subject: pkix.Name{CommonName: name},
		NotBefore: time.Now().Add(-time.Hour), NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{use},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, a.cert, key.Public(), a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	return Pair{name, dataplane.SSLSerial(serial.String()), until, block("CERTIFICATE", der), block("PRIVATE KEY", private)}
}

// Put has a server use the authority, and let these clients in.
func (a *Authority) Put(s *dataplane.SSLServer, clients ...Pair) {
	s.CA, s.Certificate, s.Key, s.TLSCrypt = a.CA, a.Certificate, dataplane.Secret(a.Key), dataplane.Secret(a.TLSCrypt)
	s.Certificates = nil
	for _, c := range clients {
		s.Certificates = append(s.Certificates, dataplane.SSLCertificate{ID: c.ID, Serial: c.Serial, Expires: c.Expires})
	}
}

// StaticKey makes a key for tls-crypt.
func StaticKey(t testing.TB) string {
	t.Helper()
	raw := make([]byte, 256)
	if _, err := rand.Read(raw); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString("-----BEGIN OpenVPN Static key V1-----\n")
	for i := 0; i < len(raw); i += 16 {
		b.WriteString(hex.EncodeToString(raw[i:i+16]) + "\n")
	}
	b.WriteString("-----END OpenVPN Static key V1-----\n")
	return b.String()
}

func newKey(t testing.TB) *ecdsa.PrivateKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return key
}

func block(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
