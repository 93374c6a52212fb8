package vpn

import (
	"cmp"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"iter"
	"maps"
	"slices"
	"strings"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// TagQuery asks for tags: of resources, by key and value, or both.
type TagQuery struct {
	Tagged             // no ids: all resources of the kind
	Filters []TagMatch // a resource has to match all
	Token   string     // of the page before; empty: the first page
	Size    int        // of a page, from 1
}

// TagMatch is a tag that a resource has to have.
type TagMatch struct {
	Key   string
	Value *string // nil: any
}

// AttachedTag is a tag of a resource.
type AttachedTag struct {
	Tag
	Resource string // its id
}

// Tags returns a page of the tags that are attached to the caller's resources,
// and the token of the next page, empty on the last (ListTagResources). Of a
// resource that matches the filters, the tags that the filters name are
// returned; without filters all. They come in the order in which the resources
// got their first tag, and of one resource by key. A tag that comes or goes
// between two pages moves no other from one to the other.
//
// Reasons: RegionNotFound, TagQueryEmpty, PageTokenInvalid.
func (s *Service) Tags(c identity.Caller, q TagQuery) (page []AttachedTag, next string, err error) {
	if err := s.region(q.Region); err != nil {
		return nil, "", err
	}
	if len(q.IDs) == 0 && len(q.Filters) == 0 {
		return nil, "", fault.New(fault.TagQueryEmpty, "say of which resources, or which tags")
	}
	var after tagPlace
	if q.Token != "" {
		if after, err = parseTagToken(c, q); err != nil {
			return nil, "", err
		}
	}
	var last tagPlace
	for t := range candidates(s.db.View(), c, q) {
		for _, k := range matching(t, q) {
			at := tagPlace{t.Created, t.ID, k}
			if q.Token != "" && at.compare(after) <= 0 {
				continue
			}
			if len(page) == q.Size {
				return page, tagToken(c, q, last), nil
			}
			page = append(page, AttachedTag{Tag{k, t.Tags[k]}, t.ID})
			last = at
		}
	}
	return page, "", nil
}

// candidates yields the sets of tags that may match, in their order.
func candidates(v *state.View, c identity.Caller, q TagQuery) iter.Seq[*resource.TagSet] {
	if len(q.IDs) > 0 {
		var sets []*resource.TagSet
		for _, id := range slices.Compact(slices.Sorted(slices.Values(q.IDs))) {
			if t, ok := v.TagSets.Get(id); ok && mine(c, q.Region, &t.Meta) {
				sets = append(sets, t)
			}
		}
		slices.SortFunc(sets, func(a, b *resource.TagSet) int {
			return cmp.Or(cmp.Compare(a.Created, b.Created), cmp.Compare(a.ID, b.ID))
		})
		return slices.Values(sets)
	}
	// By the rarest of the keys.
	var rarest *state.Range[*resource.TagSet]
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
func matching(t *resource.TagSet, q TagQuery) []string {
	if t.Of != q.Kind {
		return nil
	}
	if len(q.Filters) == 0 {
		return slices.Sorted(maps.Keys(t.Tags))
	}
	var keys []string
	for _, f := range q.Filters {
		v, ok := t.Tags[f.Key]
		if !ok || f.Value != nil && v != *f.Value {
			return nil
		}
		keys = append(keys, f.Key)
	}
	slices.Sort(keys)
	return slices.Compact(keys)
}

// tagPlace is the place of a tag in the order of all.
type tagPlace struct {
	Created  int64
	Resource string
	Key      string
}

func (p tagPlace) compare(o tagPlace) int {
	return cmp.Or(cmp.Compare(p.Created, o.Created), cmp.Compare(p.Resource, o.Resource), cmp.Compare(p.Key, o.Key))
}

// A token is the place of the last tag of the page before it and a checksum
// over that and the query that it belongs to. It is no secret: it leads nowhere
// but into what the caller may ask for anyway.
const tagTokenCheck = 8 // bytes

func tagToken(c identity.Caller, q TagQuery, p tagPlace) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.Created))
	b = fmt.Appendf(b, "%s\x00%s", p.Resource, p.Key)
	return base64.RawURLEncoding.EncodeToString(append(b, tagTokenSum(c, q, b)...))
}

func parseTagToken(c identity.Caller, q TagQuery) (tagPlace, error) {
	refused := fault.New(fault.PageTokenInvalid, "token %.80q was not given for this query", q.Token)
	b, err := base64.RawURLEncoding.DecodeString(q.Token)
	if err != nil || len(b) < 8+tagTokenCheck {
		return tagPlace{}, refused
	}
	b, sum := b[:len(b)-tagTokenCheck], b[len(b)-tagTokenCheck:]
	if !slices.Equal(sum, tagTokenSum(c, q, b)) {
		return tagPlace{}, refused
	}
	id, key, _ := strings.Cut(string(b[8:]), "\x00")
	return tagPlace{int64(binary.BigEndian.Uint64(b)), id, key}, nil
}

func tagTokenSum(c identity.Caller, q TagQuery, at []byte) []byte {
	q.Token, q.Size = "", 0 // pages may differ in size
	query, err := json.Marshal(q)
	if err != nil {
		panic(err) // plain texts can be written
	}
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%s\n", c.Account, query)
	h.Write(at)
	return h.Sum(nil)[:tagTokenCheck]
}
