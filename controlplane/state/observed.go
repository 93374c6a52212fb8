package state

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"sync"
	"time"

	"sluice/controlplane/resource"
	"sluice/errtext"
)

// Observed is what the dataplane has reported of each network, beside what is
// wanted of it. What a machine has seen of its own networks is in its memory: after a
// restart its dataplane reports again, as nobody knows what became of the kernel. Of
// other machines' networks it is what these have recorded (package applied).
type Observed struct {
	mu       sync.Mutex
	networks map[string]*observation
	left     map[netip.Addr]leaving // public addresses whose resources have been deleted
	news     map[string]bool        // networks of which Taken has something to tell
	more     chan struct{}
}

// leaving is the network that had an address, and the revision at which its resource was deleted.
type leaving struct {
	network  string
	revision int64
}

type observation struct {
	owner   string // machine whose dataplane carries it
	wanted  int64  // revision of the newest change that the dataplane has to follow
	applied int64  // revision that it has reported
	tried   int64  // revision of the last attempt, whether it worked or not
	err     error  // of the last attempt
	since   time.Time
	seen    time.Time               // when the kernel was last seen to hold what was applied
	deleted map[resource.Kind]int64 // revision at which a resource of the kind was deleted last
	// Is closed and replaced at every report of this network: those who wait for
	// another's are not woken.
	reported chan struct{}
}

// Observation is what the owner of a network has seen of it, as others may know it.
type Observation struct {
	Owner   string    `json:"owner"`           // name of the machine
	Applied int64     `json:"applied"`         // revision of the resources up to which its kernel holds the network
	Tried   int64     `json:"tried"`           // revision of the last attempt, whether it worked or not
	Error   string    `json:"error,omitempty"` // of the last attempt
	Since   time.Time `json:"since"`           // of the report that was the first to say so, by the owner's clock
}

// NetworkStatus is one network's place between wanted and applied.
type NetworkStatus struct {
	Network string    `json:"network"`
	Owner   string    `json:"owner,omitempty"` // name of the machine
	Wanted  int64     `json:"wanted"`
	Applied int64     `json:"applied"`
	Error   string    `json:"error,omitempty"` // of the last attempt
	Since   time.Time `json:"since"`           // of the last report, or of the last look that found the kernel as it should be
}

func newObserved() *Observed {
	return &Observed{networks: make(map[string]*observation), left: make(map[netip.Addr]leaving), news: make(map[string]bool), more: make(chan struct{}, 1)}
}

// tell notes that there is something to record of a network. o.mu is held.
func (o *Observed) tell(network string) {
	o.news[network] = true
	select {
	case o.more <- struct{}{}:
	default:
	}
}

// News receives when Taken has something to tell. It is for one reader.
func (o *Observed) News() <-chan struct{} { return o.more }

// Taken returns what has been seen of the networks of which something else has been
// seen since the last call; nil of one of which nothing is left.
func (o *Observed) Taken() map[string]*Observation {
	o.mu.Lock()
	defer o.mu.Unlock()
	taken := make(map[string]*Observation, len(o.news))
	for id := range o.news {
		taken[id] = nil
		if n := o.networks[id]; n != nil {
			taken[id] = &Observation{Owner: n.owner, Applied: n.applied, Tried: n.tried, Error: text(n.err), Since: n.since}
		}
	}
	clear(o.news)
	return taken
}

// Take takes the word of the owner of a network, another machine. It may take something
// back: that machine may have begun anew.
func (o *Observed) Take(network string, x Observation) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n := o.of(network)
	n.owner, n.applied, n.tried, n.err, n.since = x.Owner, x.Applied, x.Tried, nil, x.Since
	if x.Error != "" {
		n.err = errors.New(x.Error)
	}
	n.wake()
}

// Owner returns the machine whose dataplane carries a network, also while the network
// is being removed; empty if that is not known.
func (o *Observed) Owner(network string) string {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.networks[network]; n != nil {
		return n.owner
	}
	return ""
}

func (o *Observed) of(network string) *observation {
	n := o.networks[network]
	if n == nil {
		n = &observation{reported: make(chan struct{})}
		o.networks[network] = n
	}
	return n
}

// want notes that the dataplane of a network has to follow a revision. owner is empty of
// a network that is to go.
func (o *Observed) want(network, owner string, revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.networks[network] == nil {
		o.tell(network)
	}
	n := o.of(network)
	n.wanted = max(n.wanted, revision)
	if owner != "" {
		n.owner = owner
	}
}

// gone notes that a resource of a kind was deleted.
func (o *Observed) gone(g gone, revision int64) {
	o.mu.Lock()
	defer o.mu.Unlock()
	n, kind := o.of(g.network), g.kind
	if g.address.IsValid() {
		o.left[g.address] = leaving{g.network, revision}
	}
	if n.deleted == nil {
		n.deleted = make(map[resource.Kind]int64)
	}
	n.deleted[kind] = max(n.deleted[kind], revision)
}

// Withdrawing says whether the kernel may still hold a public address whose resource has been
// deleted, and in which network: nobody else may be given it until that has let it go.
func (o *Observed) Withdrawing(a netip.Addr) (network string, may bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	l, ok := o.left[a]
	if !ok {
		return "", false
	}
	if n := o.networks[l.network]; n != nil && n.applied < l.revision {
		return l.network, true
	}
	delete(o.left, a)
	return "", false
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
	applied, tried, told := n.applied, n.tried, n.err
	n.tried = max(n.tried, revision)
	n.err, n.since = err, now
	if err == nil {
		n.applied = max(n.applied, revision)
	}
	if n.applied != applied || n.tried != tried || text(n.err) != text(told) {
		o.tell(network)
	}
	n.wake()
}

// Seen notes that the kernel was compared with what was applied of a network, and holds
// that.
func (o *Observed) Seen(network string, now time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if n := o.networks[network]; n != nil && n.err == nil {
		n.seen = now
	}
}

func later(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
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
	o.tell(network)
	if n.wanted > revision {
		again := o.of(network)
		again.wanted, again.owner = n.wanted, n.owner
	}
}

func text(err error) string {
	if err == nil {
		return ""
	}
	return errtext.Of(err)
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
		out = append(out, NetworkStatus{Network: id, Owner: n.owner, Wanted: n.wanted, Applied: n.applied, Error: text(n.err), Since: later(n.since, n.seen)})
	}
	slices.SortFunc(out, func(a, b NetworkStatus) int {
		if a.Network < b.Network {
			return -1
		}
		return 1
	})
	return out
}
