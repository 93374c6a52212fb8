package ram_test

import (
	"context"
	"errors"
	"fmt"
	"regexp"
	"strings"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

var ctx = context.Background()

// world is a plane with the accounts of Alice and Bob.
func world(t testing.TB) *planetest.Plane {
	t.Helper()
	p := planetest.New(t)
	err := p.DB.Update(ctx, func(tx *state.Tx) error {
		for name, c := range map[string]identity.Caller{"alice": planetest.Alice, "bob": planetest.Bob} {
			tx.PutAttributes(&resource.Account{Meta: resource.Meta{ID: c.Account, Account: c.Account}, Name: name})
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func refused(t *testing.T, err error, reason fault.Reason) {
	t.Helper()
	if !errors.Is(err, &fault.Error{Reason: reason}) {
		t.Errorf("%v, want a refusal: %s", err, reason)
	}
}

func must(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func document(effect, action, resource string) string {
	return fmt.Sprintf(`{"Version":"1","Statement":[{"Effect":%q,"Action":%q,"Resource":%q}]}`, effect, action, resource)
}

func name(s string) ram.UserSettings { return ram.UserSettings{Name: &s} }

// about is a request about one VPC of Alice's.
func about(action, id string) []policy.Request {
	return []policy.Request{{Service: "vpc", Action: action, Resource: policy.Resource{Of: "vpc", Region: planetest.Region, Account: planetest.Alice.Account, ID: "vpc/" + id}}}
}

func TestUsers(t *testing.T) {
	p := world(t)
	u, err := p.RAM.CreateUser(ctx, planetest.Alice, name("carol"))
	must(t, err)
	if !regexp.MustCompile(`^2[0-9]{17}$`).MatchString(u.ID) || u.Name != "carol" || u.Account != planetest.Alice.Account {
		t.Errorf("%+v", u)
	}
	_, err = p.RAM.CreateUser(ctx, planetest.Alice, name("Carol"))
	refused(t, err, fault.UserExists)
	for _, bad := range []string{"", "a b", "é", "-a", "a/b", strings.Repeat("a", 65)} {
		_, err = p.RAM.CreateUser(ctx, planetest.Alice, name(bad))
		refused(t, err, fault.UserNameInvalid)
	}
	if _, err = p.RAM.CreateUser(ctx, planetest.Bob, name("carol")); err != nil {
		t.Errorf("a name of another account: %v", err)
	}
	_, err = p.RAM.User(planetest.Alice.Account, u.ID)
	refused(t, err, fault.UserNotFound) // what policies say is said of names

	k, err := p.RAM.CreateKey(ctx, planetest.Alice, "CAROL", identity.KeyOptions{})
	must(t, err)
	if k.User != u.ID || k.UserName != "carol" || k.AccountName != "alice" || len(k.Secret) != 30 {
		t.Errorf("%+v", k)
	}
	_, err = p.RAM.CreateKey(ctx, planetest.Alice, "carol", identity.KeyOptions{})
	must(t, err)
	_, err = p.RAM.CreateKey(ctx, planetest.Alice, "carol", identity.KeyOptions{})
	refused(t, err, fault.QuotaAccessKey)
	_, err = p.RAM.CreateKey(ctx, planetest.Alice, "nobody", identity.KeyOptions{})
	refused(t, err, fault.UserNotFound)
	refused(t, p.RAM.DeleteUser(ctx, planetest.Alice, "carol"), fault.UserHasAccessKeys)

	renamed, email := "dave", "d@example.org"
	_, err = p.RAM.ChangeUser(ctx, planetest.Alice, "carol", ram.UserSettings{Name: &renamed, Email: &email})
	must(t, err)
	for range 2 {
		if got, ok := p.Keys.Key(k.ID); !ok || got.UserName != "dave" || got.User != u.ID || got.Secret != k.Secret {
			t.Errorf("%+v, %v", got, ok)
		}
		p.Restart()
	}
	must(t, p.RAM.DisableKey(ctx, planetest.Alice, "dave", k.ID, true))
	if got, _ := p.Keys.Key(k.ID); !got.Disabled {
		t.Error("a disabled key may be used")
	}
	refused(t, p.RAM.DeleteKey(ctx, planetest.Bob, "carol", k.ID), fault.AccessKeyNotFound)
	keys, err := p.RAM.Keys(planetest.Alice.Account, "dave")
	must(t, err)
	for _, k := range keys {
		must(t, p.RAM.DeleteKey(ctx, planetest.Alice, "dave", k.ID))
		if _, ok := p.Keys.Key(k.ID); ok {
			t.Error("a deleted key is there")
		}
	}
	must(t, p.RAM.Attach(ctx, planetest.Alice, "dave", "AliyunVPCReadOnlyAccess", true))
	refused(t, p.RAM.DeleteUser(ctx, planetest.Alice, "dave"), fault.UserHasPolicies)
	must(t, p.RAM.Detach(ctx, planetest.Alice, "dave", "AliyunVPCReadOnlyAccess", true))
	must(t, p.RAM.DeleteUser(ctx, planetest.Alice, "dave"))
	refused(t, p.RAM.DeleteUser(ctx, planetest.Alice, "dave"), fault.UserNotFound)
}

func TestPolicies(t *testing.T) {
	p := world(t)
	a := planetest.Alice
	_, err := p.RAM.CreatePolicy(ctx, a, "p", "", document("Permit", "*", "*"))
	refused(t, err, fault.PolicyMalformed)
	if f := (*fault.Error)(nil); !errors.As(err, &f) || f.Why != `Statement[0].Effect: it is "Permit"; write "Allow" or "Deny"` {
		t.Errorf("%v", err)
	}
	_, err = p.RAM.CreatePolicy(ctx, a, "administratoraccess", "", document("Allow", "*", "*"))
	refused(t, err, fault.PolicyExists)
	_, err = p.RAM.CreatePolicy(ctx, a, "no name", "", document("Allow", "*", "*"))
	refused(t, err, fault.PolicyNameInvalid)
	text := " " + document("Allow", "vpc:DescribeVpcs", "*") + "\n"
	_, err = p.RAM.CreatePolicy(ctx, a, "p", "d", text)
	must(t, err)
	_, err = p.RAM.CreatePolicy(ctx, a, "P", "", text)
	refused(t, err, fault.PolicyExists)
	for i := range 4 {
		_, err = p.RAM.AddVersion(ctx, a, "p", document("Allow", fmt.Sprintf("vpc:A%d", i), "*"), i == 0, false)
		must(t, err)
	}
	_, err = p.RAM.AddVersion(ctx, a, "p", text, false, false)
	refused(t, err, fault.QuotaPolicyVersion)
	_, err = p.RAM.AddVersion(ctx, a, "p", text, true, true)
	must(t, err)
	p.Restart()
	got, err := p.RAM.Policy(a.Account, "p", false)
	must(t, err)
	if got.Document() != text || got.Default != 6 || len(got.Versions) != 5 || got.Versions[0].Number != 2 {
		t.Errorf("%+v", got)
	}
	refused(t, p.RAM.DeletePolicy(ctx, a, "p", false), fault.PolicyHasVersions)
	refused(t, p.RAM.DeleteVersion(ctx, a, "p", 6), fault.PolicyVersionInUse)
	refused(t, p.RAM.DeleteVersion(ctx, a, "p", 1), fault.PolicyVersionNotFound)
	refused(t, p.RAM.SetDefaultVersion(ctx, a, "p", 7), fault.PolicyVersionNotFound)
	must(t, p.RAM.SetDefaultVersion(ctx, a, "p", 3))
	for _, n := range []int{2, 4, 5, 6} {
		must(t, p.RAM.DeleteVersion(ctx, a, "p", n))
	}
	_, err = p.RAM.CreateUser(ctx, a, name("carol"))
	must(t, err)
	must(t, p.RAM.Attach(ctx, a, "carol", "p", false))
	refused(t, p.RAM.Attach(ctx, a, "carol", "P", false), fault.AttachmentExists)
	refused(t, p.RAM.Attach(ctx, a, "carol", "q", false), fault.PolicyNotFound)
	refused(t, p.RAM.Attach(ctx, a, "carol", "p", true), fault.PolicyNotFound)
	refused(t, p.RAM.DeletePolicy(ctx, a, "p", false), fault.PolicyAttached)
	must(t, p.RAM.Detach(ctx, a, "carol", "p", false))
	refused(t, p.RAM.Detach(ctx, a, "carol", "p", false), fault.AttachmentNotFound)
	must(t, p.RAM.Grant(ctx, a, planetest.Bob.Account, "p", false))
	refused(t, p.RAM.Grant(ctx, a, planetest.Bob.Account, "p", false), fault.AttachmentExists)
	refused(t, p.RAM.Grant(ctx, a, a.Account, "p", false), fault.ParameterInvalid)
	refused(t, p.RAM.Grant(ctx, a, "1", "p", false), fault.AccountNotFound)
	refused(t, p.RAM.DeletePolicy(ctx, a, "p", true), fault.PolicyAttached)
	must(t, p.RAM.Revoke(ctx, a, planetest.Bob.Account, "p", false))
	must(t, p.RAM.DeletePolicy(ctx, a, "p", false))
	_, err = p.RAM.Policy(a.Account, "p", false)
	refused(t, err, fault.PolicyNotFound)
	_, err = p.RAM.CreatePolicy(ctx, a, "p", "", text)
	must(t, err)
	_, err = p.RAM.AddVersion(ctx, a, "p", text, false, false)
	must(t, err)
	must(t, p.RAM.DeletePolicy(ctx, a, "p", true))
	_, err = p.RAM.Policy(a.Account, "p", false)
	refused(t, err, fault.PolicyNotFound)
}

// TestAtOnce changes what is attached, and what it says: each change holds with the next
// decision, also after a restart.
func TestAtOnce(t *testing.T) {
	p := world(t)
	a := planetest.Alice
	u, err := p.RAM.CreateUser(ctx, a, name("carol"))
	must(t, err)
	asked := ram.Asked{Account: a.Account, User: u.ID, UserName: u.Name, Owner: a.Account}
	says := func(want bool) {
		t.Helper()
		for range 2 {
			err := p.RAM.Authorize(asked, about("DeleteVpc", "vpc-1"))
			if (err == nil) != want {
				t.Errorf("%v, want allowed: %v", err, want)
			}
			if !want {
				refused(t, err, fault.NotAuthorized)
			}
		}
	}
	says(false)
	_, err = p.RAM.CreatePolicy(ctx, a, "p", "", document("Allow", "vpc:DeleteVpc", "acs:vpc:*:*:vpc/vpc-1"))
	must(t, err)
	must(t, p.RAM.Attach(ctx, a, "carol", "p", false))
	says(true)
	p.Restart()
	says(true)
	if err := p.RAM.Authorize(asked, append(about("DeleteVpc", "vpc-1"), about("DeleteVpc", "vpc-2")...)); err == nil {
		t.Error("one of two resources is enough")
	}
	_, err = p.RAM.AddVersion(ctx, a, "p", document("Allow", "vpc:DeleteVpc", "acs:vpc:*:*:vpc/vpc-2"), true, false)
	must(t, err)
	says(false)
	must(t, p.RAM.SetDefaultVersion(ctx, a, "p", 1))
	says(true)
	must(t, p.RAM.Detach(ctx, a, "carol", "p", false))
	says(false)
	must(t, p.RAM.Attach(ctx, a, "carol", "AdministratorAccess", true))
	says(true)
	_, err = p.RAM.CreatePolicy(ctx, a, "no", "", document("Deny", "vpc:Delete*", "*"))
	must(t, err)
	must(t, p.RAM.Attach(ctx, a, "carol", "no", false))
	says(false)
	q := about("DeleteVpc", "vpc-1")[0]
	if got := p.RAM.Decide(asked, &q).String(); got != "denied by statement 0 of policy no (user carol)" {
		t.Error(got)
	}
	asked.User = "200000000000000000"
	says(false) // there is no such user
	asked.User = ""
	says(true) // the account itself
}

// TestAcrossAccounts: both sides have to allow it.
func TestAcrossAccounts(t *testing.T) {
	p := world(t)
	u, err := p.RAM.CreateUser(ctx, planetest.Bob, name("bert"))
	must(t, err)
	bob := ram.Asked{Account: planetest.Bob.Account, Owner: planetest.Alice.Account}
	bert := bob
	bert.User = u.ID
	says := func(account, user bool) {
		t.Helper()
		if err := p.RAM.Authorize(bob, about("DescribeVpcs", "*")); (err == nil) != account {
			t.Errorf("Bob: %v", err)
		}
		if err := p.RAM.Authorize(bert, about("DescribeVpcs", "*")); (err == nil) != user {
			t.Errorf("Bert: %v", err)
		}
	}
	says(false, false)
	must(t, p.RAM.Attach(ctx, planetest.Bob, "bert", "AdministratorAccess", true))
	says(false, false)
	if _, ok := p.RAM.Owner("alice", planetest.Bob.Account); ok {
		t.Error("Alice has let Bob do nothing")
	}
	must(t, p.RAM.Grant(ctx, planetest.Alice, planetest.Bob.Account, "AliyunVPCReadOnlyAccess", true))
	says(true, true)
	if id, ok := p.RAM.Owner("alice", planetest.Bob.Account); !ok || id != planetest.Alice.Account {
		t.Errorf("%q, %v", id, ok)
	}
	if err := p.RAM.Authorize(bob, about("DeleteVpc", "vpc-1")); err == nil {
		t.Error("Bob may delete")
	}
	must(t, p.RAM.Detach(ctx, planetest.Bob, "bert", "AdministratorAccess", true))
	says(true, false)
	must(t, p.RAM.Revoke(ctx, planetest.Alice, planetest.Bob.Account, "AliyunVPCReadOnlyAccess", true))
	says(false, false)
}

// TestSecretsStaySealed: no secret of a user's key stands in what is kept.
func TestSecretsStaySealed(t *testing.T) {
	p := world(t)
	_, err := p.RAM.CreateUser(ctx, planetest.Alice, name("carol"))
	must(t, err)
	c := planetest.Alice
	c.Token, c.Action = "token", "CreateAccessKey"
	k, err := p.RAM.CreateKey(ctx, c, "carol", identity.KeyOptions{})
	must(t, err)
	p.Restart()
	found := false
	for name, text := range p.Written() {
		if strings.Contains(string(text), k.Secret) {
			t.Errorf("the secret stands in %s", name)
		}
		found = found || strings.Contains(name+string(text), k.ID)
	}
	if !found || strings.Contains(p.Log(), k.Secret) {
		t.Error("the key's id stands nowhere, or its secret in the log")
	}
}

func TestSystemPolicies(t *testing.T) {
	for _, s := range ram.SystemPolicies() {
		d, err := policy.Parse(s.Text)
		must(t, err)
		for _, action := range []string{"DeleteVpc", "ReleaseEipAddress", "CreateNatGateway", "CreateVpnConnection"} {
			r := about(action, "*")[0]
			got := policy.Decide([]*policy.Document{d}, &r).Effect == policy.Allow
			if strings.HasSuffix(s.Name, "ReadOnlyAccess") && got {
				t.Errorf("%s allows %s", s.Name, action)
			}
			if s.Name == "AdministratorAccess" && !got {
				t.Errorf("%s does not allow %s", s.Name, action)
			}
		}
	}
}
