package tags_test

import (
	"context"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/bandwidth"
	"sluice/controlplane/fault"
	"sluice/controlplane/havip"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/state"
	"sluice/controlplane/tags"
	"sluice/controlplane/vpn"
)

var ctx = context.Background()

// site is a VPC of Alice's with a VPN gateway in its VSwitch.
type site struct {
	*planetest.Plane
	vpc, vswitch, gateway string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Plane: planetest.New(t)}
	s.vpc = s.Plane.VPC(planetest.Alice, "10.0.0.0/16").VPC
	s.vswitch = s.VSwitch(planetest.Alice, s.vpc, "10.0.1.0/24")
	g, err := s.VPN.CreateGateway(ctx, planetest.Alice, vpn.Gateway{Region: planetest.Region, VPC: s.vpc, VSwitch: s.vswitch, Bandwidth: 5, IPsec: true})
	succeeds(t, err)
	s.gateway = g.ID
	return s
}

func succeeds(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func of(kind resource.Kind, ids ...string) tags.Target {
	return tags.Target{Region: planetest.Region, Kind: kind, IDs: ids}
}

func (s *site) tag(t *testing.T, to tags.Target, tags ...tags.Tag) {
	t.Helper()
	succeeds(t, s.Tags.Tag(ctx, planetest.Alice, to, tags))
}

// list returns what a query finds, page by page, as resource:key=value.
func (s *site) list(t *testing.T, q tags.Query) []string {
	t.Helper()
	if q.Size == 0 {
		q.Size = 20
	}
	var list []string
	for {
		page, next, err := s.Tags.List(planetest.Alice, q)
		succeeds(t, err)
		if len(page) > q.Size || next != "" && len(page) < q.Size {
			t.Fatalf("a page of %d tags, asked for %d", len(page), q.Size)
		}
		for _, x := range page {
			list = append(list, x.Resource+":"+x.Key+"="+x.Value)
		}
		if next == "" {
			return list
		}
		q.Token = next
	}
}

// customerGateway makes a customer gateway of Alice's and returns its id.
func (s *site) customerGateway(t *testing.T) string {
	t.Helper()
	g, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr("198.51.100.1")})
	succeeds(t, err)
	return g.ID
}

// connection makes a VPN connection to another customer gateway and returns its id.
func (s *site) connection(t *testing.T) string {
	t.Helper()
	g, err := s.VPN.CreateCustomerGateway(ctx, planetest.Alice, vpn.CustomerGateway{Region: planetest.Region, Address: netip.MustParseAddr("198.51.100.2")})
	succeeds(t, err)
	c, err := s.VPN.CreateConnection(ctx, planetest.Alice, vpn.NewConnection{Region: planetest.Region, Gateway: s.gateway, CustomerGateway: g.ID, Settings: vpn.ConnectionSettings{
		LocalSubnets: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}, RemoteSubnets: []netip.Prefix{netip.MustParsePrefix("192.168.0.0/16")}}})
	succeeds(t, err)
	return c.ID
}

// commonPackage makes a common bandwidth package and returns its id.
func (s *site) commonPackage(t *testing.T) string {
	t.Helper()
	id, err := s.Bandwidth.Create(ctx, planetest.Alice, bandwidth.Package{Region: planetest.Region, Bandwidth: 5, Charge: resource.ByBandwidth})
	succeeds(t, err)
	return id
}

func (s *site) routerInterface(t *testing.T, router string) string {
	t.Helper()
	id, err := s.Links.Create(ctx, planetest.Alice, routerinterface.NewInterface{Region: planetest.Region, RouterKind: resource.VPCRouter, Router: router,
		Opposite: resource.Opposite{Region: planetest.Region, RouterKind: resource.VPCRouter}})
	succeeds(t, err)
	return id
}

func (s *site) haVip(t *testing.T) string {
	t.Helper()
	h, err := s.HaVip.Create(ctx, planetest.Alice, havip.NewHaVip{Region: planetest.Region, VSwitch: s.vswitch})
	succeeds(t, err)
	return h.ID
}

func TestTagEveryKind(t *testing.T) {
	s := newSite(t)
	vpc, _ := s.DB.View().VPCs.Get(s.vpc)
	var kinds []resource.Kind
	for kind, id := range map[resource.Kind]string{
		resource.KindVPC: s.vpc, resource.KindVSwitch: s.vswitch, resource.KindRouteTable: vpc.RouteTable,
		resource.KindElasticIP: s.NewEIP(planetest.Alice).ID, resource.KindVPNGateway: s.gateway,
		resource.KindNATGateway: s.Gateway(planetest.Alice, s.vpc).ID, resource.KindCustomerGateway: s.customerGateway(t), resource.KindVPNConnection: s.connection(t),
		resource.KindCommonPackage: s.commonPackage(t), resource.KindRouterInterface: s.routerInterface(t, vpc.VRouter), resource.KindHaVip: s.haVip(t),
	} {
		kinds = append(kinds, kind)
		s.tag(t, of(kind, id), tags.Tag{Key: "Dept", Value: "Finance"}, tags.Tag{Key: "Empty", Value: ""})
		want := []string{id + ":Dept=Finance", id + ":Empty="}
		if got := s.list(t, tags.Query{Target: of(kind, id)}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
		// By the tag, only resources of the kind are found.
		if got := s.list(t, tags.Query{Target: of(kind), Filters: []tags.Match{{Key: "Dept"}}}); !slices.Equal(got, want[:1]) {
			t.Errorf("%s by key: %q, want %q", kind, got, want[:1])
		}
	}
	if slices.Sort(kinds); !slices.Equal(kinds, state.TaggedKinds()) {
		t.Errorf("tagged %v, of %v", kinds, state.TaggedKinds())
	}
	// A tag is nothing that the dataplane follows.
	s.Stalled(func() {
		s.tag(t, of(resource.KindVPNGateway, s.gateway), tags.Tag{Key: "Site", Value: "A"})
		g, err := s.VPN.Gateway(planetest.Alice, planetest.Region, s.gateway)
		if succeeds(t, err); g.Phase != resource.Ready {
			t.Errorf("a tag put the gateway into phase %v", g.Phase)
		}
	})
}

func TestTagChangesAndRemoves(t *testing.T) {
	s := newSite(t)
	to := of(resource.KindVPC, s.vpc)
	s.tag(t, to, tags.Tag{Key: "a", Value: "1"}, tags.Tag{Key: "b", Value: "2"})
	s.tag(t, to, tags.Tag{Key: "b", Value: "3"}, tags.Tag{Key: "c", Value: ""})
	if got := s.list(t, tags.Query{Target: to}); strings.Join(got, " ") != fmt.Sprintf("%[1]s:a=1 %[1]s:b=3 %[1]s:c=", s.vpc) {
		t.Errorf("tags %q", got)
	}
	before := s.DB.View()
	s.tag(t, to, tags.Tag{Key: "b", Value: "3"})
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, to, tags.Old{Keys: []string{"absent"}}))
	if s.DB.View() != before {
		t.Error("a change to what is there was written")
	}
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, to, tags.Old{Keys: []string{"a", "absent"}}))
	if got := s.list(t, tags.Query{Target: to}); len(got) != 2 {
		t.Errorf("tags %q", got)
	}
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, to, tags.Old{Keys: []string{"b", "c"}}))
	if n := s.DB.View().TagSets.Len(); n != 0 {
		t.Errorf("%d sets without a tag are kept", n)
	}
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, to, tags.Old{Keys: []string{"b"}}))

	// By value, and all at once.
	s.tag(t, to, tags.Tag{Key: "a", Value: "1"}, tags.Tag{Key: "b", Value: "2"}, tags.Tag{Key: "c", Value: "3"})
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, to, tags.Old{Tags: []state.TagMatch{{Key: "a", Values: []string{"2"}}, {Key: "b", Values: []string{"2"}}, {Key: "absent"}}}))
	if got := s.list(t, tags.Query{Target: to}); strings.Join(got, " ") != fmt.Sprintf("%[1]s:a=1 %[1]s:c=3", s.vpc) {
		t.Errorf("tags %q", got)
	}
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, to, tags.Old{All: true}))
	if n := s.DB.View().TagSets.Len(); n != 0 {
		t.Errorf("%d sets without a tag are kept", n)
	}

	// The tags go with the resource.
	alone := s.VPC(planetest.Alice, "10.0.0.0/16").VPC
	s.tag(t, of(resource.KindVPC, alone, s.vpc), tags.Tag{Key: "k", Value: "v"})
	succeeds(t, s.Network.DeleteVPC(ctx, planetest.Alice, alone))
	if got := s.list(t, tags.Query{Target: of(resource.KindVPC), Filters: []tags.Match{{Key: "k"}}}); !slices.Equal(got, []string{s.vpc + ":k=v"}) {
		t.Errorf("tags %q", got)
	}
}

func TestTagIsRefused(t *testing.T) {
	s := newSite(t)
	theirs := s.VPC(planetest.Bob, "10.0.0.0/16").VPC
	one := []tags.Tag{{Key: "k", Value: "v"}}
	var many []tags.Tag
	for i := range 20 {
		many = append(many, tags.Tag{Key: fmt.Sprintf("k%d", i), Value: "v"})
	}
	s.tag(t, of(resource.KindVSwitch, s.vswitch), many...)
	before := s.DB.View()
	for name, c := range map[string]struct {
		to   tags.Target
		tags []tags.Tag
		want fault.Reason
	}{
		"region":         {tags.Target{Region: "mars", Kind: resource.KindVPC, IDs: []string{s.vpc}}, one, fault.RegionNotFound},
		"another region": {tags.Target{Region: planetest.Elsewhere, Kind: resource.KindVPC, IDs: []string{s.vpc}}, one, fault.VPCNotFound},
		"no tag":         {of(resource.KindVPC, s.vpc), nil, fault.TagsMissing},
		"twice":          {of(resource.KindVPC, s.vpc), []tags.Tag{{Key: "k", Value: "v"}, {Key: "k", Value: "w"}}, fault.TagDuplicate},
		"one of two":     {of(resource.KindVPC, s.vpc, "vpc-none"), one, fault.VPCNotFound},
		"Bob's":          {of(resource.KindVPC, theirs), one, fault.VPCNotFound},
		"another kind":   {of(resource.KindVSwitch, s.vpc), one, fault.VSwitchNotFound},
		"route table":    {of(resource.KindRouteTable, "vtb-none"), one, fault.RouteTableNotFound},
		"elastic IP":     {of(resource.KindElasticIP, "eip-none"), one, fault.ElasticIPNotFound},
		"VPN gateway":    {of(resource.KindVPNGateway, "vpn-none"), one, fault.VPNGatewayNotFound},
		"NAT gateway":    {of(resource.KindNATGateway, "ngw-none"), one, fault.NATGatewayNotFound},
		"kind":           {of(resource.KindVRouter, "vrt-none"), one, fault.ParameterInvalid},
		"too many":       {of(resource.KindVSwitch, s.vswitch), one, fault.QuotaTag},
	} {
		t.Run(name, func(t *testing.T) {
			planetest.Refused(t, s.Tags.Tag(ctx, planetest.Alice, c.to, c.tags), c.want)
			if s.DB.View() != before {
				t.Error("a refused call changed something")
			}
		})
	}
	// The value of one of the twenty may change all the same.
	s.tag(t, of(resource.KindVSwitch, s.vswitch), tags.Tag{Key: "k7", Value: "w"})
	planetest.Refused(t, s.Tags.Untag(ctx, planetest.Alice, of(resource.KindVPC, s.vpc), tags.Old{}), fault.TagsMissing)
	planetest.Refused(t, s.Tags.Untag(ctx, planetest.Alice, of(resource.KindVPC, theirs), tags.Old{Keys: []string{"k"}}), fault.VPCNotFound)
}

func TestTagQuery(t *testing.T) {
	s := newSite(t)
	a, b, c := s.vpc, s.VPC(planetest.Alice, "10.0.0.0/16").VPC, s.VPC(planetest.Alice, "10.0.0.0/16").VPC
	s.tag(t, of(resource.KindVPC, a), tags.Tag{Key: "dept", Value: "hr"}, tags.Tag{Key: "site", Value: "paris"}, tags.Tag{Key: "x", Value: ""})
	s.tag(t, of(resource.KindVPC, b), tags.Tag{Key: "dept", Value: "hr"}, tags.Tag{Key: "site", Value: "rome"})
	s.tag(t, of(resource.KindVPC, c), tags.Tag{Key: "dept", Value: "it"})
	is := func(key, value string) tags.Match { return tags.Match{Key: key, Values: []string{value}} }
	has := func(key string) tags.Match { return tags.Match{Key: key} }
	for name, x := range map[string]struct {
		ids     []string
		filters []tags.Match
		want    []string
	}{
		"of resources":       {[]string{b, a, a}, nil, []string{a + ":dept=hr", a + ":site=paris", a + ":x=", b + ":dept=hr", b + ":site=rome"}},
		"unknown resource":   {[]string{"vpc-none"}, nil, nil},
		"by key":             {nil, []tags.Match{has("dept")}, []string{a + ":dept=hr", b + ":dept=hr", c + ":dept=it"}},
		"by value":           {nil, []tags.Match{is("dept", "hr")}, []string{a + ":dept=hr", b + ":dept=hr"}},
		"by values":          {nil, []tags.Match{{Key: "dept", Values: []string{"it", "hr"}}}, []string{a + ":dept=hr", b + ":dept=hr", c + ":dept=it"}},
		"by one of values":   {nil, []tags.Match{{Key: "dept", Values: []string{"it", "none"}}}, []string{c + ":dept=it"}},
		"by two":             {nil, []tags.Match{is("site", "rome"), has("dept")}, []string{b + ":dept=hr", b + ":site=rome"}},
		"contradictory":      {nil, []tags.Match{is("site", "rome"), is("site", "paris")}, nil},
		"given twice":        {nil, []tags.Match{has("x"), has("x")}, []string{a + ":x="}},
		"no such key":        {nil, []tags.Match{has("dept"), has("none")}, nil},
		"of resource by key": {[]string{a, c}, []tags.Match{is("dept", "hr")}, []string{a + ":dept=hr"}},
	} {
		q := tags.Query{Target: of(resource.KindVPC, x.ids...), Filters: x.filters}
		for _, q.Size = range []int{20, 1, 2} {
			if got := s.list(t, q); !slices.Equal(got, x.want) {
				t.Errorf("%s in pages of %d: %q, want %q", name, q.Size, got, x.want)
			}
		}
	}
	_, _, err := s.Tags.List(planetest.Alice, tags.Query{Target: of(resource.KindVPC), Size: 20})
	planetest.Refused(t, err, fault.TagQueryEmpty)
	_, _, err = s.Tags.List(planetest.Alice, tags.Query{Target: tags.Target{Region: "mars"}, Size: 20})
	planetest.Refused(t, err, fault.RegionNotFound)
}

// What comes and goes between two pages neither repeats nor hides a tag, and a
// token serves its own query alone.
func TestTagPages(t *testing.T) {
	s := newSite(t)
	ids := []string{s.vpc, s.VPC(planetest.Alice, "10.0.0.0/16").VPC, s.VPC(planetest.Alice, "10.0.0.0/16").VPC}
	for _, id := range ids {
		s.tag(t, of(resource.KindVPC, id), tags.Tag{Key: "a", Value: "1"}, tags.Tag{Key: "b", Value: "2"})
	}
	q := tags.Query{Target: of(resource.KindVPC, ids...), Size: 3}
	first, next, err := s.Tags.List(planetest.Alice, q)
	succeeds(t, err)
	if len(first) != 3 || next == "" {
		t.Fatalf("first page %v, token %q", first, next)
	}
	succeeds(t, s.Tags.Untag(ctx, planetest.Alice, of(resource.KindVPC, ids[1]), tags.Old{Keys: []string{"a"}})) // the last of the page
	s.tag(t, of(resource.KindVPC, ids[0]), tags.Tag{Key: "c", Value: ""})                                        // before it
	q.Token, q.Size = next, 20
	rest, end, err := s.Tags.List(planetest.Alice, q)
	succeeds(t, err)
	if len(rest) != 3 || rest[0].Resource != ids[1] || rest[0].Key != "b" || rest[2].Resource != ids[2] || end != "" {
		t.Errorf("rest %v, token %q", rest, end)
	}
	for name, other := range map[string]tags.Query{
		"another query": {Target: of(resource.KindVPC, ids[:2]...), Token: next, Size: 3},
		"another kind":  {Target: of(resource.KindVSwitch, ids...), Token: next, Size: 3},
		"a changed one": {Target: q.Target, Token: "A" + next[1:] + "x", Size: 3},
		"none":          {Target: q.Target, Token: "none", Size: 3},
		"odd letters":   {Target: q.Target, Token: "!", Size: 3},
	} {
		_, _, err := s.Tags.List(planetest.Alice, other)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		planetest.Refused(t, err, fault.PageTokenInvalid)
	}
	_, _, err = s.Tags.List(planetest.Bob, tags.Query{Target: q.Target, Token: next, Size: 3})
	planetest.Refused(t, err, fault.PageTokenInvalid)
}
