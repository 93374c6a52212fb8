package certificate

import (
	"crypto/ecdsa"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"
)

// Files of the directory. The keys are readable by their owner only.
const (
	authorityFile    = "ca.pem"
	authorityKeyFile = "ca.key"
	serverFile       = "server.pem" // key and certificates in one, so that they never differ

	keptDir = "former" // a directory for each authority that there was, with its two files
)

// PEM types.
const (
	certificateType = "CERTIFICATE"
	keyType         = "PRIVATE KEY"
)

// readAuthority returns nil if there is none.
func readAuthority(dir string) (*pair, error) {
	certificate, err := os.ReadFile(filepath.Join(dir, authorityFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil // also after a crash between the two files: nobody has been told of it
	}
	if err != nil {
		return nil, err
	}
	const what = "restore both %s and %s from a backup, or remove both for a new authority, which clients then have to be told to trust"
	path := filepath.Join(dir, authorityKeyFile)
	info, err := os.Stat(path)
	if err != nil {
		return nil, fmt.Errorf("%w: "+what, err, authorityFile, authorityKeyFile)
	}
	if info.Mode().Perm()&0o077 != 0 {
		return nil, fmt.Errorf("%s has mode %04o: others than its owner may not have access, make it 0600", path, info.Mode().Perm())
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	p, err := parse(append(key, certificate...))
	if err == nil && !p.leaf.IsCA {
		err = errors.New("its certificate is not that of an authority")
	}
	if err != nil {
		return nil, fmt.Errorf("the authority cannot be read: %w: "+what, err, authorityFile, authorityKeyFile)
	}
	return p, nil
}

// readServer returns nil if there is none that can be read.
func readServer(dir string) *pair {
	text, err := os.ReadFile(filepath.Join(dir, serverFile))
	if err != nil {
		return nil
	}
	p, err := parse(text)
	if err != nil {
		return nil
	}
	return p
}

// parse reads a key and certificates from PEM.
func parse(text []byte) (*pair, error) {
	var key *ecdsa.PrivateKey
	var chain [][]byte
	for {
		var b *pem.Block
		if b, text = pem.Decode(text); b == nil {
			break
		}
		switch b.Type {
		case certificateType:
			chain = append(chain, b.Bytes)
		case keyType:
			k, err := x509.ParsePKCS8PrivateKey(b.Bytes)
			if err != nil {
				return nil, err
			}
			key, _ = k.(*ecdsa.PrivateKey)
		}
	}
	if key == nil || len(chain) == 0 {
		return nil, errors.New("there is no key on an elliptic curve, or no certificate")
	}
	return newPair(chain, key)
}

// writeAuthority writes the key first: a certificate without one would be a mistake, a key
// without a certificate is taken for none.
func writeAuthority(dir string, p *pair) error {
	key, err := encodeKey(p.key)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	// One that is there already does not stay beside another's key.
	if err := os.Remove(filepath.Join(dir, authorityFile)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := write(dir, authorityKeyFile, key, 0o600); err != nil {
		return err
	}
	return write(dir, authorityFile, encodeChain(p), 0o644)
}

// keepAuthority keeps an authority that is about to be replaced.
func keepAuthority(dir string, p *pair) error {
	return writeAuthority(filepath.Join(dir, keptDir, p.leaf.NotBefore.UTC().Format("20060102T150405Z")), p)
}

// keptAuthority returns the one that begins first of those that were kept and stand now;
// nil if there is none. One that cannot be read is none.
func keptAuthority(dir string, now time.Time) *pair {
	entries, err := os.ReadDir(filepath.Join(dir, keptDir)) // by name, which is by their begin
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if p, err := readAuthority(filepath.Join(dir, keptDir, e.Name())); err == nil && p != nil && stands(p, now) {
			return p
		}
	}
	return nil
}

func writeServer(dir string, p *pair) error {
	key, err := encodeKey(p.key)
	if err != nil {
		return err
	}
	return write(dir, serverFile, append(key, encodeChain(p)...), 0o600)
}

func encodeKey(key *ecdsa.PrivateKey) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	return pem.EncodeToMemory(&pem.Block{Type: keyType, Bytes: der}), err
}

func encodeChain(p *pair) (text []byte) {
	for _, der := range p.tls.Certificate {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: certificateType, Bytes: der})...)
	}
	return text
}

// write replaces a file in one step: whoever reads it finds the old text or the new one,
// also after a crash.
func write(dir, name string, text []byte, mode fs.FileMode) error {
	f, err := os.CreateTemp(dir, name+".*") // with mode 0600
	if err != nil {
		return err
	}
	_, err = f.Write(text)
	err = errors.Join(err, f.Chmod(mode), f.Sync(), f.Close())
	if err == nil {
		err = os.Rename(f.Name(), filepath.Join(dir, name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(f.Name()))
	}
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}
