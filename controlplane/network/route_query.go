package network

import (
	"net/netip"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/pagetoken"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// RouteTableFilter says which route tables a listing shows. All conditions
// apply at once.
type RouteTableFilter struct {
	Region   string // empty: any
	IDs      state.OneOf[string]
	VPCs     state.OneOf[string]
	VRouters state.OneOf[string]
	Routers  state.OneOf[string] // ids of VRouters or of VBRs
	Names    state.OneOf[string]
	Custom   state.OneOf[bool]
	VBR      state.OneOf[bool] // whether it is a border router's
	None     bool              // a filter that none can match was given
	state.Labelled
}

// RouteTable is a route table as a listing shows it.
type RouteTable struct {
	*resource.RouteTable
	Phase     resource.Phase // Changing: a VSwitch is being bound to it
	VSwitches []string       // ids of those that go by it, in order of creation
	Entries   []RouteEntry
}

// RouteEntry is a route entry as a listing shows it.
type RouteEntry struct {
	ID          string
	Number      int64 // see resource.EntryNumber
	Table       string
	Destination netip.Prefix
	System      bool
	Name        string
	Description string
	NextHops    []resource.NextHop // none: an entry that comes with a VSwitch or the VPC
	Nowhere     []string           // ids of those that lead nowhere now: router interfaces that are not connected and active
	Phase       resource.Phase
}

// RouteTables returns one page of the caller's route tables, in order of
// creation and with all their entries (DescribeRouteTables,
// DescribeRouteTableList). A router of another kind than asked for, or of another
// account, leaves nothing to list. Reason: RegionNotFound.
func (s *Service) RouteTables(c identity.Caller, f RouteTableFilter, p state.Page) (state.Listing[RouteTable], error) {
	if f.Region != "" {
		if err := s.settings.CheckRegion(f.Region); err != nil {
			return state.Listing[RouteTable]{}, err
		}
	}
	if f.None {
		return state.Listing[RouteTable]{}, nil
	}
	v := s.db.View()
	item := func(t *resource.RouteTable) RouteTable { return s.routeTable(v, t) }
	keep := state.Filed(v, f.Labelled, func(t *resource.RouteTable) bool {
		return f.VBR.Allows(t.BorderRouter != "") && state.Owned(t, c.Account, f.Region) && f.IDs.Allows(t.ID) && f.VPCs.Allows(t.VPC) && f.VRouters.Allows(t.VRouter) && f.Routers.Allows(t.Router()) &&
			f.Names.Allows(t.Name) && f.Custom.Allows(t.Custom)
	})
	switch {
	case len(f.IDs) > 0:
		return state.Select(v.RouteTables.ByID(f.IDs...), p, keep, item), nil
	case len(f.VPCs) > 0:
		return state.Select(v.RouteTables.ByAny(state.ByVPC, f.VPCs...), p, keep, item), nil
	case len(f.VRouters) > 0:
		return state.Select(v.RouteTables.ByAny(state.ByVPC, vpcsOf(v, f.VRouters)...), p, keep, item), nil
	case len(f.Routers) > 0 && len(vpcsOf(v, f.Routers)) == len(f.Routers):
		return state.Select(v.RouteTables.ByAny(state.ByVPC, vpcsOf(v, f.Routers)...), p, keep, item), nil
	}
	return state.Select(v.RouteTables.By(state.ByAccount, c.Account), p, keep, item), nil
}

// vpcsOf returns the ids of the routers' VPCs.
func vpcsOf(v *state.View, routers []string) []string {
	var out []string
	for _, id := range routers {
		if r, ok := v.VRouters.Get(id); ok {
			out = append(out, r.VPC)
		}
	}
	return out
}

func (s *Service) routeTable(v *state.View, t *resource.RouteTable) RouteTable {
	out := RouteTable{RouteTable: t, Phase: resource.Ready, Entries: s.entries(v, t)}
	if t.BorderRouter != "" {
		return out
	}
	for x := range v.VSwitches.By(state.ByVPC, t.VPC).All() {
		if x.RouteTable != t.ID && (x.RouteTable != "" || t.Custom) {
			continue
		}
		out.VSwitches = append(out.VSwitches, x.ID)
		if t.Custom && s.phase(&x.Meta, t.VPC) != resource.Ready {
			out.Phase = resource.Changing
		}
	}
	return out
}

// entries returns the entries of a table: the stored ones in order of creation,
// then the routes that a VPN gateway has published, one for each destination,
// then those that come with the VSwitches, then the one for the cloud's own
// services.
func (s *Service) entries(v *state.View, t *resource.RouteTable) []RouteEntry {
	var list []RouteEntry
	system := func(m *resource.Meta, destination netip.Prefix, hops ...resource.NextHop) {
		list = append(list, RouteEntry{
			ID: resource.EntryID(t.ID, destination, m.Created), Number: resource.EntryNumber(t.ID, destination, m.Created), Table: t.ID, Destination: destination, System: true, NextHops: hops, Phase: s.phase(m, t.VPC)})
	}
	for e := range v.RouteEntries.By(state.ByTable, t.ID).All() {
		list = append(list, RouteEntry{
			ID: resource.EntryID(t.ID, e.Destination, e.Created), Number: resource.EntryNumber(t.ID, e.Destination, e.Created), Table: t.ID, Destination: e.Destination, System: e.System,
			Name: e.Name, Description: e.Description, NextHops: e.NextHops, Nowhere: s.nowhere(v, e), Phase: s.phase(&e.Meta, e.Network())})
	}
	if b, ok := v.BorderRouters.Get(t.BorderRouter); ok {
		if b.Confirmed() {
			list = append(list, RouteEntry{
				ID: resource.EntryID(t.ID, b.Subnet, b.Created), Table: t.ID, Destination: b.Subnet, System: true,
				NextHops: []resource.NextHop{{Type: resource.NextHopLine, ID: b.LineInterface}}, Phase: s.phase(&b.Meta, b.ID)})
		}
		return list
	}
	published := make(map[netip.Prefix]bool)
	if !t.Custom {
		for r := range v.VPNRoutes.By(state.ByVPC, t.VPC).All() {
			if r.Published && !published[r.Destination] {
				published[r.Destination] = true
				system(&r.Meta, r.Destination, resource.NextHop{Type: resource.NextHopVPNGateway, ID: r.Gateway})
			}
		}
	}
	for x := range v.VSwitches.By(state.ByVPC, t.VPC).All() {
		system(&x.Meta, x.CIDR)
	}
	if vpc, ok := v.VPCs.Get(t.VPC); ok {
		system(&vpc.Meta, CarrierGrade)
	}
	return list
}

// nowhere returns the ids of the next hops of an entry that lead nowhere.
func (s *Service) nowhere(v *state.View, e *resource.RouteEntry) (ids []string) {
	for _, h := range e.NextHops {
		if h.Type == resource.NextHopRouterInterface && !s.crosses(v, h.ID) {
			ids = append(ids, h.ID)
		}
	}
	return ids
}

// crosses says whether packets cross the link of a router interface: both ends are active, and
// the dataplanes of both networks have followed that.
func (s *Service) crosses(v *state.View, id string) bool {
	r, ok := v.RouterInterfaces.Get(id)
	if !ok || !r.Up() {
		return false
	}
	peer, ok := v.RouterInterfaces.Get(r.Link.Peer)
	if !ok || !peer.Up() || !r.Connects(peer) {
		return false
	}
	for _, network := range r.Networks() {
		if s.phase(&r.Meta, network) != resource.Ready || s.phase(&peer.Meta, network) != resource.Ready {
			return false
		}
	}
	return true
}

// RouteEntryQuery selects entries of a route table.
type RouteEntryQuery struct {
	Region       string // empty: any
	Table        string
	IDs          state.OneOf[string]
	Destinations state.OneOf[netip.Prefix]
	Names        state.OneOf[string]
	System       state.OneOf[bool]
	HopTypes     state.OneOf[resource.NextHopType]
	HopIDs       state.OneOf[string]
	None         bool   // a filter that no entry can match was given
	Token        string // of the page before; empty: the first page
	Size         int    // of a page, from 1
}

// entryTokens are the tokens by which a listing of entries goes on. The query is the table
// alone: a destination is a place whatever else is asked for.
var entryTokens = pagetoken.Form{Encode: pagetoken.URL.EncodeToString, Decode: pagetoken.URL.DecodeString, Sum: 8}

// RouteEntries returns a page of the entries of one of the caller's route tables, by
// destination, and the token of the next page, empty on the last (DescribeRouteEntryList).
// An entry that comes or goes between two pages moves no other from one to the other.
//
// Reasons: RegionNotFound, RouteTableNotFound, PageTokenInvalid.
func (s *Service) RouteEntries(c identity.Caller, q RouteEntryQuery) (page []RouteEntry, next string, err error) {
	v := s.db.View()
	t, err := s.table(v, c, q.Region, q.Table)
	if err != nil {
		return nil, "", err
	}
	after := netip.Prefix{}
	if q.Token != "" {
		place, ok := entryTokens.Place(c.Account+"\n"+q.Table, q.Token)
		if !ok || after.UnmarshalText(place) != nil {
			return nil, "", fault.New(fault.PageTokenInvalid, "token %.80q was not given for this query", q.Token)
		}
	}
	if q.None {
		return nil, "", nil
	}
	list := s.entries(v, t)
	slices.SortFunc(list, func(a, b RouteEntry) int { return a.Destination.Compare(b.Destination) })
	for _, e := range list {
		if q.Token != "" && e.Destination.Compare(after) <= 0 || !q.allows(e) {
			continue
		}
		if len(page) == q.Size {
			place, err := page[len(page)-1].Destination.MarshalText()
			return page, entryTokens.Make(c.Account+"\n"+q.Table, place), err
		}
		page = append(page, e)
	}
	return page, "", nil
}

func (q RouteEntryQuery) allows(e RouteEntry) bool {
	hop := func(allows func(resource.NextHop) bool) bool { return slices.ContainsFunc(e.NextHops, allows) }
	return q.IDs.Allows(e.ID) && q.Destinations.Allows(e.Destination) && q.Names.Allows(e.Name) && q.System.Allows(e.System) &&
		(len(q.HopTypes) == 0 || hop(func(h resource.NextHop) bool { return q.HopTypes.Allows(h.Type) })) &&
		(len(q.HopIDs) == 0 || hop(func(h resource.NextHop) bool { return q.HopIDs.Allows(h.ID) }))
}

// VPCByID returns one of the caller's VPCs (DescribeVpcAttribute). Reasons: RegionNotFound,
// VPCNotFound.
func (s *Service) VPCByID(c identity.Caller, region, id string) (VPC, error) {
	return byID(s, c, region, func(v *state.View) *state.Table[*resource.VPC] { return v.VPCs }, id, s.showVPC)
}

// VSwitchByID returns one of the caller's VSwitches (DescribeVSwitchAttributes). Reasons:
// RegionNotFound, VSwitchNotFound.
func (s *Service) VSwitchByID(c identity.Caller, region, id string) (VSwitch, error) {
	return byID(s, c, region, func(v *state.View) *state.Table[*resource.VSwitch] { return v.VSwitches }, id, s.showVSwitch)
}

// byID returns one of the caller's resources as a listing shows it; an empty region is any.
func byID[R resource.Resource, T any](s *Service, c identity.Caller, region string, table func(*state.View) *state.Table[R], id string, show func(*state.View, R) T) (none T, err error) {
	v := s.db.View()
	r, err := inRegion(s, c, table(v), region, id)
	if err != nil {
		return none, err
	}
	return show(v, r), nil
}
