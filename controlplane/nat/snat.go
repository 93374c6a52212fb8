package nat

import (
	"context"
	"net/netip"
	"slices"

	"sluice/controlplane/change"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// SNATEntry is what a new SNAT entry should be: exactly one of VSwitch and
// Source is given.
type SNATEntry struct {
	Region  string
	Table   string
	Name    string
	VSwitch string
	Source  netip.Prefix // a VSwitch's CIDR block, or the address of an ECS instance as a /32
	Pool    []netip.Addr // elastic IPs bound to the gateway; one given twice counts once

	Affinity bool // see resource.SNATEntry
}

// CreateSNATEntry adds an SNAT entry and returns its id (NAT Gateway API
// reference, CreateSnatEntry).
func (s *Service) CreateSNATEntry(ctx context.Context, c identity.Caller, in SNATEntry) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		g, err := s.snatTable(tx.View, c, in.Region, in.Table)
		if err != nil {
			return "", err
		}
		vswitch, source, err := snatSource(tx.View, g, in)
		if err != nil {
			return "", err
		}
		e := &resource.SNATEntry{
			Meta:    resource.Meta{ID: tx.NewID("snat"), Account: c.Account, Region: g.Region, CreatedAt: s.now()},
			VPC:     g.VPC,
			Gateway: g.ID,
			Table:   g.SNATTable,
			Name:    in.Name,
			VSwitch: vswitch.ID,
			Source:  source,

			Affinity: in.Affinity,
		}
		if err := setPool(tx, c, e, g, in.Pool); err != nil {
			return "", err
		}
		if err := checkOverlap(tx.View, e, in.VSwitch != ""); err != nil {
			return "", err
		}
		if err := tx.Room(e); err != nil {
			return "", err
		}
		if err := s.snatTableReady(tx.View, g); err != nil {
			return "", err
		}
		tx.Put(e)
		tx.Done("SNAT entry created", snatAttrs(e)...)
		return e.ID, nil
	})
}

// SNATEntryChange changes an SNAT entry; nil leaves a value as it is. The
// source of an entry never changes.
type SNATEntryChange struct {
	Region string
	Table  string
	ID     string
	Name   *string
	Pool   []netip.Addr

	Affinity *bool
}

// ModifySNATEntry changes the name or the public addresses of an SNAT entry.
func (s *Service) ModifySNATEntry(ctx context.Context, c identity.Caller, in SNATEntryChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.snatTable(tx.View, c, in.Region, in.Table)
		if err != nil {
			return err
		}
		old, err := snatEntry(tx.View, g, in.ID)
		if err != nil {
			return err
		}
		e := old.Clone().(*resource.SNATEntry)
		set(&e.Name, in.Name)
		set(&e.Affinity, in.Affinity)
		if in.Pool != nil {
			if err := setPool(tx, c, e, g, in.Pool); err != nil {
				return err
			}
		}
		samePool := slices.Equal(e.Pool, old.Pool)
		if samePool && e.Name == old.Name && e.Affinity == old.Affinity {
			return nil
		}
		if err := s.snatTableReady(tx.View, g); err != nil {
			return err
		}
		if samePool {
			tx.PutAttributes(e)
			tx.Done("SNAT entry renamed", snatAttrs(e)...)
			return nil
		}
		tx.Put(e)
		tx.Done("SNAT entry changed", snatAttrs(e)...)
		return nil
	})
}

// DeleteSNATEntry deletes an SNAT entry.
func (s *Service) DeleteSNATEntry(ctx context.Context, c identity.Caller, region, table, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.snatTable(tx.View, c, region, table)
		if err != nil {
			return err
		}
		e, err := snatEntry(tx.View, g, id)
		if err != nil {
			return err
		}
		if err := s.snatTableReady(tx.View, g); err != nil {
			return err
		}
		tx.Delete(e)
		tx.Done("SNAT entry deleted", snatAttrs(e)...)
		return nil
	})
}

func snatAttrs(e *resource.SNATEntry) []any {
	return []any{"entry", e.ID, "gateway", e.Gateway, "vpc", e.VPC, "source", e.Source, "pool", e.Pool}
}

// SNATEntryQuery selects entries of an SNAT table. The table is named by its own id, by
// that of its gateway, or by both.
type SNATEntryQuery struct {
	Region    string
	Table     string
	Gateway   string
	IDs       state.OneOf[string]
	Names     state.OneOf[string]
	Sources   state.OneOf[netip.Prefix]
	VSwitches state.OneOf[string]     // whose block is the source
	Addresses state.OneOf[netip.Addr] // one of which is in the pool
	None      bool                    // a filter that no entry can match was given
	Page      state.Page
}

func (q SNATEntryQuery) matches(e *resource.SNATEntry) bool {
	return q.Names.Allows(e.Name) && q.Sources.Allows(e.Source) && q.VSwitches.Allows(e.WholeVSwitch()) &&
		(len(q.Addresses) == 0 || slices.ContainsFunc(e.Pool, q.Addresses.Allows))
}

// SNATEntries lists the entries of an SNAT table in the order in which they
// were made.
func (s *Service) SNATEntries(c identity.Caller, q SNATEntryQuery) (Entries[*resource.SNATEntry], error) {
	v := s.db.View()
	g, err := s.tableOf(v, c, q.Region, q.Table, q.Gateway, s.snatTable)
	if err != nil {
		return Entries[*resource.SNATEntry]{}, err
	}
	out := Entries[*resource.SNATEntry]{Gateway: g.ID, Applied: s.db.Observed.Applied(g.VPC)}
	if q.None {
		return out, nil
	}
	if len(q.IDs) > 0 {
		match := func(e *resource.SNATEntry) bool { return e.Table == g.SNATTable && q.matches(e) }
		out.Listing = state.Select(v.SNATEntries.ByID(q.IDs...), q.Page, match, itself)
		return out, nil
	}
	match := q.matches
	if len(q.Names)+len(q.Sources)+len(q.VSwitches)+len(q.Addresses) == 0 {
		match = nil
	}
	out.Listing = state.Select(v.SNATEntries.By(state.ByTable, g.SNATTable), q.Page, match, itself)
	return out, nil
}
