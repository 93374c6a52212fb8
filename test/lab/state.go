package lab

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// stateFile holds what a lab consists of, inside its directory.
const stateFile = "lab.json"

// state is the record of a lab. A host is in it before its namespace is made
// and leaves it when the namespace has gone.
type state struct {
	Name            string   `json:"name"`
	Listen          string   `json:"listen"` // host:port of the API
	TLS             bool     `json:"tls,omitempty"`
	Region          string   `json:"region"`
	Account         string   `json:"account,omitempty"`
	AccessKeyID     string   `json:"accessKeyId,omitempty"`
	AccessKeySecret string   `json:"accessKeySecret,omitempty"`
	Sluiced         string   `json:"sluiced"`
	Sluicectl       string   `json:"sluicectl"`
	Daemon          *Process `json:"daemon,omitempty"`
	Hosts           []*Host  `json:"hosts,omitempty"`
}

// Host is one host of a lab: of a VPC, or of the Internet.
type Host struct {
	Name       string       `json:"name"`
	Namespace  string       `json:"namespace"`
	Internet   bool         `json:"internet,omitempty"`
	Classic    bool         `json:"classic,omitempty"` // on the classic network
	Address    netip.Prefix `json:"address"`           // with the length of its network's prefix
	Further    []netip.Addr `json:"further,omitempty"` // addresses besides
	Gateway    netip.Addr   `json:"gateway,omitzero"`  // default route; none on the Internet
	MAC        string       `json:"mac,omitempty"`     //
	VPC        string       `json:"vpc,omitempty"`     //
	VSwitch    string       `json:"vswitch,omitempty"` //
	InstanceID string       `json:"instanceId,omitempty"`
	Registered bool         `json:"registered,omitempty"` // in the inventory
	Server     *Process     `json:"server,omitempty"`     // its HTTP server
}

// IP returns the host's address.
func (h *Host) IP() netip.Addr { return h.Address.Addr() }

func (s *state) host(name string) *Host {
	for _, h := range s.Hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

func (s *state) drop(name string) {
	s.Hosts = slices.DeleteFunc(s.Hosts, func(h *Host) bool { return h.Name == name })
}

// ErrDown is what is wrong when no lab of the name is up.
var ErrDown = errors.New("the lab is not up; start it with: sluicectl lab up")

// lock keeps other processes and goroutines from changing a lab. It is held on
// the directory itself, so that it leaves nothing behind.
type lock struct{ dir *os.File }

// acquire takes the lock of a lab's directory, or returns ErrDown if there is
// no such directory, or none any more once the lock has been got.
func acquire(dir string) (*lock, error) {
	f, err := os.Open(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrDown
	}
	if err != nil {
		return nil, err
	}
	for {
		err = unix.Flock(int(f.Fd()), unix.LOCK_EX)
		if !errors.Is(err, unix.EINTR) {
			break
		}
	}
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("lock %s: %w", dir, err)
	}
	mine, err1 := f.Stat()
	there, err2 := os.Stat(dir)
	if err1 != nil || err2 != nil || !os.SameFile(mine, there) {
		f.Close()
		return nil, ErrDown
	}
	return &lock{f}, nil
}

func (l *lock) release() { l.dir.Close() }

func load(dir string) (*state, error) {
	text, err := os.ReadFile(filepath.Join(dir, stateFile))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, ErrDown
	}
	if err != nil {
		return nil, err
	}
	s := new(state)
	if err := json.Unmarshal(text, s); err != nil {
		return nil, fmt.Errorf("%s: %w", filepath.Join(dir, stateFile), err)
	}
	return s, nil
}

// save replaces the state file in one step: a reader, or whoever cleans up
// after a crash, finds the old record or the new one.
func (s *state) save(dir string) error {
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return err
	}
	tmp := filepath.Join(dir, stateFile+".new")
	if err := os.WriteFile(tmp, append(text, '\n'), 0o600); err != nil {
		return fmt.Errorf("write the lab's record: %w", err)
	}
	if err := os.Rename(tmp, filepath.Join(dir, stateFile)); err != nil {
		return fmt.Errorf("write the lab's record: %w", err)
	}
	return nil
}
