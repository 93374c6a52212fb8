package tags

import (
	"cmp"
	"iter"
	"maps"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Query asks for tags: of resources, by key and value, or both.
type Query struct {
	Target          // no ids: all resources of the kind
	Filters []Match // a resource has to match all
	Token   string  // of the page before; empty: the first page
	Size    int     // of a page, from 1
}

// Match is a tag that a resource has to have.
type Match = state.TagMatch

// Attached is a tag of a resource.
type Attached struct {
	Tag
	Resource string // its id
}

// List returns a page of the tags that are attached to the caller's resources,
// and the token of the next page, empty on the last (ListTagResources). Of a
// resource that matches the filters, the tags that the filters name are
// returned; without filters all. They come in the order in which the resources
// got their first tag, and of one resource by key. A tag that comes or goes
// between two pages moves no other from one to the other.
//
// Reasons: RegionNotFound, TagQueryEmpty, PageTokenInvalid.
func (s *Service) List(c identity.Caller, q Query) (page []Attached, next string, err error) {
	if err := s.settings.CheckRegion(q.Region); err != nil {
		return nil, "", err
	}
	if len(q.IDs) == 0 && len(q.Filters) == 0 {
		return nil, "", fault.New(fault.TagQueryEmpty, "say of which resources, or which tags")
	}
	var after place
	if q.Token != "" {
		if after, err = parseToken(c, q); err != nil {
			return nil, "", err
		}
	}
	var last place
	for t := range candidates(s.db.View(), c, q) {
		for _, k := range matching(t, q) {
			at := place{t.Created, t.ID, k}
			if q.Token != "" && at.compare(after) <= 0 {
				continue
			}
			if len(page) == q.Size {
				return page, token(c, q, last), nil
			}
			page = append(page, Attached{Tag{Key: k, Value: t.Tags[k]}, t.ID})
			last = at
		}
	}
	return page, "", nil
}

// candidates yields the sets of tags that may match, in their order.
func candidates(v *state.View, c identity.Caller, q Query) iter.Seq[*resource.TagSet] {
	if len(q.IDs) > 0 {
		var sets []*resource.TagSet
		for _, id := range slices.Compact(slices.Sorted(slices.Values(q.IDs))) {
			if t, ok := v.TagSets.Get(id); ok && state.Owned(t, c.Account, q.Region) {
				sets = append(sets, t)
			}
		}
		slices.SortFunc(sets, func(a, b *resource.TagSet) int {
			return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
		})
		return slices.Values(sets)
	}
	// By the rarest of the keys.
	var rarest state.Range[*resource.TagSet]
	for i, f := range q.Filters {
		r := v.TagSets.By(state.ByTag, state.Key(c.Account, q.Region, f.Key))
		if i == 0 || r.Len() < rarest.Len() {
			rarest = r
		}
	}
	return rarest.All()
}

// matching returns the keys of t that the query asks for, sorted; none if t does
// not match.
func matching(t *resource.TagSet, q Query) []string {
	if t.Of != q.Kind {
		return nil
	}
	if len(q.Filters) == 0 {
		return slices.Sorted(maps.Keys(t.Tags))
	}
	var keys []string
	for _, f := range q.Filters {
		v, ok := t.Tags[f.Key]
		if !ok || !f.Values.Allows(v) {
			return nil
		}
		keys = append(keys, f.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// place is the place of a tag in the order of all.
type place struct {
	Created  int64
	Resource string
	Key      string
}

func (p place) compare(o place) int {
	return cmp.Or(cmp.Compare(p.Created, o.Created), cmp.Compare(p.Resource, o.Resource), cmp.Compare(p.Key, o.Key))
}
