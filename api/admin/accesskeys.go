package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"sluice/controlplane/identity"
)

// AccessKey lets a client sign as an account. Secret is told once, when the
// key is made.
type AccessKey struct {
	ID           string    `json:"id"`
	Secret       string    `json:"secret,omitempty"`
	Account      string    `json:"account"`
	AccountName  string    `json:"accountName"`
	UserName     string    `json:"userName,omitempty"` // of the user that signs by it; empty: the account itself
	Disabled     bool      `json:"disabled"`
	DescribeOnly bool      `json:"describeOnly"`
	CreatedAt    time.Time `json:"createdAt"`
}

func accessKey(k identity.Key) AccessKey {
	return AccessKey{ID: k.ID, Account: k.Account, AccountName: k.AccountName, UserName: k.UserName, Disabled: k.Disabled, DescribeOnly: k.DescribeOnly, CreatedAt: k.CreatedAt}
}

// NewAccessKey is what a key is made of. All of it may be left out.
type NewAccessKey struct {
	Account      string `json:"account,omitempty"`      // id or name; empty: the account "default", which is made if there is none
	User         string `json:"user,omitempty"`         // name of a user of the account; empty: the key has all of its rights
	ID           string `json:"id,omitempty"`           // empty: drawn at random
	Secret       string `json:"secret,omitempty"`       // empty: drawn at random
	DescribeOnly bool   `json:"describeOnly,omitempty"` // the key may not call actions that write
}

func accessKeyRoutes(s Identity, users RAM) map[string]handler {
	change := func(fn func(context.Context, string) error) handler {
		return func(r *http.Request) (any, error) { return done{}, fn(r.Context(), r.PathValue("id")) }
	}
	return map[string]handler{
		"GET /v1/access-keys": func(r *http.Request) (any, error) {
			keys, err := s.Keys(r.URL.Query().Get("account"))
			list := make([]AccessKey, 0, len(keys))
			for _, k := range keys {
				list = append(list, accessKey(k))
			}
			return list, err
		},
		"POST /v1/access-keys": func(r *http.Request) (any, error) {
			var in NewAccessKey
			if err := read(r, &in); err != nil {
				return nil, err
			}
			k, err := createKey(r.Context(), s, users, in)
			if err != nil {
				return nil, err
			}
			made := accessKey(k)
			made.Secret = k.Secret
			return made, nil
		},
		"POST /v1/access-keys/{id}/disable": change(s.DisableKey),
		"POST /v1/access-keys/{id}/enable":  change(s.EnableKey),
		"DELETE /v1/access-keys/{id}":       change(s.DeleteKey),
	}
}

func createKey(ctx context.Context, s Identity, users RAM, in NewAccessKey) (identity.Key, error) {
	o := identity.KeyOptions{ID: in.ID, Secret: in.Secret, DescribeOnly: in.DescribeOnly}
	if in.User == "" {
		return s.CreateKey(ctx, in.Account, o)
	}
	a, err := accountOf(s, in.Account)
	if err != nil {
		return identity.Key{}, err
	}
	return users.CreateKey(ctx, operator(a), in.User, o)
}

// AccessKeys returns the keys of the account of that id or name, or all keys
// if account is empty, in order of creation and without their secrets.
func (c *Client) AccessKeys(ctx context.Context, account string) (list []AccessKey, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/access-keys?account="+url.QueryEscape(account), nil, &list)
	return list, err
}

// CreateAccessKey makes a key. The answer has its secret, which cannot be read
// again.
func (c *Client) CreateAccessKey(ctx context.Context, in NewAccessKey) (k AccessKey, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/access-keys", in, &k)
	return k, err
}

// DisableAccessKey makes signatures by the key be refused.
func (c *Client) DisableAccessKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/access-keys/"+url.PathEscape(id)+"/disable", nil, nil)
}

// EnableAccessKey undoes DisableAccessKey.
func (c *Client) EnableAccessKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodPost, "/v1/access-keys/"+url.PathEscape(id)+"/enable", nil, nil)
}

// DeleteAccessKey removes the key for good.
func (c *Client) DeleteAccessKey(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/access-keys/"+url.PathEscape(id), nil, nil)
}
