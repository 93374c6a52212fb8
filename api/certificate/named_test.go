package certificate

import (
	"bytes"
	"crypto/x509"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestNamed: however a renewed certificate comes into its place, clients get it, and
// until both files are there, the one from before.
func TestNamed(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	authority, err := newAuthority(now)
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	chain, key := filepath.Join(dir, "fullchain.pem"), filepath.Join(dir, "privkey.pem")
	issue := func() (*x509.Certificate, []byte, []byte) {
		p, err := newServer(authority, []string{"gateway.example.org"}, now)
		if err != nil {
			t.Fatal(err)
		}
		text, err := encodeKey(p.key)
		if err != nil {
			t.Fatal(err)
		}
		return p.leaf, encodeChain(p), text
	}
	put := func(path string, text []byte) {
		if err := os.WriteFile(path, text, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	var log bytes.Buffer
	c := NamedConfig{Chain: chain, Key: key, Now: func() time.Time { return now }, Log: slog.New(slog.NewTextHandler(&log, nil))}
	if _, err := OpenNamed(c); err == nil || !strings.Contains(err.Error(), chain) {
		t.Errorf("without files: %v", err)
	}
	serving, chainText, keyText := issue()
	put(chain, chainText)
	put(key, keyText)
	n, err := OpenNamed(c)
	if err != nil {
		t.Fatal(err)
	}
	check := func(what string, want *x509.Certificate, logged string) {
		t.Helper()
		log.Reset()
		now = now.Add(lookEvery)
		for range 2 { // the second of the same minute: it says nothing more
			got, err := n.Certificate(nil)
			if err != nil || !got.Leaf.Equal(want) {
				t.Errorf("%s: another certificate, or %v", what, err)
			}
		}
		lines := strings.Count(log.String(), "\n")
		if logged == "" && lines > 0 || logged != "" && (lines != 1 || !strings.Contains(log.String(), logged)) {
			t.Errorf("%s: the log has %q, want %q", what, log.String(), logged)
		}
	}
	check("nothing new", serving, "")

	const unusable, replaced = "cannot be used", "was replaced"
	for _, way := range []struct {
		name  string
		place func(path string, text []byte)
	}{
		{"written in place", put},
		{"renamed", func(path string, text []byte) {
			put(path+".new", text)
			if err := os.Rename(path+".new", path); err != nil {
				t.Fatal(err)
			}
		}},
		{"a link led elsewhere", func(path string, text []byte) {
			other := filepath.Join(t.TempDir(), "archived.pem")
			put(other, text)
			if err := os.Remove(path); err != nil {
				t.Fatal(err)
			}
			if err := os.Symlink(other, path); err != nil {
				t.Fatal(err)
			}
		}},
		{"of the same age and size", func(path string, text []byte) {
			age := now.Add(-time.Hour)
			put(path, text)
			if err := os.Chtimes(path, age, age); err != nil {
				t.Fatal(err)
			}
		}},
	} {
		for _, first := range []string{chain, key} {
			renewed, chainText, keyText := issue()
			texts := map[string][]byte{chain: chainText, key: keyText}
			way.place(first, texts[first])
			check(way.name+", one file", serving, unusable)
			for path, text := range texts {
				if path != first {
					way.place(path, text)
				}
			}
			check(way.name, renewed, replaced)
			serving = renewed
		}
	}
	good := keyText
	put(key, good[:len(good)/2])
	check("cut short", serving, unusable)
	if err := os.Remove(key); err != nil {
		t.Fatal(err)
	}
	check("gone", serving, unusable)
}
