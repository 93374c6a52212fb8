package aliyun

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/api/edge"
	"sluice/api/spec"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// accounts puts those of Alice and Bob, and returns a key of carol, a user of Alice's.
func accounts(t *testing.T, p *planetest.Plane) identity.Key {
	t.Helper()
	if keys, err := p.RAM.Keys(planetest.Alice.Account, "carol"); err == nil { // a world that has her
		k, _ := p.Keys.Key(keys[0].ID)
		return k
	}
	err := p.DB.Update(context.Background(), func(tx *state.Tx) error {
		for name, c := range map[string]identity.Caller{"alice": planetest.Alice, "bob": planetest.Bob} {
			if _, there := tx.Accounts.Get(c.Account); !there { // of a world that has it
				tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: c.Account, Account: c.Account}, Name: name})
			}
		}
		return nil
	})
	name := "carol"
	if err == nil {
		_, err = p.RAM.CreateUser(context.Background(), planetest.Alice, ram.UserSettings{Name: &name})
	}
	if err != nil {
		t.Fatal(err)
	}
	k, err := p.RAM.CreateKey(context.Background(), planetest.Alice, name, identity.KeyOptions{})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

// says gives carol one policy of these statements, in place of what she has.
func says(t *testing.T, p *planetest.Plane, statements ...map[string]any) {
	t.Helper()
	text, err := json.Marshal(map[string]any{"Version": "1", "Statement": statements})
	if err != nil {
		t.Fatal(err)
	}
	if _, err = p.RAM.Policy(planetest.Alice.Account, "p", false); err == nil {
		_, err = p.RAM.AddVersion(context.Background(), planetest.Alice, "p", string(text), true, true)
	} else if _, err = p.RAM.CreatePolicy(context.Background(), planetest.Alice, "p", "", string(text)); err == nil {
		err = p.RAM.Attach(context.Background(), planetest.Alice, "carol", "p", false)
	}
	if err != nil {
		t.Fatal(err)
	}
}

func statement(effect string, action any, resource any) map[string]any {
	return map[string]any{"Effect": effect, "Action": action, "Resource": resource}
}

// called returns the call of an action with parameters, as it stands before Authorize.
func called(access Access, action string, params *Params) *call {
	r := httptest.NewRequest("GET", "/", nil)
	r.RemoteAddr = "192.0.2.7:999"
	return &call{access: access, request: &edge.Request{Request: r, Received: planetest.Now}, action: action, params: params}
}

func (w *subject) params(change ...string) *Params {
	var pairs []string
	for name, value := range w.good {
		if !slices.Contains(change, name) {
			pairs = append(pairs, name, value)
		}
	}
	for i := 0; i < len(change); i += 2 {
		pairs = append(pairs, change[i], change[i+1])
	}
	p := NewParams()
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			p.Add(pairs[i], pairs[i+1])
		}
	}
	return p
}

// TestEveryActionIsAuthorized makes each supported action's good call as a user: nothing
// is done without a right, and all with the right to the action.
func TestEveryActionIsAuthorized(t *testing.T) {
	c, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	for i, a := range c.Family(spec.Aliyun).Actions() {
		if !a.Supported() {
			continue
		}
		name := a.Key()
		service, action := a.Service, a.Name
		if service == "" {
			service = "vpc"
		}
		r, ok := rules[name]
		if !ok || (r.whole == "") == (len(r.checked)+len(r.variants) == 0) {
			t.Errorf("%s has no rule and is not said to need full access: %+v", name, r)
		}
		for _, x := range r.all() {
			if _, ok := located[x.kind]; !ok && x.parameter != "" && x.service != "ram" {
				t.Errorf("%s: it is not said where a %s is found; see located", name, x.kind)
			}
		}
		if testing.Short() && i%3 > 0 {
			continue // TestEveryResourceIsChecked has all that name resources
		}
		t.Run(name, func(t *testing.T) {
			w := subjectOf(t, name)
			if w == nil {
				return
			}
			key := accounts(t, w.Plane)
			before := w.DB.View().Revision
			for range 2 {
				_, refusal := called(w.RAM, name, w.params()).Authorize(key)
				if refusal == nil || !strings.HasPrefix(refusal.Code, "Forb") && refusal.Code != "NoPermission" || (refusal.Code == "NoPermission") != (service == "ram") || refusal.HTTP != 403 {
					t.Fatalf("without a right: %v", refusal)
				}
				says(t, w.Plane, statement("Allow", service+":Other"+action, "*"), statement("Allow", "oss:*", "*"))
				before = w.DB.View().Revision
			}
			if w.DB.View().Revision != before {
				t.Error("something was changed")
			}
			says(t, w.Plane, statement("Allow", service+":"+action, "*"))
			p := w.params()
			if _, refusal := called(w.RAM, name, p).Authorize(key); refusal != nil {
				t.Errorf("with the right: %v", refusal)
			}
			if _, e := Dispatch(context.Background(), w.s, planetest.Alice, name, p); e != nil && !absentInRAM(name) {
				t.Errorf("once it is allowed: %v", e)
			}
			says(t, w.Plane, statement("Allow", "*", "*"), statement("Deny", strings.ToUpper(service+":"+action), "*"))
			if _, refusal := called(w.RAM, name, w.params()).Authorize(key); refusal == nil {
				t.Error("what is denied is allowed")
			}
		})
	}
}

// all returns all that a rule may check.
func (r rule) all() (list []checked) {
	list = append(list, r.checked...)
	for _, v := range r.variants {
		list = append(list, v.checked...)
	}
	return list
}

// TestEveryResourceIsChecked allows exactly what the document's table names for the good
// call of each action, and then all of it but one.
func TestEveryResourceIsChecked(t *testing.T) {
	for name, r := range rules {
		service, action := "vpc", name
		if of, rest, ok := strings.Cut(name, ":"); ok {
			service, action = of, rest
		}
		if r.whole != "" {
			continue
		}
		t.Run(name, func(t *testing.T) {
			w := subjectOf(t, name)
			if w == nil {
				return
			}
			key := accounts(t, w.Plane)
			a := &rights{call: called(w.RAM, name, w.params()), rule: r, owner: planetest.Alice.Account}
			var arns []string
			for _, q := range a.requests(service, action) {
				arns = append(arns, q.String())
			}
			allowed := func(arns []string) bool {
				says(t, w.Plane, statement("Allow", service+":"+action, append([]string{"acs:vpc:*:*:none/none"}, arns...)))
				_, refusal := called(w.RAM, name, w.params()).Authorize(key)
				return refusal == nil
			}
			if !allowed(arns) {
				t.Errorf("%v is not enough", arns)
			}
			for i := range arns {
				if less := slices.Delete(slices.Clone(arns), i, i+1); allowed(less) {
					t.Errorf("%v is enough, without %s", less, arns[i])
				}
				longer := slices.Clone(arns)
				longer[i] += "0"
				if allowed(longer) {
					t.Errorf("%v is enough", longer)
				}
			}
		})
	}
}

// TestExistenceIsNotTold asks as a user who has rights in another region alone for what is
// there and for what is not: the answers are the same, with that region and without one.
func TestExistenceIsNotTold(t *testing.T) {
	asked := 0
	for name, r := range rules {
		for _, x := range r.all() {
			if x.parameter == "" || x.service != "vpc" {
				continue
			}
			w := subjectOf(t, name)
			if w == nil || w.good[x.parameter] == "" {
				continue
			}
			key := accounts(t, w.Plane)
			id := w.good[x.parameter]
			for i, s := range []map[string]any{
				statement("Allow", "vpc:*", "acs:vpc:"+planetest.Elsewhere+":*:*"),
				statement("Allow", "vpc:*", "acs:vpc:*:*:vpc/none"),
				statement("Deny", "*", "*"),
			} {
				says(t, w.Plane, s)
				for _, region := range []string{planetest.Elsewhere, planetest.Region, ""} {
					answer := func(id string) string {
						p := w.params(x.parameter, id, "RegionId", region)
						call := called(w.RAM, name, p)
						owner, refusal := call.Authorize(key)
						if refusal != nil {
							return refusal.Error()
						}
						asked++
						c := planetest.Alice
						c.Account = owner
						answer, e := Dispatch(context.Background(), w.s, c, name, call.invoked())
						if e != nil {
							return e.Error()
						}
						text, err := json.Marshal(answer)
						if err != nil {
							t.Fatal(err)
						}
						return string(text)
					}
					if there, none := answer(id), answer(id[:len(id)-1]+"~"); there != none {
						t.Errorf("%s, statement %d, %s in region %q:\nis there: %s\nis not:   %s", name, i, x.parameter, region, there, none)
					}
				}
			}
		}
	}
	if asked < 50 {
		t.Errorf("%d calls were carried out", asked)
	}
}

// TestConditions are those of the request and of the document's table.
func TestConditions(t *testing.T) {
	w := newVPCWorld(t)
	key := accounts(t, w.Plane)
	v := w.DB.View()
	vpc, _ := v.VPCs.By(state.ByAccount, planetest.Alice.Account).First()
	router := vpc.VRouter
	for _, c := range []struct {
		operator, key string
		value         any
		action        string
		params        []string
		want          bool
	}{
		{"IpAddress", "acs:SourceIp", "192.0.2.0/24", "DescribeVpcs", nil, true},
		{"IpAddress", "acs:SourceIp", []string{"10.0.0.0/8", "192.0.2.8"}, "DescribeVpcs", nil, false},
		{"NotIpAddress", "acs:SourceIp", "192.0.2.7", "DescribeVpcs", nil, false},
		{"Bool", "acs:SecureTransport", "false", "DescribeVpcs", nil, true},
		{"Bool", "acs:SecureTransport", "true", "DescribeVpcs", nil, false},
		{"Bool", "acs:MFAPresent", "true", "DescribeVpcs", nil, false},
		{"DateLessThan", "acs:CurrentTime", planetest.Now.Add(time.Second).Format(time.RFC3339), "DescribeVpcs", nil, true},
		{"DateLessThan", "acs:CurrentTime", planetest.Now.Format(time.RFC3339), "DescribeVpcs", nil, false},
		{"StringEquals", "vpc:Vpc", "acs:vpc:" + vpc.Region + ":" + vpc.Account + ":vpc/" + vpc.ID, "DescribeVSwitches", []string{"VpcId", vpc.ID}, true},
		{"StringLike", "vpc:Vpc", "acs:vpc:*:vpc/" + vpc.ID, "DescribeVSwitches", []string{"VpcId", "vpc-other"}, false},
		{"StringLike", "vpc:Vpc", "*", "DescribeVSwitches", nil, false},
		{"StringLike", "vpc:Vpc", "*:vpc/" + vpc.ID, "DescribeVRouters", []string{"VRouterId", router}, true},
		{"StringLike", "vpc:Vpc", "*:vpc/" + vpc.ID, "DescribeVRouters", []string{"VRouterId", router + "0"}, false},
		{"StringLike", "vpc:Vpc", "*:vpc/" + vpc.ID, "DescribeVRouters", nil, false},
		{"StringLike", "vpc:Vpc", `*:vpc/*`, "DescribeVRouters", nil, true},
		{"StringLike", "vpc:VRouter", "*:vrouter/" + router, "DescribeRouteTables", []string{"VRouterId", router}, true},
		{"StringLike", "vpc:VRouter", "*:vrouter/" + router, "DescribeRouteTables", nil, false},
	} {
		s := statement("Allow", "vpc:*", "*")
		s["Condition"] = map[string]any{c.operator: map[string]any{c.key: c.value}}
		says(t, w.Plane, s)
		_, refusal := called(w.RAM, c.action, NewParams(append([]string{"RegionId", vpc.Region}, c.params...)...)).Authorize(key)
		if (refusal == nil) != c.want {
			t.Errorf("%s %s %v on %s %v: %v", c.operator, c.key, c.value, c.action, c.params, refusal)
		}
	}
}

// TestForbidden provokes each code that a lack of rights has.
func TestForbidden(t *testing.T) {
	w := newVPCWorld(t)
	key := accounts(t, w.Plane)
	grant := func(policy string) {
		if err := w.RAM.Grant(context.Background(), planetest.Alice, planetest.Bob.Account, policy, true); err != nil {
			t.Fatal(err)
		}
	}
	bob := identity.Key{ID: "b", Account: planetest.Bob.Account, AccountName: "bob"}
	code := func(key identity.Key, action string, params ...string) string {
		_, refusal := called(w.RAM, action, NewParams(params...)).Authorize(key)
		if refusal == nil {
			return ""
		}
		return refusal.Code
	}
	for _, c := range []struct {
		key    identity.Key
		action string
		params []string
		want   string
	}{
		{key, "DescribeVpcs", nil, "Forbidden.RAM"},
		{key, "CreateVpc", nil, "Forbidden.RAM"},
		{key, "DescribeRegions", nil, "Forbidden.RAM"},
		{key, "CreateNatGateway", nil, "Forbidden.SubUser"},
		{key, "CreateCustomerGateway", nil, "Forbidden.SubUser"},
		{key, "ModifyCustomerGatewayAttribute", nil, "Forbbiden.SubUser"},
		{bob, "DescribeVpcs", []string{"ResourceOwnerAccount", "alice"}, "InvalidOwnerAccount"},
		{bob, "DescribeVpcs", []string{"OwnerId", planetest.Alice.Account}, "InvalidOwnerId"},
		{bob, "DescribeVpcs", []string{"OwnerId", planetest.Bob.Account, "OwnerAccount", "bob"}, "InvalidOwner"},
		{bob, "DescribeVpcs", []string{"ResourceOwnerId", planetest.Bob.Account, "ResourceOwnerAccount", "bob"}, ""},
	} {
		if got := code(c.key, c.action, c.params...); got != c.want {
			t.Errorf("%s %v: %q, want %q", c.action, c.params, got, c.want)
		}
	}
	grant("AliyunVPCReadOnlyAccess")
	alice := []string{"ResourceOwnerAccount", "alice"}
	for action, want := range map[string]string{
		"DescribeVpcs": "", "CreateVpc": "Forbidden", "DeleteVpc": "Forbidden.RAM", "DescribeVpcAttribute": "Forbidden.NotSupportRAM", "DescribeRegions": "Forbidden.NotSupportRAM",
	} {
		if got := code(bob, action, alice...); got != want {
			t.Errorf("%s across accounts: %q, want %q", action, got, want)
		}
	}
	for _, params := range [][]string{
		{"OwnerId", planetest.Alice.Account}, {"OwnerAccount", "alice"}, {"ResourceOwnerId", planetest.Alice.Account, "ResourceOwnerAccount", "alice"},
	} {
		owner, refusal := called(w.RAM, "DescribeVpcs", NewParams(params...)).Authorize(bob)
		if refusal != nil || owner != planetest.Alice.Account {
			t.Errorf("%v: %q, %v", params, owner, refusal)
		}
	}
	if got := code(bob, "DescribeVpcs", "OwnerAccount", "alice", "ResourceOwnerAccount", "bob"); got == "" {
		t.Error("two owners at once")
	}
	if _, refusal := called(w.RAM, "DescribeVpcs", NewParams()).Authorize(bob); refusal != nil {
		t.Errorf("on what is Bob's: %v", refusal)
	}
	// An instance of another service, that a policy allows and that is not there.
	says(t, w.Plane, statement("Allow", "*", "*"))
	if got := code(key, "AssociateEipAddress", "AllocationId", "eip-1", "InstanceId", "i-none", "RegionId", planetest.Region); got != "Forbidden.InstanceNotFound" {
		t.Errorf("%q", got)
	}
	if got := code(key, "AssociateEipAddress", "AllocationId", "eip-1", "InstanceId", "ngw-none", "InstanceType", "Nat"); got != "" {
		t.Errorf("%q", got)
	}
	nobody := called(nil, "DescribeVpcs", NewParams())
	if _, refusal := nobody.Authorize(key); refusal == nil || refusal.Code != "Forbidden.RAM" {
		t.Errorf("with nobody to decide: %v", refusal)
	}
}

// countingAccess fails the test that asks it.
type countingAccess struct{ t *testing.T }

func (a countingAccess) Authorize(ram.Asked, []policy.Request) error {
	a.t.Error("asked for a right")
	return fault.New(fault.NotAuthorized, "")
}
func (a countingAccess) Owner(string, string) (string, bool) {
	a.t.Error("asked for an owner")
	return "", false
}
func (a countingAccess) Where(string, resource.Kind, string) (string, bool) {
	a.t.Error("asked where")
	return "", false
}
func (a countingAccess) VPCOf(string, string) (string, bool) {
	a.t.Error("asked for a VPC")
	return "", false
}

// TestOwnKeysAskNobody: an account's own keys cost nothing.
func TestOwnKeysAskNobody(t *testing.T) {
	own := identity.Key{Account: planetest.Alice.Account, AccountName: "alice"}
	for name := range rules {
		for _, owner := range []string{"", planetest.Alice.Account} {
			if about, refusal := called(countingAccess{t}, name, NewParams("OwnerId", owner)).Authorize(own); refusal != nil || about != own.Account {
				t.Errorf("%s: %q, %v", name, about, refusal)
			}
		}
	}
}

// TestUserKeysAtTheEdge goes the whole way: signatures, nonces and rights are a key's.
func TestUserKeysAtTheEdge(t *testing.T) {
	w := newVPCWorld(t)
	key := accounts(t, w.Plane)
	s := newSite(t, nil)
	s.Server = edge.NewServer(edge.Config{Families: []edge.Family{NewFamily(w.s, w.RAM)}, Keys: w.Keys, Now: s.Now, NewRequestID: s.NewRequestID, Log: s.Log})
	c := s.client("id")
	c.AccessKeyID, c.AccessKeySecret = key.ID, key.Secret
	get := func(action string, params map[string]string) string {
		body, err := c.Call(t.Context(), action, params)
		if err != nil {
			return err.Error()
		}
		return string(body)
	}
	region := map[string]string{"RegionId": planetest.Region}
	want := func(what, text string) {
		t.Helper()
		if got := get("DescribeVpcs", region); !strings.Contains(got, text) {
			t.Errorf("%s: %s, want %s", what, got, text)
		}
	}
	want("without a right", "Forbidden.RAM")
	says(t, w.Plane, statement("Allow", "vpc:DescribeVpcs", "*"))
	want("with it", `"TotalCount"`)
	who := get("GetCallerIdentity", map[string]string{"Version": "2015-04-01"})
	if want := fmt.Sprintf(`"AccountId":"%s","UserId":"%s","PrincipalId":"%[2]s","Arn":"acs:ram::%[1]s:user/carol","IdentityType":"RAMUser"`, key.Account, key.User); !strings.Contains(who, want) {
		t.Errorf("%s, want %s", who, want)
	}
	if got := get("DescribeRegions", map[string]string{"Version": "2014-05-26"}); !strings.Contains(got, "Forbidden.RAM") {
		t.Errorf("another service's: %s", got)
	}
	if err := w.RAM.DisableKey(t.Context(), planetest.Alice, "carol", key.ID, true); err != nil {
		t.Fatal(err)
	}
	want("with a disabled key", "Forbidden.AccessKeyDisabled")
	if err := w.RAM.DisableKey(t.Context(), planetest.Alice, "carol", key.ID, false); err != nil {
		t.Fatal(err)
	}
	want("with the key again", `"TotalCount"`)
	c.NewNonce = func() string { return "again" }
	want("a first time", `"TotalCount"`)
	want("a second time", "SignatureNonceUsed")
	c.NewNonce = nil
	if err := w.RAM.DeleteKey(t.Context(), planetest.Alice, "carol", key.ID); err != nil {
		t.Fatal(err)
	}
	want("without the key", "InvalidAccessKeyId.NotFound")
	if log := s.log.String(); strings.Contains(log, key.Secret) || !strings.Contains(log, `"user":"carol"`) {
		t.Error("the log has the secret, or not the user")
	}
}
