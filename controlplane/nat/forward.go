package nat

import (
	"context"
	"net/netip"

	"sluice/controlplane/change"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// ForwardEntry is what a new DNAT entry should be. A port of 0 is Any; a last port of 0
// says that there is only the first.
type ForwardEntry struct {
	Region                     string
	Table                      string
	Name                       string
	ExternalIP                 netip.Addr
	ExternalPort, ExternalLast uint16
	Protocol                   resource.Protocol
	InternalIP                 netip.Addr
	InternalPort, InternalLast uint16
	Shares                     bool // whether SNAT entries may use the address, too
}

// CreateForwardEntry adds a DNAT entry and returns its id (NAT Gateway API
// reference, CreateForwardEntry).
func (s *Service) CreateForwardEntry(ctx context.Context, c identity.Caller, in ForwardEntry) (string, error) {
	return change.Do(ctx, s.writer, c, func(tx *change.Tx) (string, error) {
		g, err := s.forwardTable(tx.View, c, in.Region, in.Table)
		if err != nil {
			return "", err
		}
		e := &resource.ForwardEntry{
			Meta:         resource.Meta{ID: tx.NewID("fwd"), Account: c.Account, Region: g.Region, CreatedAt: s.now()},
			VPC:          g.VPC,
			Gateway:      g.ID,
			Table:        g.ForwardTable,
			Name:         in.Name,
			ExternalIP:   in.ExternalIP,
			ExternalPort: in.ExternalPort,
			ExternalLast: in.ExternalLast,
			Protocol:     in.Protocol,
			InternalIP:   in.InternalIP,
			InternalPort: in.InternalPort,
			InternalLast: in.InternalLast,
			Shares:       in.Shares,
		}
		if err := checkForward(tx, c, g, e); err != nil {
			return "", err
		}
		if err := tx.Room(e); err != nil {
			return "", err
		}
		if err := s.forwardTableReady(tx.View, g); err != nil {
			return "", err
		}
		tx.Put(e)
		tx.Done("DNAT entry created", forwardAttrs(e)...)
		return e.ID, nil
	})
}

// ForwardEntryChange changes a DNAT entry; nil leaves a value as it is.
type ForwardEntryChange struct {
	Region       string
	Table        string
	ID           string
	Name         *string
	ExternalIP   *netip.Addr
	ExternalPort *resource.Ports
	Protocol     *resource.Protocol
	InternalIP   *netip.Addr
	InternalPort *resource.Ports
	Shares       *bool
}

// ModifyForwardEntry changes a DNAT entry. What it comes to has to be an
// acceptable entry as a whole.
func (s *Service) ModifyForwardEntry(ctx context.Context, c identity.Caller, in ForwardEntryChange) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.forwardTable(tx.View, c, in.Region, in.Table)
		if err != nil {
			return err
		}
		old, err := forwardEntry(tx.View, g, in.ID)
		if err != nil {
			return err
		}
		e := old.Clone().(*resource.ForwardEntry)
		set(&e.Name, in.Name)
		set(&e.ExternalIP, in.ExternalIP)
		set(&e.Protocol, in.Protocol)
		set(&e.InternalIP, in.InternalIP)
		set(&e.Shares, in.Shares)
		if in.ExternalPort != nil {
			e.ExternalPort, e.ExternalLast = in.ExternalPort.First, in.ExternalPort.Last
		}
		if in.InternalPort != nil {
			e.InternalPort, e.InternalLast = in.InternalPort.First, in.InternalPort.Last
		}
		if *e == *old {
			return nil
		}
		renamed := *old
		renamed.Name = e.Name
		if *e != renamed {
			if err := checkForward(tx, c, g, e); err != nil {
				return err
			}
		}
		if err := s.forwardTableReady(tx.View, g); err != nil {
			return err
		}
		if *e == renamed {
			tx.PutAttributes(e)
			tx.Done("DNAT entry renamed", forwardAttrs(e)...)
			return nil
		}
		tx.Put(e)
		tx.Done("DNAT entry changed", forwardAttrs(e)...)
		return nil
	})
}

// DeleteForwardEntry deletes a DNAT entry.
func (s *Service) DeleteForwardEntry(ctx context.Context, c identity.Caller, region, table, id string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.forwardTable(tx.View, c, region, table)
		if err != nil {
			return err
		}
		e, err := forwardEntry(tx.View, g, id)
		if err != nil {
			return err
		}
		if err := s.forwardTableReady(tx.View, g); err != nil {
			return err
		}
		tx.Delete(e)
		tx.Done("DNAT entry deleted", forwardAttrs(e)...)
		return nil
	})
}

// set puts a new value in place of an old one, if there is a new one.
func set[T any](old *T, value *T) {
	if value != nil {
		*old = *value
	}
}

func forwardAttrs(e *resource.ForwardEntry) []any {
	return []any{"entry", e.ID, "gateway", e.Gateway, "vpc", e.VPC, "protocol", e.Protocol,
		"external", e.ExternalIP.String() + ":" + e.External().String(), "internal", e.InternalIP.String() + ":" + e.Internal().String()}
}
