package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
)

// RAM keeps users and policies: *ram.Service does.
type RAM interface {
	CreateUser(ctx context.Context, c identity.Caller, o ram.UserSettings) (*resource.User, error)
	DeleteUser(ctx context.Context, c identity.Caller, name string) error
	User(account, name string) (*resource.User, error)
	Users(account string) []*resource.User
	CreateKey(ctx context.Context, c identity.Caller, name string, o identity.KeyOptions) (identity.Key, error)
	PoliciesOf(account, name string) ([]ram.Attached, error)

	CreatePolicy(ctx context.Context, c identity.Caller, name, description, document string) (*resource.Policy, error)
	AddVersion(ctx context.Context, c identity.Caller, name, document string, holds, rotate bool) (*resource.Policy, error)
	DeletePolicy(ctx context.Context, c identity.Caller, name string, versions bool) error
	Policy(account, name string, system bool) (*resource.Policy, error)
	Policies(account string) []*resource.Policy
	Attachments(account, name string, system bool) int

	Attach(ctx context.Context, c identity.Caller, userName, policyName string, system bool) error
	Detach(ctx context.Context, c identity.Caller, userName, policyName string, system bool) error
	Grant(ctx context.Context, c identity.Caller, to, policyName string, system bool) error
	Revoke(ctx context.Context, c identity.Caller, to, policyName string, system bool) error
	Grants(account string) []ram.Granted

	Decide(a ram.Asked, r *policy.Request) ram.Verdict
}

// User is a RAM user of an account.
type User struct {
	ID          string    `json:"id"`
	Name        string    `json:"name"`
	Account     string    `json:"account"`
	AccountName string    `json:"accountName"`
	Comments    string    `json:"comments,omitempty"`
	Policies    []string  `json:"policies"`
	CreatedAt   time.Time `json:"createdAt"`
}

// NewUser is what a user is made of.
type NewUser struct {
	Account  string `json:"account,omitempty"` // id or name; empty: the account "default"
	Name     string `json:"name"`
	Comments string `json:"comments,omitempty"`
}

// accountOf returns the account of an id or name, or the default one, which is there once
// it has a key.
func accountOf(s Identity, idOrName string) (*resource.Account, error) {
	if idOrName == "" {
		idOrName = identity.DefaultAccount
	}
	for _, a := range s.Accounts() {
		if a.ID == idOrName || a.Name == idOrName {
			return a, nil
		}
	}
	return nil, fault.New(fault.AccountNotFound, "account %q", idOrName)
}

// operator is who calls over the socket for an account.
func operator(a *resource.Account) identity.Caller {
	return identity.Caller{Account: a.ID, KeyAccount: a.ID}
}

// about has a handler answer about the account that the query names.
func about(s Identity, h func(r *http.Request, a *resource.Account) (any, error)) handler {
	return func(r *http.Request) (any, error) {
		a, err := accountOf(s, r.URL.Query().Get("account"))
		if err != nil {
			return nil, err
		}
		return h(r, a)
	}
}

func showUser(s RAM, a *resource.Account, u *resource.User) (User, error) {
	out := User{ID: u.ID, Name: u.Name, Account: a.ID, AccountName: a.Name, Comments: u.Comments, Policies: []string{}, CreatedAt: u.CreatedAt}
	list, err := s.PoliciesOf(a.ID, u.Name)
	for _, p := range list {
		out.Policies = append(out.Policies, p.Name)
	}
	return out, err
}

func userRoutes(ids Identity, s RAM) map[string]handler {
	return map[string]handler{
		"GET /v1/users": about(ids, func(_ *http.Request, a *resource.Account) (any, error) {
			list := []User{}
			for _, u := range s.Users(a.ID) {
				x, err := showUser(s, a, u)
				if err != nil {
					return nil, err
				}
				list = append(list, x)
			}
			return list, nil
		}),
		"POST /v1/users": func(r *http.Request) (any, error) {
			var in NewUser
			if err := read(r, &in); err != nil {
				return nil, err
			}
			a, err := accountOf(ids, in.Account)
			if err != nil {
				return nil, err
			}
			u, err := s.CreateUser(r.Context(), operator(a), ram.UserSettings{Name: &in.Name, Comments: &in.Comments})
			if err != nil {
				return nil, err
			}
			return showUser(s, a, u)
		},
		"DELETE /v1/users/{name}": about(ids, func(r *http.Request, a *resource.Account) (any, error) {
			return done{}, s.DeleteUser(r.Context(), operator(a), r.PathValue("name"))
		}),
		"PUT /v1/users/{name}/policies/{policy}": about(ids, func(r *http.Request, a *resource.Account) (any, error) {
			p := r.PathValue("policy")
			return done{}, s.Attach(r.Context(), operator(a), r.PathValue("name"), p, isSystem(p))
		}),
		"DELETE /v1/users/{name}/policies/{policy}": about(ids, func(r *http.Request, a *resource.Account) (any, error) {
			p := r.PathValue("policy")
			return done{}, s.Detach(r.Context(), operator(a), r.PathValue("name"), p, isSystem(p))
		}),
		"POST /v1/simulate": simulate(ids, s),
	}
}

// Users returns the users of the account of that id or name, by name; empty: of the
// account "default".
func (c *Client) Users(ctx context.Context, account string) (list []User, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/users?account="+url.QueryEscape(account), nil, &list)
	return list, err
}

// CreateUser makes a user, without keys and without rights.
func (c *Client) CreateUser(ctx context.Context, in NewUser) (u User, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/users", in, &u)
	return u, err
}

// DeleteUser removes a user that has neither keys nor policies.
func (c *Client) DeleteUser(ctx context.Context, account, name string) error {
	return c.call(ctx, http.MethodDelete, "/v1/users/"+url.PathEscape(name)+"?account="+url.QueryEscape(account), nil, nil)
}

// AttachPolicy gives a user the rights of a policy.
func (c *Client) AttachPolicy(ctx context.Context, account, user, policy string) error {
	return c.call(ctx, http.MethodPut, attachedPath(account, user, policy), nil, nil)
}

// DetachPolicy takes them away.
func (c *Client) DetachPolicy(ctx context.Context, account, user, policy string) error {
	return c.call(ctx, http.MethodDelete, attachedPath(account, user, policy), nil, nil)
}

func attachedPath(account, user, policy string) string {
	return "/v1/users/" + url.PathEscape(user) + "/policies/" + url.PathEscape(policy) + "?account=" + url.QueryEscape(account)
}
