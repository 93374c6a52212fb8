// Package lookup finds a caller's resources. What belongs to another account, or
// stands in another region than the one named, is not found: its existence is
// nobody else's business.
package lookup

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Own returns the caller's resource of that id. Reason: the kind's NotFound.
func Own[R resource.Resource](c identity.Caller, t *state.Table[R], id string) (R, error) {
	return t.Own(c.Account, "", id)
}

// In returns the caller's resource of that id in a region. Reasons: RegionNotFound,
// the kind's NotFound.
func In[R resource.Resource](set *settings.Settings, c identity.Caller, t *state.Table[R], region, id string) (R, error) {
	if err := set.CheckRegion(region); err != nil {
		var none R
		return none, err
	}
	return t.Own(c.Account, region, id)
}
