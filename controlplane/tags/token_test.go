package tags

import (
	"testing"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// TestTokens: what was given out for a page stays valid, whatever becomes of the
// form of a query.
func TestTokens(t *testing.T) {
	c := identity.Caller{Account: "1001"}
	vpcs := func(ids ...string) Target { return Target{Region: "r", Kind: resource.KindVPC, IDs: ids} }
	seen := map[string]bool{}
	for _, x := range []struct {
		q    Query
		want string // empty: any that no other query has
	}{
		{Query{Target: vpcs("vpc-1", "vpc-2")}, "AAAAAAAAAAd2cGMtMQBkZXB0vs-PT630rWM"},
		{Query{Target: vpcs(), Filters: []Match{{Key: "dept"}}}, "AAAAAAAAAAd2cGMtMQBkZXB0n81oq6JI6QM"},
		{Query{Target: vpcs(), Filters: []Match{{Key: "dept", Values: []string{"hr"}}, {Key: "x", Values: []string{""}}}}, "AAAAAAAAAAd2cGMtMQBkZXB0_xRM7u9ZRWA"},
		{Query{Target: vpcs(), Filters: []Match{{Key: "dept", Values: []string{"hr", "it"}}}}, ""},
		{Query{Target: vpcs(), Filters: []Match{{Key: "dept", Values: []string{"hr"}}}}, ""},
	} {
		got := token(c, x.q, place{7, "vpc-1", "dept"})
		if x.want != "" && got != x.want || seen[got] {
			t.Errorf("%+v: token %s, want %s", x.q, got, x.want)
		}
		seen[got] = true
		x.q.Token = got
		if p, err := parseToken(c, x.q); err != nil || p != (place{7, "vpc-1", "dept"}) {
			t.Errorf("%+v: %v %v", x.q, p, err)
		}
	}
}
