package resource

import (
	"cmp"
	"crypto/sha256"
	"encoding/base32"
	"maps"
	"strings"
)

// Tag is a key, of which a resource has one at most, and its value, which may be empty.
type Tag struct{ Key, Value string }

// Compare orders tags by key.
func (t Tag) Compare(o Tag) int {
	return cmp.Or(cmp.Compare(t.Key, o.Key), cmp.Compare(t.Value, o.Value))
}

// Labels are what a client files a resource under: a resource group, and tags.
type Labels struct {
	Group string // id of the resource group; empty: the account's default one
	Tags  []Tag
}

// KindTagSet is the kind of TagSet.
const KindTagSet Kind = "tag-set"

// TagSet is the tags of a resource. It goes with the resource.
type TagSet struct {
	Meta                   // ID is that of the resource
	Of   Kind              `json:"of"` // the resource's kind
	Tags map[string]string `json:"tags"`
}

// NewTagSet returns the set of tags of a resource, without any yet.
func NewTagSet(r Resource) *TagSet {
	m := r.Metadata()
	return &TagSet{Meta: Meta{ID: m.ID, Account: m.Account, Region: m.Region, CreatedAt: m.CreatedAt}, Of: r.Kind(), Tags: map[string]string{}}
}

// Kind implements Resource.
func (*TagSet) Kind() Kind { return KindTagSet }

// Network implements Resource.
func (*TagSet) Network() string { return "" }

// Clone implements Resource.
func (t *TagSet) Clone() Resource {
	c := *t
	c.Tags = maps.Clone(t.Tags)
	return &c
}

// ResourceGroup returns the id of the group that a resource was put into.
func (m *Meta) ResourceGroup() string { return cmp.Or(m.Group, DefaultGroup(m.Account)) }

// DefaultGroup returns the id of an account's default resource group. It follows from the
// account's id: groups themselves are another service's, so that there is nobody to ask.
func DefaultGroup(account string) string {
	sum := sha256.Sum256([]byte("default resource group of account " + account))
	return "rg-" + strings.ToLower(base32.StdEncoding.EncodeToString(sum[:]))[:15]
}
