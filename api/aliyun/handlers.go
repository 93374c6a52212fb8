package aliyun

import (
	"time"

	"sluice/controlplane/acceleration"
	"sluice/controlplane/bandwidth"
	"sluice/controlplane/eip"
	"sluice/controlplane/havip"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/monitor"
	"sluice/controlplane/nat"
	"sluice/controlplane/network"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/state"
	"sluice/controlplane/tags"
	"sluice/controlplane/vpn"
)

// Service answers the actions by the control plane's services: it puts a
// request into their terms, and their answer into the documents' words. Its
// methods, the handlers, hold no rule.
type Service struct {
	network *network.Service
	eip     *eip.Service
	nat     *nat.Service
	monitor *monitor.Service
	vpn     *vpn.Service
	tags    *tags.Service
	ram     *ram.Service
	links   *routerinterface.Service
	lines   *leasedline.Service

	bandwidth *bandwidth.Service
	havip     *havip.Service

	acceleration *acceleration.Service
}

var _ Actions = (*Service)(nil)

// NewService returns what answers the actions.
func NewService(n *network.Service, e *eip.Service, b *bandwidth.Service, g *nat.Service, m *monitor.Service, v *vpn.Service, l *routerinterface.Service, t *tags.Service, r *ram.Service, h *havip.Service, lines *leasedline.Service, a *acceleration.Service) *Service {
	return &Service{network: n, eip: e, bandwidth: b, nat: g, monitor: m, vpn: v, links: l, tags: t, ram: r, havip: h, lines: lines, acceleration: a}
}

// timestamp writes a time as the documents' examples do: UTC, to the second.
// The zero time, for what has no such time, is empty.
func timestamp(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05Z")
}

// given returns the value of a parameter, empty if it was not given.
func given(v *string) string {
	if v == nil {
		return ""
	}
	return *v
}

// is says whether a truth value was given and is true.
func is(v *bool) bool { return v != nil && *v }

// pageOf returns the page of that number, from 1, of a size of at least 1. A number of 31
// bits times any size that is allowed does not overflow.
func pageOf(number, size int) state.Page { return state.Page{Offset: (number - 1) * size, Limit: size} }

// lastPage returns the page of that number, or the last one if there are fewer, and its number:
// so some of the documents' listings do.
func lastPage[T any](number, size int, list func(state.Page) (state.Listing[T], error)) (state.Listing[T], int, error) {
	l, err := list(pageOf(number, size))
	if last := max(1, (l.Total+size-1)/size); err == nil && number > last {
		l, err = list(pageOf(last, size))
		number = last
	}
	return l, number, err
}

// one is the condition that a parameter makes, which has one value or was not
// given.
func one[T comparable](v *T) state.OneOf[T] {
	if v == nil {
		return nil
	}
	return state.OneOf[T]{*v}
}

// pendingOrAvailable is the state of what the documents give two states.
func pendingOrAvailable(p resource.Phase) string {
	if p == resource.Ready {
		return "Available"
	}
	return "Pending"
}

// entryStatus is the state of a route entry, a DNAT entry or an SNAT entry.
func entryStatus(p resource.Phase) string {
	switch p {
	case resource.Ready:
		return "Available"
	case resource.Changing:
		return "Modifying"
	}
	return "Pending"
}
