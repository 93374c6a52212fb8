package session

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/rlimit"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
)

// DefaultDir is where maps, programs and links are pinned.
const DefaultDir = "/sys/fs/bpf/sluice"

// ErrUnsupported is what the errors of New and Open wrap where the kernel cannot
// run the programs.
var ErrUnsupported = errors.New("the kernel cannot run the BPF programs that count, limit and speed up sessions")

// Options are how Sessions work.
type Options struct {
	Dir    string // on a BPF file system; empty for DefaultDir
	Logger *slog.Logger
	// WithoutTCX attaches by clsact even where the kernel has tcx, and
	// WithoutXDP never in the driver: for tests and comparisons.
	WithoutTCX, WithoutXDP bool
	// TCXAtOnce attaches by tcx, where the kernel has it, also at links that are not busy: likewise.
	TCXAtOnce bool
	// AssumeXDP attaches in the driver of devices that were handed over where the
	// kernel does not say whether they can be redirected to (before Linux 6.3).
	// One that cannot loses every packet: for comparisons, with devices that can.
	AssumeXDP bool
	// Sessions is how many a network may have; 0 for as many as conntrack may
	// have connections (net.netfilter.nf_conntrack_max).
	Sessions int
	// Addresses is how many private addresses of a network are counted one by one, at
	// most; 0 for dataplane.MostAddresses. Others share one count.
	Addresses int
	// Lifetime is how long a path is used before it is learned anew; 0 for
	// Lifetime. It has to be shorter than any timeout of a connection.
	Lifetime time.Duration
}

// Lifetime is how long a path is used at most before conntrack sees a packet of
// its connection again.
func (s *Sessions) Lifetime() time.Duration { return s.opt.Lifetime }

// addresses is how many private addresses are counted one by one, at most.
func (s *Sessions) addresses() int {
	if a := s.opt.Addresses; a > 0 {
		return min(a, dataplane.MostAddresses)
	}
	return dataplane.MostAddresses
}

// Sessions makes Networks. Its methods may be called from several goroutines.
type Sessions struct {
	opt    Options
	spec   *ebpf.CollectionSpec
	object string // identifies the programs
	hasTCX bool   // the kernel has it
	tcx    bool   // and programs are attached by it

	portsMu sync.Mutex
	ports   *portWatch // opened for the first network
	noPorts error      // why there is none

	beat beat

	ctx  context.Context
	stop context.CancelFunc
	done sync.WaitGroup
}

// beat has all networks looked after at the same moment, once a second: to be woken up
// for one after the other costs a processor more than what is done then.
type beat struct {
	mu   sync.Mutex
	next chan struct{} // closed then; nil if nobody waits
}

// wait returns a channel that is closed at the next beat.
func (b *beat) wait() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.next == nil {
		next := make(chan struct{})
		b.next = next
		time.AfterFunc(time.Until(time.Now().Truncate(tick).Add(tick)), func() {
			b.mu.Lock()
			defer b.mu.Unlock()
			b.next = nil
			close(next)
		})
	}
	return b.next
}

// New mounts the BPF file system if it is missing. The error wraps
// ErrUnsupported where the kernel is at fault.
func New(opt Options) (*Sessions, error) {
	if opt.Dir == "" {
		opt.Dir = DefaultDir
	}
	if opt.Lifetime == 0 {
		opt.Lifetime = Lifetime
	}
	if opt.Logger == nil {
		opt.Logger = slog.New(slog.DiscardHandler)
	}
	if err := rlimit.RemoveMemlock(); err != nil {
		return nil, fmt.Errorf("%w: raise the limit of locked memory: %w", ErrUnsupported, err)
	}
	if err := EnsureBPFFS(opt.Dir); err != nil {
		return nil, fmt.Errorf("prepare %s for pinned BPF maps: %w", opt.Dir, err)
	}
	spec, err := bpf.Gateway()
	if err != nil {
		return nil, fmt.Errorf("read the BPF programs: %w", err)
	}
	sum := sha256.Sum256(bpf.GatewayObject())
	s := &Sessions{opt: opt, spec: spec, object: hex.EncodeToString(sum[:6])}
	s.hasTCX = HaveTCX()
	s.tcx = !opt.WithoutTCX && s.hasTCX
	s.ctx, s.stop = context.WithCancel(context.Background())
	return s, nil
}

// Close waits for what the Networks do in the background. What is in the kernel
// stays and works on.
func (s *Sessions) Close() {
	s.stop()
	s.done.Wait()
	s.portsMu.Lock()
	defer s.portsMu.Unlock()
	if s.ports != nil {
		s.ports.close()
		s.ports = nil
	}
}

// EnsureBPFFS makes dir on a BPF file system, and mounts one where there is
// none: at /sys/fs/bpf, where it usually is, or else at dir.
func EnsureBPFFS(dir string) error {
	parent := filepath.Dir(dir)
	if parent == usualMount {
		if err := mountOnce(usualMount); err != nil {
			return err
		}
		return mkdir(dir)
	}
	if isBPFFS(parent) {
		return mkdir(dir)
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return err
	}
	return mountOnce(dir)
}

const usualMount = "/sys/fs/bpf"

func mkdir(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return err
	}
	return nil
}

func isBPFFS(path string) bool {
	var st unix.Statfs_t
	return unix.Statfs(path, &st) == nil && st.Type == unix.BPF_FS_MAGIC
}

// mountOnce mounts a BPF file system at a directory. Of several processes that
// do that at once, one does it.
func mountOnce(dir string) error {
	if isBPFFS(dir) {
		return nil
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Flock(int(f.Fd()), unix.LOCK_EX); err != nil {
		return fmt.Errorf("lock %s: %w", dir, err)
	}
	if isBPFFS(dir) {
		return nil
	}
	if names, _ := f.Readdirnames(1); len(names) > 0 {
		return fmt.Errorf("%s has other files in it, which a BPF file system mounted there would hide; name a directory on one, or an empty one", dir)
	}
	if err := unix.Mount("bpf", dir, "bpf", 0, "mode=0700"); err != nil {
		return fmt.Errorf("mount the BPF file system: %w", err)
	}
	return nil
}

// HasPrograms reports whether programs of any version are pinned of a network, and
// so may be at its links. An empty dir stands for DefaultDir.
func HasPrograms(dir, id string) bool {
	if dir == "" {
		dir = DefaultDir
	}
	found, err := filepath.Glob(filepath.Join(dir, id, "programs-*"))
	return err != nil || len(found) > 0
}

// Remove takes away what is pinned of a network, and with it the programs from
// its links. It succeeds where there is nothing.
func (s *Sessions) Remove(id string) error {
	if err := os.RemoveAll(filepath.Join(s.opt.Dir, id)); err != nil {
		return fmt.Errorf("remove the pinned maps of network %s: %w", id, err)
	}
	return nil
}
