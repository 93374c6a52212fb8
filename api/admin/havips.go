package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"time"

	"sluice/controlplane/havip"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// HaVips knows the private addresses that move between instances: *havip.Service does.
type HaVips interface {
	All() []havip.HaVip
	Get(id string) (havip.HaVip, error)
	Owner(vswitch string) (c identity.Caller, region string, err error)
	OwnerOf(id string) (c identity.Caller, region string, err error)
	Create(ctx context.Context, c identity.Caller, in havip.NewHaVip) (*resource.HaVip, error)
	Associate(ctx context.Context, c identity.Caller, region, id, instance string) error
	Unassociate(ctx context.Context, c identity.Caller, region, id, instance string, force bool) error
	Delete(ctx context.Context, c identity.Caller, region, id string) error
	LetAnyHost(ctx context.Context, id string, on bool) error
}

// HaVip is a private address that moves between instances.
type HaVip struct {
	ID          string    `json:"id"`
	Account     string    `json:"account"`
	Region      string    `json:"region"`
	VPC         string    `json:"vpc"`
	VSwitch     string    `json:"vswitch"`
	PrivateIP   string    `json:"privateIp"`
	Name        string    `json:"name,omitempty"`
	Status      string    `json:"status"`
	Instances   []string  `json:"instances,omitempty"` // that may have it
	AnyHost     bool      `json:"anyHost,omitempty"`   // every host of the VSwitch may
	Elastic     []string  `json:"elasticIps,omitempty"`
	Master      string    `json:"master,omitempty"`    // id of the instance that was seen to have it
	MasterMAC   string    `json:"masterMac,omitempty"` // of whoever was seen to have it
	MasterSince time.Time `json:"masterSince,omitzero"`
	CreatedAt   time.Time `json:"createdAt"`
}

// haVipWords are what the commands call the states: as the API does.
var haVipWords = map[havip.Status]string{
	havip.Creating: "Creating", havip.Available: "Available", havip.InUse: "InUse", havip.Associating: "Associating", havip.Unassociating: "Unassociating",
}

func haVip(h havip.HaVip) HaVip {
	out := HaVip{
		ID: h.ID, Account: h.Account, Region: h.Region, VPC: h.VPC, VSwitch: h.VSwitch, PrivateIP: h.PrivateIP.String(), Name: h.Name,
		Status: haVipWords[h.Status], Instances: h.Instances, AnyHost: h.AnyHost,
		Master: h.Master.Instance, MasterMAC: h.Master.MAC, MasterSince: h.Master.Since, CreatedAt: h.CreatedAt,
	}
	for _, a := range h.Elastic {
		out.Elastic = append(out.Elastic, a.String())
	}
	return out
}

// NewHaVip is what a HaVip is made of. Only VSwitch must be given.
type NewHaVip struct {
	VSwitch   string `json:"vswitch"`             // id
	PrivateIP string `json:"privateIp,omitempty"` // empty: the lowest that is free in the VSwitch
	Name      string `json:"name,omitempty"`
	AnyHost   bool   `json:"anyHost,omitempty"`
}

type anyHost struct {
	AnyHost bool `json:"anyHost"`
}

func haVipRoutes(s HaVips) map[string]handler {
	// as carries out a change as the owner of a HaVip, and answers it as it is then.
	as := func(id string, do func(c identity.Caller, region string) error) (any, error) {
		c, region, err := s.OwnerOf(id)
		if err != nil {
			return nil, err
		}
		if err := do(c, region); err != nil {
			return nil, err
		}
		h, err := s.Get(id)
		return haVip(h), err
	}
	return map[string]handler{
		"GET /v1/havips": func(*http.Request) (any, error) {
			list := []HaVip{}
			for _, h := range s.All() {
				list = append(list, haVip(h))
			}
			return list, nil
		},
		"POST /v1/havips": func(r *http.Request) (any, error) {
			var in NewHaVip
			if err := read(r, &in); err != nil {
				return nil, err
			}
			c, region, err := s.Owner(in.VSwitch)
			if err != nil {
				return nil, err
			}
			add := havip.NewHaVip{Region: region, VSwitch: in.VSwitch, Name: in.Name, AnyHost: in.AnyHost}
			if in.PrivateIP != "" {
				a, err := netip.ParseAddr(in.PrivateIP)
				if err != nil || !a.Is4() {
					return nil, &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("private IP %q is not an IPv4 address; write for example 192.168.1.10", in.PrivateIP)}
				}
				add.PrivateIP = a
			}
			made, err := s.Create(r.Context(), c, add)
			if err != nil {
				return nil, err
			}
			h, err := s.Get(made.ID)
			return haVip(h), err
		},
		"PUT /v1/havips/{id}/instances/{instance}": func(r *http.Request) (any, error) {
			id := r.PathValue("id")
			return as(id, func(c identity.Caller, region string) error {
				return s.Associate(r.Context(), c, region, id, r.PathValue("instance"))
			})
		},
		"DELETE /v1/havips/{id}/instances/{instance}": func(r *http.Request) (any, error) {
			id, force := r.PathValue("id"), r.URL.Query().Get("force") == "true"
			return as(id, func(c identity.Caller, region string) error {
				return s.Unassociate(r.Context(), c, region, id, r.PathValue("instance"), force)
			})
		},
		"PUT /v1/havips/{id}/any-host": func(r *http.Request) (any, error) {
			var in anyHost
			if err := read(r, &in); err != nil {
				return nil, err
			}
			return done{}, s.LetAnyHost(r.Context(), r.PathValue("id"), in.AnyHost)
		},
		"DELETE /v1/havips/{id}": func(r *http.Request) (any, error) {
			id := r.PathValue("id")
			c, region, err := s.OwnerOf(id)
			if err != nil {
				return nil, err
			}
			return done{}, s.Delete(r.Context(), c, region, id)
		},
	}
}

// HaVips returns all HaVips, in the order in which they were made.
func (c *Client) HaVips(ctx context.Context) (list []HaVip, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/havips", nil, &list)
	return list, err
}

// AddHaVip makes a HaVip.
func (c *Client) AddHaVip(ctx context.Context, in NewHaVip) (h HaVip, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/havips", in, &h)
	return h, err
}

// BindHaVip lets an instance have the address of a HaVip.
func (c *Client) BindHaVip(ctx context.Context, id, instance string) (h HaVip, err error) {
	err = c.call(ctx, http.MethodPut, "/v1/havips/"+url.PathEscape(id)+"/instances/"+url.PathEscape(instance), nil, &h)
	return h, err
}

// UnbindHaVip takes that right from an instance; with force, also from the one that has the
// address.
func (c *Client) UnbindHaVip(ctx context.Context, id, instance string, force bool) (h HaVip, err error) {
	path := "/v1/havips/" + url.PathEscape(id) + "/instances/" + url.PathEscape(instance)
	if force {
		path += "?force=true"
	}
	err = c.call(ctx, http.MethodDelete, path, nil, &h)
	return h, err
}

// LetAnyHost says whether every host of the VSwitch may have the address of a HaVip.
func (c *Client) LetAnyHost(ctx context.Context, id string, on bool) error {
	return c.call(ctx, http.MethodPut, "/v1/havips/"+url.PathEscape(id)+"/any-host", anyHost{on}, nil)
}

// RemoveHaVip deletes a HaVip that is bound to nothing.
func (c *Client) RemoveHaVip(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/havips/"+url.PathEscape(id), nil, nil)
}
