package vpn_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/vpn"
)

func of(kind resource.Kind, ids ...string) vpn.Tagged {
	return vpn.Tagged{Region: planetest.Region, Kind: kind, IDs: ids}
}

func (s *site) tag(t *testing.T, to vpn.Tagged, tags ...vpn.Tag) {
	t.Helper()
	succeeds(t, s.VPN.Tag(ctx, planetest.Alice, to, tags))
}

// tags lists what a query finds, page by page, as resource:key=value.
func (s *site) tags(t *testing.T, q vpn.TagQuery) []string {
	t.Helper()
	if q.Size == 0 {
		q.Size = 20
	}
	var list []string
	for {
		page, next, err := s.VPN.Tags(planetest.Alice, q)
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

func TestTagEveryKind(t *testing.T) {
	s := newSite(t)
	vpc, _ := s.DB.View().VPCs.Get(s.vpc)
	for kind, id := range map[resource.Kind]string{
		resource.KindVPC: s.vpc, resource.KindVSwitch: s.vswitch, resource.KindRouteTable: vpc.RouteTable,
		resource.KindElasticIP: s.NewEIP(planetest.Alice).ID, resource.KindVPNGateway: s.gateway,
	} {
		s.tag(t, of(kind, id), vpn.Tag{"Dept", "Finance"}, vpn.Tag{"Empty", ""})
		want := []string{id + ":Dept=Finance", id + ":Empty="}
		if got := s.tags(t, vpn.TagQuery{Tagged: of(kind, id)}); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", kind, got, want)
		}
		// By the tag, only resources of the kind are found.
		if got := s.tags(t, vpn.TagQuery{Tagged: of(kind), Filters: []vpn.TagMatch{{Key: "Dept"}}}); !slices.Equal(got, want[:1]) {
			t.Errorf("%s by key: %q, want %q", kind, got, want[:1])
		}
	}
	// A tag is nothing that the dataplane follows.
	s.Stalled(func() {
		s.tag(t, of(resource.KindVPNGateway, s.gateway), vpn.Tag{"Site", "A"})
		if g := s.status(t); g.Phase != resource.Ready {
			t.Errorf("a tag put the gateway into phase %v", g.Phase)
		}
	})
}

func TestTagChangesAndRemoves(t *testing.T) {
	s := newSite(t)
	to := of(resource.KindVPC, s.vpc)
	s.tag(t, to, vpn.Tag{"a", "1"}, vpn.Tag{"b", "2"})
	s.tag(t, to, vpn.Tag{"b", "3"}, vpn.Tag{"c", ""})
	if got := s.tags(t, vpn.TagQuery{Tagged: to}); strings.Join(got, " ") != fmt.Sprintf("%[1]s:a=1 %[1]s:b=3 %[1]s:c=", s.vpc) {
		t.Errorf("tags %q", got)
	}
	before := s.DB.View()
	s.tag(t, to, vpn.Tag{"b", "3"})
	succeeds(t, s.VPN.Untag(ctx, planetest.Alice, to, []string{"absent"}))
	if s.DB.View() != before {
		t.Error("a change to what is there was written")
	}
	succeeds(t, s.VPN.Untag(ctx, planetest.Alice, to, []string{"a", "absent"}))
	if got := s.tags(t, vpn.TagQuery{Tagged: to}); len(got) != 2 {
		t.Errorf("tags %q", got)
	}
	succeeds(t, s.VPN.Untag(ctx, planetest.Alice, to, []string{"b", "c"}))
	if n := s.DB.View().TagSets.Len(); n != 0 {
		t.Errorf("%d sets without a tag are kept", n)
	}
	succeeds(t, s.VPN.Untag(ctx, planetest.Alice, to, []string{"b"}))

	// The tags go with the resource.
	alone := s.VPC(planetest.Alice, "10.0.0.0/16").VPC
	s.tag(t, of(resource.KindVPC, alone, s.vpc), vpn.Tag{"k", "v"})
	succeeds(t, s.Network.DeleteVPC(ctx, planetest.Alice, alone))
	if got := s.tags(t, vpn.TagQuery{Tagged: of(resource.KindVPC), Filters: []vpn.TagMatch{{Key: "k"}}}); !slices.Equal(got, []string{s.vpc + ":k=v"}) {
		t.Errorf("tags %q", got)
	}
}

func TestTagIsRefused(t *testing.T) {
	s := newSite(t)
	theirs := s.VPC(planetest.Bob, "10.0.0.0/16").VPC
	one := []vpn.Tag{{"k", "v"}}
	var many []vpn.Tag
	for i := range 20 {
		many = append(many, vpn.Tag{fmt.Sprintf("k%d", i), "v"})
	}
	s.tag(t, of(resource.KindVSwitch, s.vswitch), many...)
	before := s.DB.View()
	for name, c := range map[string]struct {
		to   vpn.Tagged
		tags []vpn.Tag
		want fault.Reason
	}{
		"region":         {vpn.Tagged{Region: "mars", Kind: resource.KindVPC, IDs: []string{s.vpc}}, one, fault.RegionNotFound},
		"another region": {vpn.Tagged{Region: planetest.Elsewhere, Kind: resource.KindVPC, IDs: []string{s.vpc}}, one, fault.VPCNotFound},
		"no tag":         {of(resource.KindVPC, s.vpc), nil, fault.TagsMissing},
		"twice":          {of(resource.KindVPC, s.vpc), []vpn.Tag{{"k", "v"}, {"k", "w"}}, fault.TagDuplicate},
		"one of two":     {of(resource.KindVPC, s.vpc, "vpc-none"), one, fault.VPCNotFound},
		"Bob's":          {of(resource.KindVPC, theirs), one, fault.VPCNotFound},
		"another kind":   {of(resource.KindVSwitch, s.vpc), one, fault.VSwitchNotFound},
		"route table":    {of(resource.KindRouteTable, "vtb-none"), one, fault.RouteTableNotFound},
		"elastic IP":     {of(resource.KindElasticIP, "eip-none"), one, fault.ElasticIPNotFound},
		"VPN gateway":    {of(resource.KindVPNGateway, "vpn-none"), one, fault.VPNGatewayNotFound},
		"kind":           {of(resource.KindNATGateway, "ngw-none"), one, fault.ParameterInvalid},
		"too many":       {of(resource.KindVSwitch, s.vswitch), one, fault.QuotaTag},
	} {
		t.Run(name, func(t *testing.T) {
			planetest.Refused(t, s.VPN.Tag(ctx, planetest.Alice, c.to, c.tags), c.want)
			if s.DB.View() != before {
				t.Error("a refused call changed something")
			}
		})
	}
	// The value of one of the twenty may change all the same.
	s.tag(t, of(resource.KindVSwitch, s.vswitch), vpn.Tag{"k7", "w"})
	planetest.Refused(t, s.VPN.Untag(ctx, planetest.Alice, of(resource.KindVPC, s.vpc), nil), fault.TagsMissing)
	planetest.Refused(t, s.VPN.Untag(ctx, planetest.Alice, of(resource.KindVPC, theirs), []string{"k"}), fault.VPCNotFound)
}

func TestTagQuery(t *testing.T) {
	s := newSite(t)
	a, b, c := s.vpc, s.VPC(planetest.Alice, "10.0.0.0/16").VPC, s.VPC(planetest.Alice, "10.0.0.0/16").VPC
	s.tag(t, of(resource.KindVPC, a), vpn.Tag{"dept", "hr"}, vpn.Tag{"site", "paris"}, vpn.Tag{"x", ""})
	s.tag(t, of(resource.KindVPC, b), vpn.Tag{"dept", "hr"}, vpn.Tag{"site", "rome"})
	s.tag(t, of(resource.KindVPC, c), vpn.Tag{"dept", "it"})
	is := func(key, value string) vpn.TagMatch { return vpn.TagMatch{Key: key, Value: &value} }
	has := func(key string) vpn.TagMatch { return vpn.TagMatch{Key: key} }
	for name, x := range map[string]struct {
		ids     []string
		filters []vpn.TagMatch
		want    []string
	}{
		"of resources":       {[]string{b, a, a}, nil, []string{a + ":dept=hr", a + ":site=paris", a + ":x=", b + ":dept=hr", b + ":site=rome"}},
		"unknown resource":   {[]string{"vpc-none"}, nil, nil},
		"by key":             {nil, []vpn.TagMatch{has("dept")}, []string{a + ":dept=hr", b + ":dept=hr", c + ":dept=it"}},
		"by value":           {nil, []vpn.TagMatch{is("dept", "hr")}, []string{a + ":dept=hr", b + ":dept=hr"}},
		"by two":             {nil, []vpn.TagMatch{is("site", "rome"), has("dept")}, []string{b + ":dept=hr", b + ":site=rome"}},
		"contradictory":      {nil, []vpn.TagMatch{is("site", "rome"), is("site", "paris")}, nil},
		"given twice":        {nil, []vpn.TagMatch{has("x"), has("x")}, []string{a + ":x="}},
		"no such key":        {nil, []vpn.TagMatch{has("dept"), has("none")}, nil},
		"of resource by key": {[]string{a, c}, []vpn.TagMatch{is("dept", "hr")}, []string{a + ":dept=hr"}},
	} {
		q := vpn.TagQuery{Tagged: of(resource.KindVPC, x.ids...), Filters: x.filters}
		for _, q.Size = range []int{20, 1, 2} {
			if got := s.tags(t, q); !slices.Equal(got, x.want) {
				t.Errorf("%s in pages of %d: %q, want %q", name, q.Size, got, x.want)
			}
		}
	}
	_, _, err := s.VPN.Tags(planetest.Alice, vpn.TagQuery{Tagged: of(resource.KindVPC), Size: 20})
	planetest.Refused(t, err, fault.TagQueryEmpty)
	_, _, err = s.VPN.Tags(planetest.Alice, vpn.TagQuery{Tagged: vpn.Tagged{Region: "mars"}, Size: 20})
	planetest.Refused(t, err, fault.RegionNotFound)
}

// What comes and goes between two pages neither repeats nor hides a tag, and a
// token serves its own query alone.
func TestTagPages(t *testing.T) {
	s := newSite(t)
	ids := []string{s.vpc, s.VPC(planetest.Alice, "10.0.0.0/16").VPC, s.VPC(planetest.Alice, "10.0.0.0/16").VPC}
	for _, id := range ids {
		s.tag(t, of(resource.KindVPC, id), vpn.Tag{"a", "1"}, vpn.Tag{"b", "2"})
	}
	q := vpn.TagQuery{Tagged: of(resource.KindVPC, ids...), Size: 3}
	first, next, err := s.VPN.Tags(planetest.Alice, q)
	succeeds(t, err)
	if len(first) != 3 || next == "" {
		t.Fatalf("first page %v, token %q", first, next)
	}
	succeeds(t, s.VPN.Untag(ctx, planetest.Alice, of(resource.KindVPC, ids[1]), []string{"a"})) // the last of the page
	s.tag(t, of(resource.KindVPC, ids[0]), vpn.Tag{"c", ""})                                    // before it
	q.Token, q.Size = next, 20
	rest, end, err := s.VPN.Tags(planetest.Alice, q)
	succeeds(t, err)
	if len(rest) != 3 || rest[0].Resource != ids[1] || rest[0].Key != "b" || rest[2].Resource != ids[2] || end != "" {
		t.Errorf("rest %v, token %q", rest, end)
	}
	for name, other := range map[string]vpn.TagQuery{
		"another query": {Tagged: of(resource.KindVPC, ids[:2]...), Token: next, Size: 3},
		"another kind":  {Tagged: of(resource.KindVSwitch, ids...), Token: next, Size: 3},
		"a changed one": {Tagged: q.Tagged, Token: "A" + next[1:] + "x", Size: 3},
		"none":          {Tagged: q.Tagged, Token: "none", Size: 3},
		"odd letters":   {Tagged: q.Tagged, Token: "!", Size: 3},
	} {
		_, _, err := s.VPN.Tags(planetest.Alice, other)
		if err == nil {
			t.Errorf("%s: no error", name)
			continue
		}
		planetest.Refused(t, err, fault.PageTokenInvalid)
	}
	_, _, err = s.VPN.Tags(planetest.Bob, vpn.TagQuery{Tagged: q.Tagged, Token: next, Size: 3})
	planetest.Refused(t, err, fault.PageTokenInvalid)
}
