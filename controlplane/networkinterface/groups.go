package networkinterface

import (
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// checkGroups refuses security groups that are not the caller's in the region. Reason:
// SecurityGroupNotFound.
func checkGroups(set *settings.Settings, v *state.View, c identity.Caller, region string, ids []string) error {
	for _, id := range ids {
		if _, err := lookup.In(set, c, v.SecurityGroups, region, id); err != nil {
			return err
		}
	}
	return nil
}
