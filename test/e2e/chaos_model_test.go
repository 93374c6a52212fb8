package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/api/aliyun"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/controlplane/store/bolt"
	"sluice/test/lab"
)

// item is what a client knows of a resource: its kind, and two to four values
// that tell it apart. A value that the client was not told is unknown.
type item struct{ kind, a, b, c string }

const unknown = "*"

// is reports whether a resource that was found is the one that was expected.
func (want item) is(found item) bool {
	same := func(w, f string) bool { return w == unknown || w == f }
	return want.kind == found.kind && same(want.a, found.a) && same(want.b, found.b) && same(want.c, found.c)
}

// effect is what a write does if it is done: resources deleted, made or
// changed under a known id, and made under ids that the answer names.
type effect struct {
	what string
	gone []string
	set  map[string]item
	made []item
}

// holding is everything that one client owns, by id. Nobody else writes to it.
type holding struct {
	name string

	mu     sync.Mutex
	items  map[string]item
	doubts []effect // of writes whose answers were lost
}

func newHolding(name string) *holding { return &holding{name: name, items: make(map[string]item)} }

// done takes in the effect of an acknowledged write; ids belong to made.
func (h *holding) done(e effect, ids []string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.items = after(h.items, e)
	for i, id := range ids {
		h.items[id] = e.made[i]
	}
}

func (h *holding) doubt(e effect) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.doubts = append(h.doubts, e)
}

// of returns the ids of a kind, in order.
func (h *holding) of(kind string) []string {
	h.mu.Lock()
	defer h.mu.Unlock()
	var ids []string
	for id, i := range h.items {
		if i.kind == kind {
			ids = append(ids, id)
		}
	}
	slices.Sort(ids)
	return ids
}

func (h *holding) get(id string) item {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.items[id]
}

// one returns the id of the only resource of a kind, or "".
func (h *holding) one(kind string) string {
	if ids := h.of(kind); len(ids) > 0 {
		return ids[0]
	}
	return ""
}

func after(items map[string]item, e effect) map[string]item {
	out := maps.Clone(items)
	for _, id := range e.gone {
		delete(out, id)
	}
	maps.Copy(out, e.set)
	return out
}

// settle compares what the store holds with what was acknowledged, where each
// doubtful write was done wholly or not at all, and goes on from what is there.
func (h *holding) settle(found map[string]item) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	var differences []string
	for choice := range 1 << len(h.doubts) {
		expected, made := h.items, []item(nil)
		for i, d := range h.doubts {
			if choice&(1<<i) != 0 {
				expected, made = after(expected, d), append(made, d.made...)
			}
		}
		difference := compare(expected, made, found)
		if difference == "" {
			h.items, h.doubts = found, nil
			return nil
		}
		differences = append(differences, difference)
	}
	var whats []string
	for _, d := range h.doubts {
		whats = append(whats, d.what)
	}
	return fmt.Errorf("%s: the store is not what was acknowledged, with any choice of the unanswered %q:\n  %s", h.name, whats, strings.Join(differences, "\n  or "))
}

func compare(expected map[string]item, made []item, found map[string]item) string {
	var out []string
	for id, want := range expected {
		if have, ok := found[id]; !ok {
			out = append(out, fmt.Sprintf("%s %v is missing", id, want))
		} else if !want.is(have) {
			out = append(out, fmt.Sprintf("%s is %v instead of %v", id, have, want))
		}
	}
	made = slices.Clone(made)
	for id, have := range found {
		if _, ok := expected[id]; ok {
			continue
		}
		i := slices.IndexFunc(made, func(want item) bool { return want.is(have) })
		if i < 0 {
			out = append(out, fmt.Sprintf("%s %v is there", id, have))
			continue
		}
		made = slices.Delete(made, i, i+1)
	}
	for _, want := range made {
		out = append(out, fmt.Sprintf("a new %v is missing", want))
	}
	slices.Sort(out)
	return strings.Join(out, ", ")
}

// stored returns what the store of a stopped daemon holds. It reads a copy, so
// that the daemon finds the file as it left it.
func stored(t *testing.T, l *lab.Lab) *state.View {
	t.Helper()
	file, err := os.ReadFile(filepath.Join(l.DataDir(), "store.db"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	defer os.Remove(path)
	s, err := bolt.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	db, err := state.Open(context.Background(), s)
	if err != nil {
		t.Fatal(err)
	}
	return db.View()
}

// owned returns the items of a holding in a view: of the VPCs whose names begin
// with the holding's, and the elastic IPs that owns tells.
func owned(v *state.View, name string, owns func(eip string) bool) map[string]item {
	out := make(map[string]item)
	for x := range v.VPCs.All() {
		if !strings.HasPrefix(x.Name, name+"-") {
			continue
		}
		out[x.ID] = item{"vpc", x.CIDR.String(), x.Name, x.Description}
		for r := range v.VRouters.By(state.ByVPC, x.ID).All() {
			out[r.ID] = item{kind: "router"}
		}
		for r := range v.RouteTables.By(state.ByVPC, x.ID).All() {
			out[r.ID] = item{kind: "table"}
		}
		for r := range v.VSwitches.By(state.ByVPC, x.ID).All() {
			out[r.ID] = item{"switch", r.CIDR.String(), "", ""}
		}
		for r := range v.Instances.By(state.ByVPC, x.ID).All() {
			out[r.ID] = item{"instance", r.PrivateIP.String(), r.VSwitch, ""}
		}
		for r := range v.RouteEntries.By(state.ByVPC, x.ID).All() {
			out[r.ID] = item{"route", r.Destination.String(), string(r.NextHops[0].Type), r.NextHops[0].ID}
		}
		for r := range v.NATGateways.By(state.ByVPC, x.ID).All() {
			out[r.ID] = item{"nat", aliyun.Spec(r.Limits), r.ForwardTable, r.SNATTable}
		}
		for r := range v.ForwardEntries.By(state.ByVPC, x.ID).All() {
			out[r.ID] = forwardItem(r.ExternalIP.String(), portText(r.ExternalPort), r.Protocol, r.InternalIP.String(), portText(r.InternalPort))
		}
		for r := range v.SNATEntries.By(state.ByVPC, x.ID).All() {
			var pool []string
			for _, a := range r.Pool {
				pool = append(pool, a.String())
			}
			out[r.ID] = item{"snat", r.Source.String(), strings.Join(pool, ","), ""}
		}
	}
	for e := range v.ElasticIPs.All() {
		if owns(e.ID) {
			bound := item{"eip", e.Address.String(), "", ""}
			if e.Binding != nil {
				bound.b, bound.c = map[resource.BindingType]string{resource.BoundToHost: "EcsInstance", resource.BoundToNATGateway: "Nat"}[e.Binding.Type], e.Binding.ID
			}
			out[e.ID] = bound
		}
	}
	return out
}

// protocolWord is the API's word for a protocol.
func protocolWord(p resource.Protocol) string {
	if p == resource.AnyProtocol {
		return "Any"
	}
	return p.String()
}

func forwardItem(external, port string, p resource.Protocol, internal, internalPort string) item {
	return item{"dnat", external + " " + port, p.String(), internal + " " + internalPort}
}

func portText(p uint16) string {
	if p == 0 {
		return "Any"
	}
	return fmt.Sprint(p)
}
