// Package seal encrypts secrets at rest: of access keys and of VPN connections.
package seal

import (
	"crypto/aes"
	"crypto/cipher"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// File is the name of the key file in the data directory. Whoever has it
// and the store has the secrets: it is readable by its owner only, and belongs
// in a backup of its own.
const File = "seal.key"

// keySize is in bytes: AES-256.
const keySize = 32

// Sealer encrypts secrets at rest, with AES-256-GCM. Its methods may be called
// concurrently. A sealed secret is the
// nonce and the ciphertext; it opens only under the name that it was sealed
// for, so that records cannot be exchanged in the store.
type Sealer struct {
	aead   cipher.AEAD
	random io.Reader
}

// Open returns the sealer with the key of File in a directory. The file is made
// if it is missing and mayCreate is set, which the caller does while there is no
// sealed secret yet; else a missing one, and in any case one that is
// readable by others, is an error. random is crypto/rand.Reader outside tests.
func Open(dir string, mayCreate bool, random io.Reader) (*Sealer, error) {
	key, err := readKey(filepath.Join(dir, File), mayCreate, random)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, fmt.Errorf("key for sealing secrets: %w", err)
	}
	aead, err := cipher.NewGCM(block)
	if err != nil {
		return nil, fmt.Errorf("key for sealing secrets: %w", err)
	}
	return &Sealer{aead: aead, random: random}, nil
}

// Seal encrypts the secret of name.
func (s *Sealer) Seal(name string, secret []byte) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize(), s.aead.NonceSize()+len(secret)+s.aead.Overhead())
	if _, err := io.ReadFull(s.random, nonce); err != nil {
		return nil, fmt.Errorf("seal the secret of %s: %w", name, err)
	}
	return s.aead.Seal(nonce, nonce, secret, []byte(name)), nil
}

// Open decrypts what was sealed for name.
func (s *Sealer) Open(name string, sealed []byte) ([]byte, error) {
	n := s.aead.NonceSize()
	if len(sealed) < n {
		return nil, fmt.Errorf("sealed secret of %s: %d bytes are too few", name, len(sealed))
	}
	secret, err := s.aead.Open(nil, sealed[:n], sealed[n:], []byte(name))
	if err != nil {
		return nil, fmt.Errorf("sealed secret of %s does not open with the key of %s: %w", name, File, err)
	}
	return secret, nil
}

// readKey reads the key file, or makes it if mayCreate.
func readKey(path string, mayCreate bool, random io.Reader) ([]byte, error) {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist) && mayCreate:
		return createKey(path, random)
	case errors.Is(err, fs.ErrNotExist):
		return nil, fmt.Errorf("key file %s is missing, and the store holds secrets that only it opens: restore it from a backup, or start with an empty data directory", path)
	case err != nil:
		return nil, fmt.Errorf("key file: %w", err)
	case !info.Mode().IsRegular():
		return nil, fmt.Errorf("key file %s is not a regular file", path)
	case info.Mode().Perm()&0o077 != 0:
		return nil, fmt.Errorf("key file %s has mode %04o: others than its owner may not have access, make it 0600", path, info.Mode().Perm())
	case info.Size() != keySize:
		return nil, fmt.Errorf("key file %s has %d bytes, not %d: restore it from a backup", path, info.Size(), keySize)
	}
	key, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("key file: %w", err)
	}
	if len(key) != keySize {
		return nil, fmt.Errorf("key file %s has %d bytes, not %d: restore it from a backup", path, len(key), keySize)
	}
	return key, nil
}

// createKey puts a fresh key on disk before anyone uses it: written and
// synced under another name first, so that a crash leaves no half a key.
func createKey(path string, random io.Reader) ([]byte, error) {
	key := make([]byte, keySize)
	if _, err := io.ReadFull(random, key); err != nil {
		return nil, fmt.Errorf("make key file %s: %w", path, err)
	}
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, File+".*") // mode 0600
	if err != nil {
		return nil, fmt.Errorf("make key file %s: %w", path, err)
	}
	defer os.Remove(f.Name()) // in vain once it has been renamed
	_, err = f.Write(key)
	if err == nil {
		err = f.Sync()
	}
	if closed := f.Close(); err == nil {
		err = closed
	}
	if err == nil {
		err = os.Rename(f.Name(), path)
	}
	if err == nil {
		err = syncDirectory(dir)
	}
	if err != nil {
		return nil, fmt.Errorf("make key file %s: %w", path, err)
	}
	return key, nil
}

func syncDirectory(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
