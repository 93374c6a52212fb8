package havip

import (
	"context"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// Owner returns as whom the operator works with what is in a VSwitch: its HaVips are its
// owner's. Reason: VSwitchNotFound.
func (s *Service) Owner(vswitch string) (c identity.Caller, region string, err error) {
	x, ok := s.db.View().VSwitches.Get(vswitch)
	if !ok {
		return c, "", fault.New(fault.VSwitchNotFound, "VSwitch %q", vswitch)
	}
	return identity.Caller{Account: x.Account}, x.Region, nil
}

// OwnerOf is Owner for what is there. Reason: HaVipNotFound.
func (s *Service) OwnerOf(id string) (c identity.Caller, region string, err error) {
	h, err := s.find(id)
	if err != nil {
		return c, "", err
	}
	return identity.Caller{Account: h.Account}, h.Region, nil
}

// Get returns a HaVip as a listing shows it. It is for the operator: whose it is does not
// count. Reason: HaVipNotFound.
func (s *Service) Get(id string) (HaVip, error) {
	h, err := s.find(id)
	if err != nil {
		return HaVip{}, err
	}
	return s.show(s.db.View(), h), nil
}

func (s *Service) find(id string) (*resource.HaVip, error) {
	h, ok := s.db.View().HaVips.Get(id)
	if !ok {
		return nil, fault.New(fault.HaVipNotFound, "HaVip %q", id)
	}
	return h, nil
}

// LetAnyHost says whether every host of the VSwitch may have the address, or only those that
// it is bound to. It is for the operator: whose it is does not count. Reason: HaVipNotFound.
func (s *Service) LetAnyHost(ctx context.Context, id string, on bool) error {
	return change.Run(ctx, s.writer, identity.Caller{}, func(tx *change.Tx) error {
		old, ok := tx.HaVips.Get(id)
		if !ok {
			return fault.New(fault.HaVipNotFound, "HaVip %q", id)
		}
		h := old.Clone().(*resource.HaVip)
		h.AnyHost = on
		tx.Put(h)
		tx.Done("HaVip changed", "havip", id, "any_host", on)
		return nil
	})
}
