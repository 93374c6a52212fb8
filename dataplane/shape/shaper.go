package shape

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// Shaper holds the bandwidths of elastic IPs of all networks. Its methods may be called
// from several goroutines, but not after Close.
type Shaper struct {
	dir  string
	self *netns.Namespace

	mu      sync.Mutex
	publics map[key]*public
	at      map[string]key // where a network has something
}

// mark is what a file in the directory says: what is held where, for which networks.
type mark struct {
	Namespace string   `json:"namespace"`
	Device    string   `json:"device"`
	Networks  []string `json:"networks"`
}

// New returns a Shaper that notes in dir, which it makes, where it has something; self is the daemon's own
// namespace, which stays the caller's. What an earlier process has left there goes on
// until its networks are applied, or withdrawn.
func New(dir string, self *netns.Namespace) (*Shaper, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &Shaper{dir: dir, self: self, publics: map[key]*public{}, at: map[string]key{}}
	files, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	for _, f := range files {
		data, err := os.ReadFile(filepath.Join(dir, f.Name()))
		if err != nil {
			return nil, err
		}
		var m mark
		if json.Unmarshal(data, &m) != nil || markName(key{m.Namespace, m.Device}) != f.Name() {
			continue // a crash while it was written: nothing had been made
		}
		p := s.public(key{m.Namespace, m.Device})
		for _, id := range m.Networks {
			p.unsaid[id] = true
			s.at[id] = p.key
		}
	}
	return s, nil
}

// Close gives back what is open. What is in the kernel stays and works on.
func (s *Shaper) Close() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, p := range s.publics {
		p.mu.Lock()
		p.close()
		p.mu.Unlock()
	}
}

// public returns the record of a public device, with s.mu held.
func (s *Shaper) public(k key) *public {
	p := s.publics[k]
	if p == nil {
		p = &public{key: k, self: s.self, wants: map[string]*wanted{}, unsaid: map[string]bool{}}
		s.publics[k] = p
	}
	return p
}

func markName(k key) string {
	sum := sha256.Sum256([]byte(k.namespace + "\x00" + k.device))
	return hex.EncodeToString(sum[:8])
}

// write notes which networks have something at a device, or, if none has, that there is nothing.
func (s *Shaper) write(p *public, networks []string) error {
	file := filepath.Join(s.dir, markName(p.key))
	if len(networks) == 0 {
		if err := os.Remove(file); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		return nil
	}
	data, err := json.Marshal(mark{p.key.namespace, p.key.device, networks})
	if err != nil {
		return err
	}
	// In one step: a crash leaves the old one or the new one.
	if err := os.WriteFile(file+".new", data, 0o644); err != nil {
		return err
	}
	return os.Rename(file+".new", file)
}

// Apply makes the kernel hold the bandwidths of network id, which crosses site, or which has
// no public side where that is nil. With reread, all that is held at the device is compared
// with the kernel, and otherwise only with what was applied last.
func (s *Shaper) Apply(id string, site *Site, want []dataplane.Bandwidth, reread bool) (Result, error) {
	if err := check(want); err != nil {
		return Result{}, err
	}
	k := key{}
	if site != nil && len(want) > 0 {
		k = key{site.Namespace, site.Device}
	}
	s.mu.Lock()
	old, was := s.at[id]
	s.mu.Unlock()
	if was && old != k {
		if err := s.Withdraw(id); err != nil {
			return Result{}, err
		}
	}
	if k == (key{}) {
		return Result{}, nil
	}
	s.mu.Lock()
	p := s.public(k)
	p.mu.Lock() // while s.mu is held: nobody takes it for one that is over
	defer p.mu.Unlock()
	s.at[id] = k
	s.mu.Unlock()
	networks := p.networks()
	if i, known := slices.BinarySearch(networks, id); !known {
		if err := s.write(p, slices.Insert(networks, i, id)); err != nil {
			return Result{}, fmt.Errorf("note that bandwidths are held at %s: %w", site.Device, err)
		}
	}
	before := p.wants[id]
	if !reread && p.have != nil && before != nil && before.site.same(*site) && slices.EqualFunc(before.bandwidths, want, dataplane.Bandwidth.Equal) && p.there() {
		return Result{}, nil
	}
	return p.apply(id, &wanted{site: *site, bandwidths: want}, reread)
}

// Withdraw takes away what is held for a network alone. It succeeds where there is nothing.
func (s *Shaper) Withdraw(id string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	k, ok := s.at[id]
	if !ok {
		return nil
	}
	p := s.public(k)
	p.mu.Lock()
	defer p.mu.Unlock()
	rest := slices.DeleteFunc(p.networks(), func(n string) bool { return n == id })
	if len(rest) == 0 {
		if err := p.remove(); err != nil {
			return fmt.Errorf("hold bandwidths at %s no longer: %w", k.device, err)
		}
		delete(s.publics, k)
	} else if _, err := p.apply(id, nil, false); err != nil && !errors.Is(err, netns.ErrNotExist) {
		return err
	}
	if err := s.write(p, rest); err != nil {
		return fmt.Errorf("note that bandwidths of %s are no longer held at %s: %w", id, k.device, err)
	}
	delete(s.at, id)
	return nil
}

// Differs returns what there is to put right of what is held for a network, and so for all
// that share its device. What was compared within that time is not
// compared again.
func (s *Shaper) Differs(id string, within time.Duration) []string {
	s.mu.Lock()
	k, ok := s.at[id]
	p := s.publics[k]
	s.mu.Unlock()
	if !ok || p == nil {
		return nil
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.wants[id] == nil {
		return nil
	}
	return p.differs(within)
}
