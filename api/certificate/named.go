package certificate

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// Named has the certificate of two files that somebody else writes and replaces. It is
// safe for concurrent use.
type Named struct {
	NamedConfig

	mu      sync.Mutex
	serving *tls.Certificate
	text    [2][]byte // of the files when they were looked at last
	looked  time.Time
}

// NamedConfig is what a Named needs.
type NamedConfig struct {
	Chain, Key string // PEM files: the chain, the server's certificate first, and its key
	Now        func() time.Time
	Log        *slog.Logger
}

// OpenNamed reads the files. The error says which cannot be used.
func OpenNamed(c NamedConfig) (*Named, error) {
	if c.Now == nil {
		c.Now = time.Now
	}
	n := &Named{NamedConfig: c, looked: c.Now()}
	if err := n.look(); err != nil {
		return nil, err
	}
	return n, nil
}

// Certificate returns what the files hold, as of the last minute. It is what
// tls.Config.GetCertificate wants, and goes by no name that a client asks for. While the
// files are no pair, since one has been replaced and the other not yet, the pair before
// serves.
func (n *Named) Certificate(*tls.ClientHelloInfo) (*tls.Certificate, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if now := n.Now(); now.Sub(n.looked).Abs() >= lookEvery {
		n.looked = now
		if err := n.look(); err != nil {
			n.Log.Error("the certificate's files cannot be used: the one from before serves", "certificate", n.Chain, "key", n.Key, "until", n.serving.Leaf.NotAfter, "error", err)
		}
	}
	return n.serving, nil
}

// look takes over what the files hold, if it is not what they held before. It goes by
// their content: they may be links that lead to other files from now on.
func (n *Named) look() error {
	var text [2][]byte
	var err error
	for i, path := range []string{n.Chain, n.Key} {
		if text[i], err = os.ReadFile(path); err != nil {
			return err
		}
	}
	if n.serving != nil && bytes.Equal(text[0], n.text[0]) && bytes.Equal(text[1], n.text[1]) {
		return nil
	}
	pair, err := tls.X509KeyPair(text[0], text[1])
	if err != nil {
		return fmt.Errorf("%s and %s: %w", n.Chain, n.Key, err)
	}
	if n.serving != nil {
		n.Log.Info("the server's certificate was replaced", "certificate", n.Chain, "until", pair.Leaf.NotAfter)
	}
	n.serving, n.text = &pair, text
	return nil
}
