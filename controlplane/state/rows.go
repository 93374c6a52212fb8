package state

import (
	"bytes"
	"encoding/json"
	"fmt"
	"iter"

	"github.com/tidwall/btree"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// about is what a table has to know of its kind.
type about struct {
	name                   resource.Kind
	noun                   string
	notFound, inTransition fault.Reason
	indexes                []string // their names
	keys                   func(index int, r resource.Resource) []string
	read                   func(*json.Decoder) (resource.Resource, error) // nil: it is empty
}

// rows are what a table holds, without its type: by id and by the keys of the indexes. Views
// share what has not changed between them.
type rows struct {
	*about
	byID    *btree.Map[string, resource.Resource]
	ordered []*btree.Map[string, run] // one per index
	writer  *writer                   // who alone sees the trees that have it; nil: all is shared with other views, and copied before the first change
}

// run is the resources under one key of an index, by order. The zero has none.
type run struct {
	only  resource.Resource // while items is nil: most keys have one resource, and a tree takes ten times as much
	items *tree
}

// tree is a run of any length.
type tree struct {
	btree.Map[string, resource.Resource]
	writer *writer
}

// writer is a mark of its own for each transaction that changes a table.
type writer struct{ _ byte }

func (r run) len() int {
	switch {
	case r.items != nil:
		return r.items.Len()
	case r.only != nil:
		return 1
	}
	return 0
}

func (r run) at(i int) resource.Resource {
	if r.items == nil {
		return r.only
	}
	_, v, _ := r.items.GetAt(i)
	return v
}

func (r run) each(yield func(resource.Resource) bool) {
	switch {
	case r.items != nil:
		r.items.Scan(func(_ string, v resource.Resource) bool { return yield(v) })
	case r.only != nil:
		yield(r.only)
	}
}

func newRows(of *about) *rows {
	t := &rows{about: of, byID: new(btree.Map[string, resource.Resource]), writer: new(writer)}
	for range of.indexes {
		t.ordered = append(t.ordered, new(btree.Map[string, run]))
	}
	return t
}

// share returns rows that can be changed without disturbing t's readers.
func (t *rows) share() *rows {
	c := *t
	c.writer = nil
	return &c
}

// unshare copies what t shares with other views.
func (t *rows) unshare() {
	if t.writer != nil {
		return
	}
	t.writer = new(writer)
	t.byID = t.byID.Copy()
	ordered := make([]*btree.Map[string, run], len(t.ordered))
	for i, o := range t.ordered {
		ordered[i] = o.Copy()
	}
	t.ordered = ordered
}

func (t *rows) index(name string) *btree.Map[string, run] {
	for i := range t.indexes {
		if t.indexes[i] == name {
			return t.ordered[i]
		}
	}
	panic(fmt.Sprintf("state: table %s has no index %q", t.name, name))
}

func (t *rows) get(id string) (resource.Resource, bool) { return t.byID.Get(id) }

// all iterates in order of id.
func (t *rows) all() iter.Seq[resource.Resource] {
	return func(yield func(resource.Resource) bool) {
		t.byID.Scan(func(_ string, r resource.Resource) bool { return yield(r) })
	}
}

// own is Table.Own.
func (t *rows) own(account, region, id string) (resource.Resource, error) {
	r, ok := t.get(id)
	if ok && Owned(r, account, region) {
		return r, nil
	}
	if region == "" {
		return nil, fault.New(t.notFound, "%s %q", t.noun, id)
	}
	return nil, fault.New(t.notFound, "%s %q in region %s", t.noun, id, region)
}

// decode reads the record of an id.
func (t *rows) decode(id string, value []byte) (resource.Resource, error) {
	return t.reader().decode(id, value)
}

// reader reads records of a table, one after the other, until one is broken.
type reader struct {
	rows    *rows
	text    bytes.Buffer
	decoder *json.Decoder // of text
	read    int64         // bytes of text so far
}

func (t *rows) reader() *reader {
	r := &reader{rows: t}
	r.decoder = json.NewDecoder(&r.text)
	// What this version does not know of a resource it would leave out, and then lose.
	r.decoder.DisallowUnknownFields()
	return r
}

func (r *reader) decode(id string, value []byte) (resource.Resource, error) {
	name := r.rows.name
	r.text.Write(value)
	r.read += int64(len(value))
	next, err := r.rows.read(r.decoder)
	if err != nil {
		return nil, fmt.Errorf("record %s %q: %w", name, id, err)
	}
	if left := r.read - r.decoder.InputOffset(); len(bytes.TrimSpace(value[int64(len(value))-left:])) > 0 {
		return nil, fmt.Errorf("record %s %q: there is more than one value in it", name, id)
	}
	if next == nil {
		return nil, fmt.Errorf("record %s %q: it is empty", name, id)
	}
	if next.Metadata().ID != id {
		return nil, fmt.Errorf("record %s %q: it is that of %q", name, id, next.Metadata().ID)
	}
	return next, nil
}

// put puts a resource in, in place of what has its id.
func (t *rows) put(r resource.Resource) { t.replace(r.Metadata().ID, r) }

func (t *rows) remove(id string) { t.replace(id, nil) }

// replace takes the resource of an id out, if there is one, and puts next in; nil puts none in.
func (t *rows) replace(id string, next resource.Resource) {
	t.unshare()
	old, had := resource.Resource(nil), false
	if next != nil {
		old, had = t.byID.Set(id, next)
	} else {
		old, had = t.byID.Delete(id)
	}
	if had {
		place := order(old)
		for i := range t.indexes {
			for _, key := range t.keys(i, old) {
				t.unlist(i, key, place)
			}
		}
	}
	if next == nil {
		return
	}
	place := order(next) // one text for all indexes
	for i := range t.indexes {
		for _, key := range t.keys(i, next) {
			t.list(i, key, place, next)
		}
	}
}

// list puts a resource under a key of an index.
func (t *rows) list(i int, key, place string, next resource.Resource) {
	// Most keys are new.
	if r, had := t.ordered[i].Set(key, run{only: next}); had {
		items := t.mine(r)
		items.Set(place, next)
		t.ordered[i].Set(key, run{items: items})
	}
}

// unlist takes a resource away from a key of an index.
func (t *rows) unlist(i int, key, place string) {
	r, ok := t.ordered[i].Get(key)
	switch {
	case !ok: // it was listed there twice
	case r.items == nil:
		t.ordered[i].Delete(key)
	default:
		items := t.mine(r)
		if items.Delete(place); items.Len() > 0 {
			t.ordered[i].Set(key, run{items: items})
		} else {
			t.ordered[i].Delete(key)
		}
	}
}

// mine returns a run as a tree that nobody sees but whoever changes t.
func (t *rows) mine(r run) *tree {
	switch {
	case r.items == nil:
		items := &tree{writer: t.writer}
		items.Set(order(r.only), r.only)
		return items
	case r.items.writer == t.writer:
		return r.items
	}
	return &tree{*r.items.Copy(), t.writer}
}

// order sorts by creation, then by id.
func order(r resource.Resource) string {
	const digits, hex = 16, "0123456789abcdef"
	m := r.Metadata()
	b := make([]byte, digits, digits+len(m.ID))
	for i, v := digits-1, uint64(m.Created); i >= 0; i, v = i-1, v>>4 {
		b[i] = hex[v&0xf]
	}
	return string(append(b, m.ID...))
}
