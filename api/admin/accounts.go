package admin

import (
	"context"
	"net/http"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// Identity keeps accounts and access keys: *identity.Service does.
type Identity interface {
	Accounts() []*resource.Account
	CreateAccount(ctx context.Context, name string) (*resource.Account, error)
	Keys(account string) ([]identity.Key, error)
	CreateKey(ctx context.Context, account string, o identity.KeyOptions) (identity.Key, error)
	DisableKey(ctx context.Context, id string) error
	EnableKey(ctx context.Context, id string) error
	DeleteKey(ctx context.Context, id string) error
}

// Account owns resources and access keys.
type Account struct {
	ID        string    `json:"id"`
	Name      string    `json:"name"`
	CreatedAt time.Time `json:"createdAt"`
}

func account(a *resource.Account) Account {
	return Account{ID: a.ID, Name: a.Name, CreatedAt: a.CreatedAt}
}

type newAccount struct {
	Name string `json:"name"`
}

func accountRoutes(s Identity) map[string]handler {
	return map[string]handler{
		"GET /v1/accounts": func(*http.Request) (any, error) {
			list := []Account{}
			for _, a := range s.Accounts() {
				list = append(list, account(a))
			}
			return list, nil
		},
		"POST /v1/accounts": func(r *http.Request) (any, error) {
			var in newAccount
			if err := read(r, &in); err != nil {
				return nil, err
			}
			a, err := s.CreateAccount(r.Context(), in.Name)
			if err != nil {
				return nil, err
			}
			return account(a), nil
		},
	}
}

// Accounts returns all accounts, by name.
func (c *Client) Accounts(ctx context.Context) (list []Account, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/accounts", nil, &list)
	return list, err
}

// CreateAccount makes an account. The name is 1 to 64 Latin letters, digits,
// '.', '_' and '-', begins with a letter, and is not taken yet.
func (c *Client) CreateAccount(ctx context.Context, name string) (a Account, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/accounts", newAccount{name}, &a)
	return a, err
}
