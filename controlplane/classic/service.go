package classic

import (
	"context"
	"log/slog"
	"net/netip"
	"slices"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service carries out the actions on classic links. Its methods may be called concurrently.
type Service struct {
	db       *state.DB
	settings *settings.Settings
	writer   change.Writer
}

// New returns the service over db. now is the clock of creation times and receipts.
func New(db *state.DB, set *settings.Settings, now func() time.Time, log *slog.Logger) *Service {
	return &Service{db: db, settings: set, writer: change.NewWriter(db, set, now, log)}
}

// Under returns the service with ids of another form.
func (s *Service) Under(ids resource.IDs) *Service {
	c := *s
	c.writer.IDs = ids
	return &c
}

// Has says whether a region has a classic network.
func (s *Service) Has(region string) bool {
	_, ok := s.settings.ClassicNetworkOf(region)
	return ok
}

// Attach links instances of the classic network to a VPC of their region: all or none
// (AttachClassicLinkVpc). One that is named twice counts once.
//
// Reasons, in this order: RegionNotFound, VPCNotFound, ClassicMissing, ClassicCIDR,
// InstanceNotFound, ClassicInVPC, ClassicLinked, QuotaClassicLink, ClassicNoAddress,
// VPCInTransition.
func (s *Service) Attach(ctx context.Context, c identity.Caller, region, vpc string, instances []string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		v, err := lookup.In(s.settings, c, tx.VPCs, region, vpc)
		if err != nil {
			return err
		}
		network, ok := s.settings.ClassicNetworkOf(region)
		if !ok {
			return fault.New(fault.ClassicMissing, "region %s", region)
		}
		if err := apart(tx.View, v, network.Prefix); err != nil {
			return err
		}
		var made []resource.Resource
		for _, id := range distinct(instances) {
			i, err := s.instance(tx, c, region, id)
			if err != nil {
				return err
			}
			if l, ok := tx.ClassicLinks.By(state.ByInstance, i.ID).First(); ok {
				return fault.New(fault.ClassicLinked, "instance %s is linked to VPC %s; an instance has one link at most", id, l.VPC)
			}
			made = append(made, &resource.ClassicLink{
				Meta: resource.Meta{ID: tx.NewID("vcx"), Account: c.Account, Region: region, CreatedAt: s.writer.Now()},
				VPC:  vpc, Instance: i.ID,
			})
		}
		if err := tx.Room(made...); err != nil {
			return err
		}
		if !network.Serves(v.ClassicAddress) {
			a, ok := freeAddress(tx.View, network)
			if !ok {
				return fault.New(fault.ClassicNoAddress, "each address of the pool is that of a VPC's router")
			}
			with := v.Clone().(*resource.VPC)
			with.ClassicAddress = a
			tx.PutAttributes(with) // the links are what the dataplane follows
		}
		if err := s.ready(tx.View, v); err != nil {
			return err
		}
		for _, l := range made {
			tx.Put(l)
		}
		tx.Done("classic instances linked", "vpc", vpc, "instances", instances)
		return nil
	})
}

// ready refuses a link while the VPC is in transition, or a network of the caller's may still
// hold one that was taken away: that instance would be linked to two. Reason: VPCInTransition.
func (s *Service) ready(v *state.View, vpc *resource.VPC) error {
	for other := range v.VPCs.By(state.ByRegion, state.Key(vpc.Account, vpc.Region)).All() {
		if s.db.Observed.Deleting(other.ID, resource.KindClassicLink) {
			return fault.InTransition(fault.VPCInTransition, other.ID, "a link of VPC %s is still being taken away", other.ID)
		}
	}
	return state.Ready(s.db.Observed, v.VPCs, vpc)
}

// instance returns the caller's instance on the classic network of a region.
func (s *Service) instance(tx *change.Tx, c identity.Caller, region, id string) (*resource.ClassicInstance, error) {
	i, err := lookup.In(s.settings, c, tx.ClassicInstances, region, id)
	if err == nil {
		return i, nil
	}
	if other, in := lookup.In(s.settings, c, tx.Instances, region, id); in == nil {
		return nil, fault.New(fault.ClassicInVPC, "instance %s is in VPC %s", id, other.VPC)
	}
	return nil, err
}

// apart refuses a VPC that has some of the classic network's addresses itself: as a block, or
// for the clients of an SSL-VPN server.
func apart(v *state.View, vpc *resource.VPC, network netip.Prefix) error {
	for _, p := range vpc.Blocks() {
		if p.Overlaps(network) {
			return fault.New(fault.ClassicCIDR, "block %s of VPC %s overlaps %s", p, vpc.ID, network)
		}
	}
	for x := range v.SSLServers.By(state.ByVPC, vpc.ID).All() {
		if x.Pool.Overlaps(network) {
			return fault.New(fault.ClassicCIDR, "%s, the addresses of the clients of SSL-VPN server %s, overlap %s", x.Pool, x.ID, network)
		}
	}
	return nil
}

// freeAddress returns the lowest address of a classic network's pool that no VPC's router has;
// false if there is none.
func freeAddress(v *state.View, network settings.ClassicNetwork) (netip.Addr, bool) {
	taken := map[netip.Addr]bool{}
	for vpc := range v.VPCs.All() {
		if vpc.Region == network.Region {
			taken[vpc.ClassicAddress] = true
		}
	}
	for _, r := range network.Pool {
		for a := r.First; !r.Last.Less(a); a = a.Next() {
			if !taken[a] {
				return a, true
			}
		}
	}
	return netip.Addr{}, false
}

func distinct(list []string) []string { return slices.Compact(slices.Sorted(slices.Values(list))) }

// Detach takes links of instances to a VPC away: all or none (DetachClassicLinkVpc).
//
// Reasons, in this order: RegionNotFound, VPCNotFound, InstanceNotFound, ClassicInVPC,
// ClassicNotLinked, VPCInTransition.
func (s *Service) Detach(ctx context.Context, c identity.Caller, region, vpc string, instances []string) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		v, err := lookup.In(s.settings, c, tx.VPCs, region, vpc)
		if err != nil {
			return err
		}
		for _, id := range distinct(instances) {
			i, err := s.instance(tx, c, region, id)
			if err != nil {
				return err
			}
			l, ok := tx.ClassicLinks.By(state.ByInstance, i.ID).First()
			if !ok || l.VPC != vpc {
				return fault.New(fault.ClassicNotLinked, "instance %s and VPC %s", id, vpc)
			}
			tx.Delete(l)
		}
		if err := state.Ready(s.db.Observed, tx.VPCs, v); err != nil {
			return err
		}
		tx.Done("classic instances unlinked", "vpc", vpc, "instances", instances)
		return nil
	})
}

// Link is a classic link with the address of its instance.
type Link struct {
	*resource.ClassicLink
	Address netip.Addr
}

// Filter says which links are listed. All conditions have to hold; one without values is none.
type Filter struct {
	Region    string
	None      bool // nothing is listed
	VPCs      state.OneOf[string]
	Addresses state.OneOf[netip.Addr]
}

// Links returns one page of the caller's links, in order of creation
// (DescribeClassicLinkInstances). Reason: RegionNotFound.
func (s *Service) Links(c identity.Caller, f Filter, p state.Page) (state.Listing[Link], error) {
	if err := s.settings.CheckRegion(f.Region); err != nil || f.None {
		return state.Listing[Link]{}, err
	}
	v := s.db.View()
	item := func(l *resource.ClassicLink) Link {
		i, _ := v.ClassicInstances.Get(l.Instance)
		return Link{l, i.Address}
	}
	keep := func(l *resource.ClassicLink) bool { return f.VPCs.Allows(l.VPC) && f.Addresses.Allows(item(l).Address) }
	return state.SelectOwn(v.ClassicLinks, c.Account, f.Region, p, keep, item, state.Under{Index: state.ByVPC, Keys: f.VPCs}), nil
}
