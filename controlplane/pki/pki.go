// Package pki issues certificates of private authorities, with ECDSA keys over P-256. Of SSL-VPN
// servers and their clients it knows what is in them: for each server an authority of its own,
// whose certificates nobody else accepts.
//
// Those certificates begin an hour early, since clients' clocks may be behind. They are in PEM,
// keys in PKCS #8; what is private is for the caller to seal.
package pki

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"strings"
	"time"

	"sluice/dataplane"
)

// How long certificates are valid. A server's lives as long as its authority: clients are
// told of both once.
const (
	AuthorityYears = 10
	ClientYears    = 3 // as the documents' certificates

	skew = time.Hour // by which clients' clocks may be behind
)

// Pair is a certificate and its private key, in PEM.
type Pair struct {
	Certificate string
	Key         []byte
	Serial      dataplane.SSLSerial
	Expires     time.Time
}

// Server is what an SSL-VPN server has: its authority, its own certificate, and the key of
// its control channel.
type Server struct {
	Authority, Own Pair
	TLSCrypt       []byte // OpenVPN static key, as a file holds it
}

// NewServer makes what an SSL-VPN server of that id needs. The id is its certificate's common
// name; random is crypto/rand.Reader outside tests.
func NewServer(random io.Reader, now time.Time, id string) (*Server, error) {
	from, until := now.Add(-skew), now.AddDate(AuthorityYears, 0, 0)
	authority, err := issue(random, nil, nil, x509.Certificate{
		Subject: pkix.Name{CommonName: id + " authority"}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLenZero: true,
	})
	if err != nil {
		return nil, fmt.Errorf("make the authority of %s: %w", id, err)
	}
	s := &Server{Authority: *authority}
	leaf, key, err := s.Authority.parse()
	if err != nil {
		return nil, err
	}
	own, err := issue(random, leaf, key, end(id, from, until, x509.ExtKeyUsageServerAuth))
	if err != nil {
		return nil, fmt.Errorf("make the certificate of %s: %w", id, err)
	}
	s.Own = *own
	if s.TLSCrypt, err = staticKey(random); err != nil {
		return nil, err
	}
	return s, nil
}

// ErrExpired is what an error wraps where an authority has expired, or does within the hour.
var ErrExpired = errors.New("the authority has expired")

// NewClient makes the certificate of a client of that id, which is its common name, valid for
// ClientYears, but not longer than the authority.
func (a *Pair) NewClient(random io.Reader, now time.Time, id string) (*Pair, error) {
	leaf, key, err := a.parse()
	if err != nil {
		return nil, err
	}
	until := now.AddDate(ClientYears, 0, 0)
	if until.After(leaf.NotAfter) {
		until = leaf.NotAfter
	}
	if !now.Add(skew).Before(until) {
		return nil, fmt.Errorf("make the certificate of %s: %w on %s", id, ErrExpired, leaf.NotAfter.UTC().Format(time.DateOnly))
	}
	from := now.Add(-skew)
	if from.Before(leaf.NotBefore) {
		from = leaf.NotBefore
	}
	c, err := issue(random, leaf, key, end(id, from, until, x509.ExtKeyUsageClientAuth))
	if err != nil {
		return nil, fmt.Errorf("make the certificate of %s: %w", id, err)
	}
	return c, nil
}

// end describes the certificate of one end of a connection.
func end(id string, from, until time.Time, usage x509.ExtKeyUsage) x509.Certificate {
	return x509.Certificate{
		Subject: pkix.Name{CommonName: id}, NotBefore: from, NotAfter: until,
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{usage}, BasicConstraintsValid: true,
	}
}

// Issue makes a key and the certificate for it that a template describes, signed by an
// authority or, where that is nil, by itself. The serial number is drawn; random is
// crypto/rand.Reader outside tests.
func Issue(random io.Reader, authority *x509.Certificate, by *ecdsa.PrivateKey, template x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), random)
	if err != nil {
		return nil, nil, err
	}
	if template.SerialNumber, err = serial(random); err != nil {
		return nil, nil, err
	}
	if authority == nil {
		authority, by = &template, key
	}
	der, err := x509.CreateCertificate(random, &template, authority, key.Public(), by)
	if err != nil {
		return nil, nil, err
	}
	leaf, err := x509.ParseCertificate(der)
	return leaf, key, err
}

// issue makes a pair.
func issue(random io.Reader, authority *x509.Certificate, by *ecdsa.PrivateKey, template x509.Certificate) (*Pair, error) {
	leaf, key, err := Issue(random, authority, by, template)
	if err != nil {
		return nil, err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return &Pair{
		Certificate: string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: leaf.Raw})),
		Key:         pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}),
		Serial:      dataplane.SSLSerial(leaf.SerialNumber.String()),
		Expires:     leaf.NotAfter,
	}, nil
}

// serial draws a serial number of 128 bits, of which the first is set, so that all are of one
// length.
func serial(random io.Reader) (*big.Int, error) {
	var b [16]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return nil, fmt.Errorf("draw a serial number: %w", err)
	}
	b[0] |= 0x80
	return new(big.Int).SetBytes(b[:]), nil
}

// parse reads an authority. Errors tell nothing of the key.
func (a *Pair) parse() (*x509.Certificate, *ecdsa.PrivateKey, error) {
	block, _ := pem.Decode([]byte(a.Certificate))
	if block == nil {
		return nil, nil, errors.New("the authority's certificate is no PEM")
	}
	leaf, err := x509.ParseCertificate(block.Bytes)
	if err != nil {
		return nil, nil, fmt.Errorf("the authority's certificate: %w", err)
	}
	if block, _ = pem.Decode(a.Key); block == nil {
		return nil, nil, errors.New("the authority's key is no PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	key, ok := parsed.(*ecdsa.PrivateKey)
	if err != nil || !ok {
		return nil, nil, errors.New("the authority's key is not of the kind that is made here")
	}
	return leaf, key, nil
}

// staticKeySize is in bytes: four keys of 64, of which tls-crypt uses parts.
const staticKeySize = 256

// staticKey makes an OpenVPN static key, in the form of its key files.
func staticKey(random io.Reader) ([]byte, error) {
	key := make([]byte, staticKeySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("draw the key of a control channel: %w", err)
	}
	var b strings.Builder
	b.WriteString("#\n# 2048 bit OpenVPN static key\n#\n-----BEGIN OpenVPN Static key V1-----\n")
	for line := key; len(line) > 0; line = line[16:] {
		b.WriteString(hex.EncodeToString(line[:16]) + "\n")
	}
	b.WriteString("-----END OpenVPN Static key V1-----\n")
	return []byte(b.String()), nil
}
