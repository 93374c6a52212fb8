package state

import (
	"context"
	"slices"
	"sync"
	"time"

	"sluice/controlplane/resource"
)

// Observed is what the dataplane has reported of each network, beside what is
// wanted of it. It is not stored: after a restart the dataplane reports again.
type Observed struct {
	mu       sync.Mutex
	networks map[string]*observation
}

type observation struct {
	wanted  int64 // revision of the newest change that the dataplane has to follow
	applied int64 // revision that it has reported
	tried   int64 // revision of the last attempt, whether it worked or not
	err     error // of the last attempt
	since   time.Time
	deleted map[resource.Kind]int64 // revision at which a resource of the kind was deleted last
	// Is closed and replaced at every report of this network: those who wait for
	// another's are not woken.
	reported chan struct{}
}

// NetworkStatus is one network's place between wanted and applied.
type NetworkStatus struct {
	Network string    `json:"network"`
	Wanted  int64     `json:"wanted"`
	Applied int64     `json:"applied"`
	Error   string    `json:"error,omitempty"` // of the last attempt
	Since   time.Time `json:"since"`           // of the last report
}

func newObserved() *Observed {
	return &Observed{networks: make(map[string]*observation)}
}

func (o *Observed) of(network string) *observation {
	n := o.networks[network]
	if n == nil {
		n = &observation{reported: make(chan struct{})}
		o.networks[network] = n
	}
	return n
}

func (o *Observed) want(network string, revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.of(network); revision > n.wanted {
		n.wanted = revision
	}
}

// gone notes that a resource of a kind was deleted.
func (o *Observed) gone(network string, kind resource.Kind, revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.of(network)
	if n.deleted == nil {
		n.deleted = make(map[resource.Kind]int64)
	}
	n.deleted[kind] = max(n.deleted[kind], revision)
}

// Deleting says whether the kernel may still hold a resource of that kind that
// has been deleted from the network.
func (o *Observed) Deleting(network string, kind resource.Kind) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.networks[network]
	return n != nil && n.deleted[kind] > n.applied
}

// Holds says whether the kernel may hold anything of the network: it is wanted,
// or has not been forgotten yet.
func (o *Observed) Holds(network string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.networks[network] != nil
}

// Report takes the dataplane's word: everything up to revision is in the
// kernel, or err says why it is not.
func (o *Observed) Report(network string, revision int64, err error, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.of(network)
	n.tried = max(n.tried, revision)
	n.err, n.since = err, now
	if err == nil {
		n.applied = max(n.applied, revision)
	}
	n.wake()
}

// Forget drops a network of which nothing is left, as it was not wanted at a revision.
// One that has been made again since stays wanted, with nothing applied.
func (o *Observed) Forget(network string, revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.networks[network]
	if n == nil {
		return
	}
	n.wake()
	delete(o.networks, network)
	if n.wanted > revision {
		o.of(network).wanted = n.wanted
	}
}

func (n *observation) wake() {
	close(n.reported)
	n.reported = make(chan struct{})
}

// Applied returns the revision up to which the kernel holds the network.
func (o *Observed) Applied(network string) int64 {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.networks[network]; n != nil {
		return n.applied
	}
	return 0
}

// Settled says whether the dataplane has followed every change of the network,
// or has at least answered to the last one: a change that it refuses leaves its
// resource Pending, but does not bar the way to the change that mends it.
func (o *Observed) Settled(network string) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	return o.settled(network)
}

func (o *Observed) settled(network string) bool {
	n := o.networks[network]
	return n == nil || n.tried >= n.wanted
}

// Settle waits until the network is settled or ctx ends, and says which.
func (o *Observed) Settle(ctx context.Context, network string) bool {
	for {
		o.mu.Lock()
		settled := o.settled(network)
		var reported chan struct{}
		if !settled { // then there is an observation of it
			reported = o.networks[network].reported
		}
		o.mu.Unlock()
		if settled {
			return true
		}
		select {
		case <-reported:
		case <-ctx.Done():
			return false
		}
	}
}

// Status returns all networks, by id.
func (o *Observed) Status() []NetworkStatus {
	o.mu.Lock()
	defer o.mu.Unlock()
	out := make([]NetworkStatus, 0, len(o.networks))
	for id, n := range o.networks {
		s := NetworkStatus{Network: id, Wanted: n.wanted, Applied: n.applied, Since: n.since}
		if n.err != nil {
			s.Error = n.err.Error()
		}
		out = append(out, s)
	}
	slices.SortFunc(out, func(a, b NetworkStatus) int {
		if a.Network < b.Network {
			return -1
		}
		return 1
	})
	return out
}
