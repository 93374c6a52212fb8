package admin

import (
	"context"
	"strings"
	"testing"

	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
)

// startRAM has the real services for users and policies, and the fake for the rest.
func startRAM(t *testing.T) (*Client, *planetest.Plane) {
	t.Helper()
	p := planetest.New(t)
	for _, name := range []string{identity.DefaultAccount, "branch"} {
		if _, err := p.Keys.CreateAccount(context.Background(), name); err != nil {
			t.Fatal(err)
		}
	}
	c, _ := start(t, &fake{plane: p}, nil)
	return c, p
}

// TestRAM goes through what sluicectl ram does: users, policies, keys, grants, and what
// would be decided.
func TestRAM(t *testing.T) {
	c, p := startRAM(t)
	ctx := t.Context()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	refused := func(err error, text string) {
		t.Helper()
		if err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%v, want %q", err, text)
		}
	}
	says := func(q Question, allowed bool, why string) {
		t.Helper()
		q.Service, q.Of, q.Region, q.Action = "vpc", "vpc", "cn-beijing", "DeleteVpc"
		a, err := c.Simulate(ctx, q)
		must(err)
		if a.Allowed != allowed || !strings.Contains(a.Why, why) {
			t.Errorf("%+v: %+v, want %v, %s", q, a, allowed, why)
		}
	}
	_, err := c.CreateUser(ctx, NewUser{Account: "nobody", Name: "alice"})
	refused(err, "account")
	u, err := c.CreateUser(ctx, NewUser{Name: "alice", Comments: "hers"})
	must(err)
	k, err := c.CreateAccessKey(ctx, NewAccessKey{User: "alice"})
	must(err)
	if got, ok := p.Keys.Key(k.ID); !ok || got.User != u.ID || got.Secret != k.Secret || k.UserName != "alice" {
		t.Errorf("%+v, %v", got, ok)
	}
	says(Question{User: "alice", Resource: "vpc/vpc-1"}, false, "no statement of a policy of user alice allows it")
	says(Question{Resource: "vpc/vpc-1"}, true, "the account's own keys")
	refused(c.CreatePolicy(ctx, NewPolicy{Name: "p", Document: `{"Version":"1","Statement":[]}`}), "Statement: the list is empty")
	must(c.CreatePolicy(ctx, NewPolicy{Name: "p", Document: `{"Version":"1","Statement":[{"Effect":"Allow","Action":"vpc:*","Resource":"acs:vpc:*:*:vpc/vpc-1"}]}`}))
	must(c.AttachPolicy(ctx, "", "alice", "p"))
	refused(c.AttachPolicy(ctx, "", "alice", "none"), "none")
	says(Question{User: "alice", Resource: "vpc/vpc-1"}, true, "allowed by statement 0 of policy p (user alice)")
	says(Question{User: "alice", Resource: "vpc/vpc-2"}, false, "no statement")
	says(Question{User: "alice"}, false, "no statement")
	must(c.UpdatePolicy(ctx, NewPolicy{Name: "p", Document: `{"Version":"1","Statement":[{"Effect":"Deny","Action":"vpc:*","Resource":"*"}]}`}))
	must(c.AttachPolicy(ctx, "", "alice", "AdministratorAccess"))
	says(Question{User: "alice", Resource: "vpc/vpc-1"}, false, "denied by statement 0 of policy p (user alice)")
	users, err := c.Users(ctx, "")
	must(err)
	if len(users) != 1 || strings.Join(users[0].Policies, " ") != "p AdministratorAccess" || users[0].Comments != "hers" {
		t.Errorf("%+v", users)
	}
	list, err := c.Policies(ctx, "default")
	must(err)
	if list[0].Name != "p" || list[0].Version != 2 || list[0].Attached != 1 || !list[1].System {
		t.Errorf("%+v", list[:2])
	}
	refused(c.DeletePolicy(ctx, "", "p"), "attached")
	must(c.DetachPolicy(ctx, "", "alice", "p"))
	must(c.DeletePolicy(ctx, "", "p"))
	_, err = c.Policy(ctx, "", "p")
	refused(err, "policy")
	refused(c.DeleteUser(ctx, "", "alice"), "access key")
	must(c.DeleteAccessKey(ctx, k.ID))
	refused(c.DeleteUser(ctx, "", "alice"), "AdministratorAccess")
	must(c.DetachPolicy(ctx, "", "alice", "AdministratorAccess"))
	must(c.DeleteUser(ctx, "", "alice"))

	says(Question{Account: "branch", Owner: "default", Resource: "vpc/vpc-1"}, false, "no statement of a policy of account")
	must(c.Grant(ctx, "", "branch", "AdministratorAccess"))
	says(Question{Account: "branch", Owner: "default", Resource: "vpc/vpc-1"}, true, "policy AdministratorAccess")
	grants, err := c.Grants(ctx, "")
	must(err)
	if len(grants) != 1 || grants[0].Policy != "AdministratorAccess" || !grants[0].System {
		t.Errorf("%+v", grants)
	}
	must(c.Revoke(ctx, "", "branch", "AdministratorAccess"))
	says(Question{Account: "branch", Owner: "default", Resource: "vpc/vpc-1"}, false, "no statement")
}
