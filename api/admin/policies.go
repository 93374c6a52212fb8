package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
)

// Policy is a policy of an account, or of the system.
type Policy struct {
	Name        string    `json:"name"`
	System      bool      `json:"system"`
	Description string    `json:"description,omitempty"`
	Document    string    `json:"document"`
	Version     int       `json:"version"` // that holds
	Attached    int       `json:"attached"`
	UpdatedAt   time.Time `json:"updatedAt,omitzero"`
}

// NewPolicy is what a policy is made of, or becomes.
type NewPolicy struct {
	Account     string `json:"account,omitempty"`
	Name        string `json:"name"`
	Description string `json:"description,omitempty"`
	Document    string `json:"document"`
}

// Grant is what another account may do on the resources of one.
type Grant struct {
	To     string    `json:"to"` // id of the account
	Policy string    `json:"policy"`
	System bool      `json:"system"`
	Since  time.Time `json:"since"`
}

// Question is what is to be decided by policies.
type Question struct {
	Account  string            `json:"account,omitempty"`
	User     string            `json:"user,omitempty"`  // empty: the account's own key
	Owner    string            `json:"owner,omitempty"` // id or name of the account whose the resource is; empty: the same
	Service  string            `json:"service"`
	Action   string            `json:"action"`
	Of       string            `json:"of"` // service of the resource
	Region   string            `json:"region"`
	Resource string            `json:"resource"`         // <type>/<id>; empty: everything
	Values   map[string]string `json:"values,omitempty"` // of condition keys, in lower case
}

// Answer is what has been decided.
type Answer struct {
	Allowed  bool   `json:"allowed"`
	Why      string `json:"why"`
	Resource string `json:"resource"` // in full
}

func isSystem(name string) bool { _, ok := ram.System(name); return ok }

func policyRoutes(ids Identity, s RAM) map[string]handler {
	show := func(a *resource.Account, p *resource.Policy) Policy {
		return Policy{Name: p.Name, Description: p.Description, Document: p.Document(), Version: p.Default, Attached: s.Attachments(a.ID, p.Name, false), UpdatedAt: p.Updated}
	}
	showSystem := func(a *resource.Account, p *ram.SystemPolicy) Policy {
		return Policy{Name: p.Name, System: true, Description: p.Description, Document: p.Text, Version: 1, Attached: s.Attachments(a.ID, p.Name, true)}
	}
	return map[string]handler{
		"GET /v1/policies": about(ids, func(_ *http.Request, a *resource.Account) (any, error) {
			list := []Policy{}
			for _, p := range s.Policies(a.ID) {
				list = append(list, show(a, p))
			}
			for _, p := range ram.SystemPolicies() {
				list = append(list, showSystem(a, p))
			}
			return list, nil
		}),
		"GET /v1/policies/{name}": about(ids, func(r *http.Request, a *resource.Account) (any, error) {
			if p, ok := ram.System(r.PathValue("name")); ok {
				return showSystem(a, p), nil
			}
			p, err := s.Policy(a.ID, r.PathValue("name"), false)
			if err != nil {
				return nil, err
			}
			return show(a, p), nil
		}),
		"POST /v1/policies":       putPolicy(ids, s, false),
		"PUT /v1/policies/{name}": putPolicy(ids, s, true),
		"DELETE /v1/policies/{name}": about(ids, func(r *http.Request, a *resource.Account) (any, error) {
			return done{}, s.DeletePolicy(r.Context(), operator(a), r.PathValue("name"), true)
		}),
		"GET /v1/grants": about(ids, func(_ *http.Request, a *resource.Account) (any, error) {
			list := []Grant{}
			for _, g := range s.Grants(a.ID) {
				list = append(list, Grant{To: g.To, Policy: g.Name, System: g.System, Since: g.At})
			}
			return list, nil
		}),
		"PUT /v1/grants/{to}/policies/{policy}":    grant(ids, s, RAM.Grant),
		"DELETE /v1/grants/{to}/policies/{policy}": grant(ids, s, RAM.Revoke),
	}
}

// grant lets another account do something, or no longer.
func grant(ids Identity, s RAM, do func(s RAM, ctx context.Context, c identity.Caller, to, policyName string, system bool) error) handler {
	return about(ids, func(r *http.Request, a *resource.Account) (any, error) {
		to, err := accountOf(ids, r.PathValue("to"))
		if err != nil {
			return nil, err
		}
		p := r.PathValue("policy")
		return done{}, do(s, r.Context(), operator(a), to.ID, p, isSystem(p))
	})
}

// putPolicy makes a policy, or has another document hold of it.
func putPolicy(ids Identity, s RAM, again bool) handler {
	return func(r *http.Request) (any, error) {
		var in NewPolicy
		if err := read(r, &in); err != nil {
			return nil, err
		}
		a, err := accountOf(ids, in.Account)
		if err != nil {
			return nil, err
		}
		if again {
			_, err = s.AddVersion(r.Context(), operator(a), r.PathValue("name"), in.Document, true, true)
		} else {
			_, err = s.CreatePolicy(r.Context(), operator(a), in.Name, in.Description, in.Document)
		}
		return done{}, err
	}
}

// simulate says what is decided about a question.
func simulate(ids Identity, s RAM) handler {
	return func(r *http.Request) (any, error) {
		var in Question
		if err := read(r, &in); err != nil {
			return nil, err
		}
		a, err := accountOf(ids, in.Account)
		if err != nil {
			return nil, err
		}
		asked := ram.Asked{Account: a.ID, Owner: a.ID}
		if in.User != "" {
			u, err := s.User(a.ID, in.User)
			if err != nil {
				return nil, err
			}
			asked.User = u.ID
		}
		if in.Owner != "" {
			o, err := accountOf(ids, in.Owner)
			if err != nil {
				return nil, err
			}
			asked.Owner = o.ID
		}
		q := policy.Request{Service: in.Service, Action: in.Action, Value: func(key string) (string, bool) { v, ok := in.Values[key]; return v, ok },
			Resource: policy.Resource{Of: in.Of, Region: in.Region, Account: asked.Owner, ID: in.Resource, Whole: in.Resource == ""}}
		if asked.Free() {
			return Answer{true, "the account's own keys may do everything on its resources", q.String()}, nil
		}
		v := s.Decide(asked, &q)
		return Answer{v.Effect == policy.Allow, v.String(), q.String()}, nil
	}
}

// Policies returns the policies of an account, and those of the system.
func (c *Client) Policies(ctx context.Context, account string) (list []Policy, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/policies?account="+url.QueryEscape(account), nil, &list)
	return list, err
}

// Policy returns one of them.
func (c *Client) Policy(ctx context.Context, account, name string) (p Policy, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/policies/"+url.PathEscape(name)+"?account="+url.QueryEscape(account), nil, &p)
	return p, err
}

// CreatePolicy makes a policy of an account's own.
func (c *Client) CreatePolicy(ctx context.Context, in NewPolicy) error {
	return c.call(ctx, http.MethodPost, "/v1/policies", in, nil)
}

// UpdatePolicy has another document hold, as a further version; the oldest one goes where
// there are too many.
func (c *Client) UpdatePolicy(ctx context.Context, in NewPolicy) error {
	return c.call(ctx, http.MethodPut, "/v1/policies/"+url.PathEscape(in.Name), in, nil)
}

// DeletePolicy removes a policy that is attached nowhere, with all its versions.
func (c *Client) DeletePolicy(ctx context.Context, account, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/policies/"+url.PathEscape(name)+"?account="+url.QueryEscape(account), nil, nil)
}

// Grants returns what other accounts may do on the resources of one.
func (c *Client) Grants(ctx context.Context, account string) (list []Grant, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/grants?account="+url.QueryEscape(account), nil, &list)
	return list, err
}

// Grant lets another account do what a policy allows.
func (c *Client) Grant(ctx context.Context, account, to, policy string) error {
	return c.call(ctx, http.MethodPut, grantPath(account, to, policy), nil, nil)
}

// Revoke undoes Grant.
func (c *Client) Revoke(ctx context.Context, account, to, policy string) error {
	return c.call(ctx, http.MethodDelete, grantPath(account, to, policy), nil, nil)
}

func grantPath(account, to, policy string) string {
	return "/v1/grants/" + url.PathEscape(to) + "/policies/" + url.PathEscape(policy) + "?account=" + url.QueryEscape(account)
}

// Simulate asks what would be decided.
func (c *Client) Simulate(ctx context.Context, q Question) (a Answer, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/simulate", q, &a)
	return a, err
}
