package state

import (
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// Labelled is the condition of a query on what resources are filed under: one of the
// groups, and all of the tags.
type Labelled struct {
	Groups OneOf[string] // ids of resource groups
	Tags   []TagMatch
}

// TagMatch is a tag that a resource has to have.
type TagMatch struct {
	Key    string
	Values OneOf[string]
}

// Filed adds a condition on what resources are filed under to keep, as Select has it: nil
// accepts all, and is what a condition on nothing leaves nil.
func Filed[R resource.Resource](v *View, l Labelled, keep func(R) bool) func(R) bool {
	if len(l.Groups)+len(l.Tags) == 0 {
		return keep
	}
	return func(r R) bool { return (keep == nil || keep(r)) && l.allow(v, r) }
}

func (l Labelled) allow(v *View, r resource.Resource) bool {
	if len(l.Groups) > 0 && !l.Groups.Allows(v.ResourceGroup(r)) {
		return false
	}
	if len(l.Tags) == 0 {
		return true
	}
	set, ok := v.TagSets.Get(r.Metadata().ID)
	if !ok || set.Of != r.Kind() {
		return false
	}
	for _, t := range l.Tags {
		if value, has := set.Tags[t.Key]; !has || !t.Values.Allows(value) {
			return false
		}
	}
	return true
}

// TagsOf returns the tags of the resource of that id, by key.
func (v *View) TagsOf(id string) (list []resource.Tag) {
	set, ok := v.TagSets.Get(id)
	if !ok {
		return nil
	}
	for key, value := range set.Tags {
		list = append(list, resource.Tag{Key: key, Value: value})
	}
	slices.SortFunc(list, resource.Tag.Compare)
	return list
}

// ResourceGroup returns the id of the group that a resource is in: its own, or that of
// what it is a part of.
func (v *View) ResourceGroup(r resource.Resource) string {
	if k, ok := byName[r.Kind()]; ok {
		if whole := k.groupOf(v, r); whole != nil {
			return whole.Metadata().ResourceGroup()
		}
	}
	return r.Metadata().ResourceGroup()
}

// found is a resource that was looked for, nil if it is not there.
func found[R resource.Resource](r R, ok bool) resource.Resource {
	if !ok {
		return nil
	}
	return r
}

// Grouped returns the resource of that kind and id that is to change its group. Reasons:
// ParameterInvalid for one whose kind has no group of its own, or that of the kind.
func (v *View) Grouped(kind resource.Kind, account, region, id string) (resource.Resource, error) {
	k, ok := byName[kind]
	if !ok || !k.grouped() {
		return nil, fault.New(fault.ParameterInvalid, "a %s has no resource group of its own", kind)
	}
	return k.rows(v).own(account, region, id)
}

// GroupedKinds returns the kinds of which a resource has a resource group of its own,
// sorted.
func GroupedKinds() (list []resource.Kind) {
	for _, k := range kinds {
		if k.grouped() {
			list = append(list, k.name())
		}
	}
	slices.Sort(list)
	return list
}
