package network

import (
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// The blocks of a default VPC and of its VSwitch. No document names them; they are those of
// the cloud's default networks.
var (
	defaultBlock        = netip.MustParsePrefix("172.16.0.0/16")
	defaultVSwitchBlock = netip.MustParsePrefix("172.16.0.0/20")
)

// DefaultVPC names a default VPC and its VSwitch.
type DefaultVPC struct {
	VPC     string `json:"vpc"`
	VSwitch string `json:"vswitch"`
}

// CreateDefaultVPC makes the caller's default VPC in a region with a VSwitch in it, in the
// zone that is named or else the region's first, and returns their ids. What of it is there
// is left as it is (Tencent Cloud, CreateDefaultVpc).
//
// Reasons: RegionNotFound, ResourceNotAvailable, ZoneNotFound, QuotaVPC, QuotaVSwitch,
// VSwitchCIDROverlap, VSwitchCIDRRoute, VPCInTransition, VSwitchInTransition,
// RouteInTransition.
func (s *Service) CreateDefaultVPC(ctx context.Context, c identity.Caller, region, zone string) (DefaultVPC, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (none DefaultVPC, err error) {
		r, err := s.region(region)
		switch {
		case err != nil:
			return none, err
		case len(r.Zones) == 0:
			return none, fault.New(fault.ResourceNotAvailable, "region %s has no zone", region)
		case zone == "":
			zone = r.Zones[0].ID
		}
		if of, ok := s.settings.ZoneRegion(zone); !ok || of != region {
			return none, fault.New(fault.ZoneNotFound, "zone %q is not one of region %s", zone, region)
		}
		vpc := defaultVPC(tx.View, c.Account, region)
		if vpc == nil {
			if vpc, _, err = s.makeVPC(tx, c, NewVPC{Region: region, CIDR: defaultBlock, Name: "Default-VPC", def: true}); err != nil {
				return none, err
			}
		} else if x := defaultVSwitch(tx.View, vpc.ID); x != nil {
			return DefaultVPC{vpc.ID, x.ID}, nil
		} else if err := freeBlock(tx.View, vpc, defaultVSwitchBlock); err != nil {
			return none, err
		} else if err := s.ready(tx.View, vpc); err != nil {
			return none, err
		}
		x := &resource.VSwitch{
			Meta: resource.Meta{ID: tx.NewID("vsw"), Account: c.Account, Region: region, CreatedAt: s.writer.Now()},
			VPC:  vpc.ID, Zone: zone, CIDR: defaultVSwitchBlock, Name: "Default-Subnet", Plan: s.rules.Plan, Default: true,
		}
		if err := tx.Room(x); err != nil {
			return none, err
		}
		tx.Put(x)
		tx.Done("default VPC created", "vpc", vpc.ID, "vswitch", x.ID)
		return DefaultVPC{vpc.ID, x.ID}, nil
	})
}

// defaultVPC returns an account's default VPC in a region; nil if there is none.
func defaultVPC(v *state.View, account, region string) *resource.VPC {
	for x := range v.VPCs.By(state.ByAccount, account).All() {
		if x.Default && x.Region == region {
			return x
		}
	}
	return nil
}

func defaultVSwitch(v *state.View, vpc string) *resource.VSwitch {
	for x := range v.VSwitches.By(state.ByVPC, vpc).All() {
		if x.Default {
			return x
		}
	}
	return nil
}
