package policy_test

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/policy"
)

// naive decides as the documentation reads, by what is slow and plain: documents as
// maps, patterns as regular expressions. It knows requests about one resource alone.
func naive(t *testing.T, documents []string, r request) policy.Effect {
	t.Helper()
	allowed := false
	for _, text := range documents {
		var d map[string]any
		if err := json.Unmarshal([]byte(text), &d); err != nil {
			t.Fatal(err)
		}
		for _, x := range several(d["Statement"]) {
			s := x.(map[string]any)
			if !naiveElement(s, "Action", r.service+":"+r.action, naiveAction) || !naiveElement(s, "Resource", r.resource(), naiveResource) {
				continue
			}
			if !naiveConditions(s, r) {
				continue
			}
			if s["Effect"] == "Deny" {
				return policy.Deny
			}
			allowed = true
		}
	}
	if allowed {
		return policy.Allow
	}
	return policy.None
}

func several(v any) []any {
	if l, ok := v.([]any); ok {
		return l
	}
	return []any{v}
}

func naiveElement(s map[string]any, name, have string, matches func(pattern, have string) bool) bool {
	v, ok := s[name]
	if !ok {
		v = s["Not"+name]
	}
	for _, p := range several(v) {
		if matches(p.(string), have) {
			return ok
		}
	}
	return !ok
}

func like(pattern, have, flags string) bool {
	q := regexp.QuoteMeta(pattern)
	q = strings.ReplaceAll(q, `\*`, `.*`)
	q = strings.ReplaceAll(q, `\?`, `.`)
	return regexp.MustCompile("(?s" + flags + ")^" + q + "$").MatchString(have)
}

func naiveAction(pattern, have string) bool {
	if pattern == "*" {
		return true
	}
	p, h := strings.SplitN(pattern, ":", 2), strings.SplitN(have, ":", 2)
	return like(p[0], h[0], "i") && like(p[1], h[1], "i")
}

func naiveResource(pattern, have string) bool {
	if pattern == "*" {
		return true
	}
	p := strings.Split(pattern, ":")
	if len(p) == 4 { // without a region
		p = []string{p[0], p[1], "*", p[2], p[3]}
	}
	for i, h := range strings.Split(have, ":") {
		if p[i] != "" && !like(p[i], h, "i") {
			return false
		}
	}
	return true
}

func naiveConditions(s map[string]any, r request) bool {
	conditions, _ := s["Condition"].(map[string]any)
	for operator, x := range conditions {
		for key, v := range x.(map[string]any) {
			negated := strings.Contains(operator, "Not")
			have, ok := r.value(strings.ToLower(key))
			if !ok {
				if negated && s["Effect"] == "Deny" {
					continue
				}
				return false
			}
			met := false
			for _, want := range several(v) {
				met = met || naiveTest(strings.Replace(operator, "Not", "", 1), fmt.Sprint(want), have)
			}
			if met == negated {
				return false
			}
		}
	}
	return true
}

func naiveTest(operator, want, have string) bool {
	compare := func(c int) bool {
		switch {
		case strings.HasSuffix(operator, "LessThan"):
			return c < 0
		case strings.HasSuffix(operator, "LessThanEquals"):
			return c <= 0
		case strings.HasSuffix(operator, "GreaterThan"):
			return c > 0
		case strings.HasSuffix(operator, "GreaterThanEquals"):
			return c >= 0
		}
		return c == 0
	}
	switch {
	case operator == "StringEquals":
		return want == have
	case operator == "StringEqualsIgnoreCase":
		return strings.EqualFold(want, have)
	case operator == "StringLike":
		return like(want, have, "")
	case operator == "Bool":
		return want == have
	case strings.HasPrefix(operator, "Date"):
		w, err := time.Parse(time.RFC3339, want)
		h, err2 := time.Parse(time.RFC3339, have)
		return err == nil && err2 == nil && compare(h.Compare(w))
	}
	a := netip.MustParseAddr(have)
	if p, err := netip.ParsePrefix(want); err == nil {
		return p.Masked().Contains(a)
	}
	return netip.MustParseAddr(want) == a
}

// request is about one resource.
type request struct {
	service, action, of, region, account, id string
	values                                   map[string]string
}

func (r request) resource() string {
	return strings.Join([]string{"acs", r.of, r.region, r.account, r.id}, ":")
}

func (r request) value(key string) (string, bool) { v, ok := r.values[key]; return v, ok }

func (r request) compiled() *policy.Request {
	return &policy.Request{Service: r.service, Action: r.action, Value: r.value,
		Resource: policy.Resource{Of: r.of, Region: r.region, Account: r.account, ID: r.id}}
}

// random draws documents and requests of few words, so that they meet often.
type random struct{ *rand.Rand }

func (r random) one(list ...string) string { return list[r.IntN(len(list))] }

var (
	regions  = []string{"cn-a", "cn-ab", "eu-a"}
	accounts = []string{"1", "12", "2"}
	ids      = []string{"vpc/*", "vpc/vpc-1", "vpc/vpc-11", "vswitch/vsw-1", "vpc/", "eip/*", "vpc/a:b"}
	actions  = []string{"CreateVpc", "DeleteVpc", "DescribeVpcs", "DescribeVSwitches"}
)

func (r random) request() request {
	q := request{service: r.one("vpc", "vpc", "ecs"), action: r.one(actions...), of: r.one("vpc", "vpc", "ecs"), region: r.one(regions...),
		account: r.one(accounts...), id: strings.ReplaceAll(r.one(ids...), ":", ""), values: map[string]string{}}
	put := func(key string, values ...string) {
		if r.IntN(4) > 0 {
			q.values[key] = r.one(values...)
		}
	}
	put("acs:sourceip", "10.0.0.1", "10.0.1.1", "::1", "192.0.2.7")
	put("acs:securetransport", "true", "false")
	put("acs:currenttime", "2026-11-29T12:00:00Z", "2026-11-29T13:00:00+01:00", "2026-11-30T00:00:00Z")
	put("vpc:vpc", "acs:vpc:cn-a:1:vpc/vpc-1", "acs:vpc:cn-a:1:vpc/*", "ACS:vpc", "ü")
	return q
}

// sometimes puts a * for a part of a text, or another case.
func (r random) sometimes(s string) string {
	switch r.IntN(6) {
	case 0:
		return "*"
	case 1:
		n := r.IntN(len(s) + 1)
		return s[:n] + "*"
	case 2:
		n := r.IntN(len(s) + 1)
		return "*" + s[n:]
	case 3:
		n := r.IntN(len(s) + 1)
		m := n + r.IntN(len(s)+1-n)
		return s[:n] + "*" + s[m:]
	case 4:
		return strings.ToUpper(s)
	}
	return s
}

func (r random) actionPattern() string {
	if r.IntN(8) == 0 {
		return "*"
	}
	return r.one("vpc", "vpc", "ecs", "*", "v*") + ":" + r.sometimes(r.one(actions...))
}

func (r random) resourcePattern() string {
	account := r.one(append([]string{"*", "1*", ""}, accounts...)...)
	switch r.IntN(6) {
	case 0:
		return "*"
	case 1:
		id := r.sometimes(r.one(ids[:4]...))
		if strings.Trim(id, "*") == "" {
			id = "vpc/*"
		}
		return "acs:" + r.one("vpc", "ecs", "*") + ":" + account + ":" + id
	}
	id := r.sometimes(r.one(ids[:6]...))
	return "acs:" + r.one("vpc", "vpc", "ecs", "*") + ":" + r.one("*", "cn-*", "cn-a", "CN-A", "", "cn-ab") + ":" + account + ":" + id
}

func (r random) few(draw func() string) any {
	if r.IntN(2) == 0 {
		return draw()
	}
	list := []string{}
	for range 1 + r.IntN(3) {
		list = append(list, draw())
	}
	return list
}

func (r random) statement() map[string]any {
	s := map[string]any{"Effect": r.one("Allow", "Allow", "Allow", "Deny")}
	s[r.one("Action", "Action", "NotAction")] = r.few(r.actionPattern)
	s[r.one("Resource", "Resource", "Resource", "NotResource")] = r.few(r.resourcePattern)
	if r.IntN(2) == 0 {
		return s
	}
	conditions := map[string]any{}
	for range 1 + r.IntN(2) {
		operator, key, draw := r.condition()
		conditions[operator] = map[string]any{key: r.few(draw)}
	}
	s["Condition"] = conditions
	return s
}

func (r random) condition() (operator, key string, draw func() string) {
	switch r.IntN(4) {
	case 0:
		return r.one("IpAddress", "NotIpAddress"), r.one("acs:SourceIp", "acs:sourceip"),
			func() string { return r.one("10.0.0.0/24", "10.0.0.1", "10.0.1.9/23", "0.0.0.0/0", "::/0") }
	case 1:
		return "Bool", "acs:SecureTransport", func() string { return r.one("true", "false") }
	case 2:
		return "Date" + r.one("Equals", "NotEquals", "LessThan", "LessThanEquals", "GreaterThan", "GreaterThanEquals"), "acs:CurrentTime",
			func() string {
				return r.one("2026-11-29T12:00:00Z", "2026-11-29T20:00:00+08:00", "2026-11-29T12:00:01Z")
			}
	}
	return "String" + r.one("Equals", "NotEquals", "EqualsIgnoreCase", "NotEqualsIgnoreCase", "Like", "NotLike"), "vpc:Vpc",
		func() string {
			return r.one("acs:vpc:cn-a:1:vpc/vpc-1", "acs:*", "*vpc-?", "acs:vpc", "?", "Ü", "*", "")
		}
}

func (r random) document() string {
	var statements []any
	for range 1 + r.IntN(4) {
		statements = append(statements, r.statement())
	}
	text, err := json.Marshal(map[string]any{"Version": "1", "Statement": statements})
	if err != nil {
		panic(err)
	}
	return string(text)
}

func parseAll(t *testing.T, texts []string) (list []*policy.Document) {
	t.Helper()
	for _, text := range texts {
		d, err := policy.Parse(text)
		if err != nil {
			t.Fatalf("%v in %s", err, text)
		}
		list = append(list, d)
	}
	return list
}

// TestNaive compares the decisions of random documents with those of naive.
func TestNaive(t *testing.T) {
	count, seeds := map[policy.Effect]int{}, 500
	if testing.Short() {
		seeds = 150
	}
	for seed := range uint64(seeds) {
		r := random{rand.New(rand.NewPCG(seed, 1))}
		texts := []string{r.document()}
		if r.IntN(2) == 0 {
			texts = append(texts, r.document())
		}
		documents := parseAll(t, texts)
		for range 10 {
			q := r.request()
			got, want := policy.Decide(documents, q.compiled()), naive(t, texts, q)
			if got.Effect != want {
				t.Fatalf("seed %d: %v, want %v\nrequest %+v\ndocuments %s", seed, got, want, q, strings.Join(texts, "\n"))
			}
			if (got.Statement >= 0) != (want != policy.None) || got.Document >= len(texts) {
				t.Fatalf("seed %d: %+v", seed, got)
			}
			count[want]++
		}
	}
	t.Log(count)
	for _, e := range []policy.Effect{policy.None, policy.Allow, policy.Deny} {
		if count[e] < seeds*3/10 {
			t.Errorf("%v came %s times", e, strconv.Itoa(count[e]))
		}
	}
}

// TestWhole holds decisions about all resources of a kind to those about single ones: what
// is allowed for all is allowed for each, in each region.
func TestWhole(t *testing.T) {
	allowed, denied := 0, 0
	for seed := range uint64(1500) {
		r := random{rand.New(rand.NewPCG(seed, 2))}
		documents := parseAll(t, []string{r.document()})
		q := r.request()
		all := q.compiled()
		all.ID, all.Whole = r.one("vpc/", "eip/", ""), true
		if r.IntN(2) == 0 {
			all.Region = policy.Everything
		}
		d := policy.Decide(documents, all)
		single := q.compiled()
		for _, id := range ids {
			for _, region := range regions {
				single.ID, single.Region = id, region
				if !strings.HasPrefix(id, all.ID) || all.Region != policy.Everything && region != all.Region {
					continue
				}
				one := policy.Decide(documents, single)
				if d.Effect == policy.Allow && one.Effect != policy.Allow {
					t.Fatalf("seed %d: %v is allowed, but not %v (%v)", seed, all.Resource, single.Resource, one)
				}
				if d.Effect != policy.Deny && one.Effect == policy.Deny {
					t.Fatalf("seed %d: %v is not denied, but %v is", seed, all.Resource, single.Resource)
				}
			}
		}
		if d.Effect == policy.Allow {
			allowed++
		}
		if d.Effect == policy.Deny {
			denied++
		}
	}
	if allowed < 30 || denied < 30 {
		t.Errorf("%d were allowed, %d denied", allowed, denied)
	}
}
