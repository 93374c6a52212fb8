package ram

import (
	"fmt"
	"log/slog"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/policy"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Asked is who asks, and for whose resources.
type Asked struct {
	Account  string // id of the account whose key it is
	User     string // id of the user whose key it is; empty: the account's own
	UserName string
	Owner    string // id of the account that the resources are of
}

// Of returns who asks with a key.
func Of(k identity.Key, owner string) Asked { return Asked{k.Account, k.User, k.UserName, owner} }

// Free says that nothing limits who asks: the account itself, on what is its own.
func (a Asked) Free() bool { return a.User == "" && a.Owner == a.Account }

// Verdict is what has been decided about one request, and by whose statement.
type Verdict struct {
	policy.Decision
	By     string // "user alice", "account 1000000000000002"
	Policy string // name of the policy whose statement decided; empty if none did
}

// String says it in a line.
func (v Verdict) String() string {
	switch v.Effect {
	case policy.Allow:
		return fmt.Sprintf("allowed by statement %d of policy %s (%s)", v.Statement, v.Policy, v.By)
	case policy.Deny:
		return fmt.Sprintf("denied by statement %d of policy %s (%s)", v.Statement, v.Policy, v.By)
	}
	return fmt.Sprintf("no statement of a policy of %s allows it", v.By)
}

// Authorize refuses what is not allowed. All of the requests have to be. Reason:
// NotAuthorized.
func (s *Service) Authorize(a Asked, requests []policy.Request) error {
	if a.Free() {
		return nil
	}
	v := s.db.View()
	for i := range requests {
		if d := s.verdict(v, a, &requests[i]); d.Effect != policy.Allow {
			r := &requests[i]
			return fault.Explained(fault.NotAuthorized, "%s:%s on %s: %s", r.Service, r.Action, r.Resource, d)
		}
	}
	return nil
}

// Decide says what has been decided about a request.
func (s *Service) Decide(a Asked, r *policy.Request) Verdict { return s.verdict(s.db.View(), a, r) }

// verdict asks the user's policies, if it is a user, and what its account has been let do,
// if the resources are another's. Both have to allow it.
func (s *Service) verdict(v *state.View, a Asked, r *policy.Request) (d Verdict) {
	d.Decision = policy.Decision{Effect: policy.Allow, Document: -1, Statement: -1}
	d.By = "account " + a.Account
	if a.User != "" {
		u, ok := v.Users.Get(a.User)
		if !ok {
			return Verdict{policy.Decision{Document: -1, Statement: -1}, "user " + a.User, ""}
		}
		if d = s.decide(v, u.Attached, r, "user "+u.Name); d.Effect != policy.Allow {
			return d
		}
	}
	if a.Owner != a.Account {
		var list []resource.Attachment
		for g := range v.Grants.By(state.ByGrantee, state.Key(a.Owner, a.Account)).All() {
			list = append(list, g.Attachment)
		}
		d = s.decide(v, list, r, "account "+a.Account)
	}
	return d
}

// decide asks policies. One that cannot be read, which is not stored, allows nothing at all.
func (s *Service) decide(v *state.View, list []resource.Attachment, r *policy.Request, by string) Verdict {
	none := Verdict{policy.Decision{Document: -1, Statement: -1}, by, ""}
	documents := make([]*policy.Document, 0, len(list))
	for _, a := range list {
		d, err := s.document(v, a)
		if err != nil {
			slog.Error("policy cannot be used", "policy", a.Policy, "error", err)
			return none
		}
		documents = append(documents, d)
	}
	d := Verdict{policy.Decide(documents, r), by, ""}
	if d.Document >= 0 {
		d.Policy = title(v, list[d.Document])
	}
	return d
}

// Owner returns the account of that id or name, if it has let another do anything on its
// resources.
func (s *Service) Owner(idOrName, to string) (id string, ok bool) {
	a, ok := s.keys.Account(idOrName)
	if !ok {
		return "", false
	}
	return a.ID, s.db.View().Grants.By(state.ByGrantee, state.Key(a.ID, to)).Len() > 0
}

// VPCOf returns the VPC of a VRouter of an account.
func (s *Service) VPCOf(account, router string) (vpc string, found bool) {
	r, ok := s.db.View().VRouters.Get(router)
	if !ok || r.Account != account {
		return "", false
	}
	return r.VPC, true
}

// Where returns the region of a resource of an account; false: there is none of that id.
// For a NAT gateway, the id may be one of a table of it.
func (s *Service) Where(account string, kind resource.Kind, id string) (region string, found bool) {
	v := s.db.View()
	r, ok := v.Find(kind, id)
	if kind == resource.KindNATGateway && !ok {
		r, ok = v.NATGateways.By(state.ByTableID, id).First()
	}
	if !ok || r.Metadata().Account != account {
		return "", false
	}
	return r.Metadata().Region, true
}
