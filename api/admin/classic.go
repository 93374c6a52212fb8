package admin

import (
	"context"
	"net/http"
	"time"

	"sluice/controlplane/inventory"
	"sluice/controlplane/resource"
)

// ClassicInventory knows who is on classic networks: *inventory.Service does.
type ClassicInventory interface {
	AddClassic(ctx context.Context, in inventory.NewClassicInstance) (*resource.ClassicInstance, error)
	Classic() []inventory.ClassicInstance
}

// ClassicInstance is an entry of the inventory that is in no VPC, but on the classic network of
// its region.
type ClassicInstance struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	Address   string    `json:"address"`
	MAC       string    `json:"mac,omitempty"`
	VPC       string    `json:"vpc,omitempty"`    // that it is linked to
	Router    string    `json:"router,omitempty"` // of the VPC in the classic network: the next hop to Blocks
	Blocks    []string  `json:"blocks,omitempty"` // of the VPC
	CreatedAt time.Time `json:"createdAt"`
}

// NewClassicInstance is what such an entry is made of. ID and MAC may be left out.
type NewClassicInstance struct {
	ID      string `json:"id,omitempty"`
	Account string `json:"account"`
	Region  string `json:"region"`
	Address string `json:"address"`
	MAC     string `json:"mac,omitempty"`
}

func classicRoutes(s ClassicInventory) map[string]handler {
	return map[string]handler{
		"GET /v1/classic-instances": func(*http.Request) (any, error) {
			list := []ClassicInstance{}
			for _, i := range s.Classic() {
				out := classicInstance(i.ClassicInstance)
				if i.VPC != "" {
					out.VPC, out.Router = i.VPC, i.Router.String()
				}
				for _, p := range i.Blocks {
					out.Blocks = append(out.Blocks, p.String())
				}
				list = append(list, out)
			}
			return list, nil
		},
		"POST /v1/classic-instances": func(r *http.Request) (any, error) {
			var in NewClassicInstance
			if err := read(r, &in); err != nil {
				return nil, err
			}
			a, err := parseAddress(in.Address)
			if err != nil {
				return nil, err
			}
			i, err := s.AddClassic(r.Context(), inventory.NewClassicInstance{ID: in.ID, Account: in.Account, Region: in.Region, Address: a, MAC: in.MAC})
			if err != nil {
				return nil, err
			}
			return classicInstance(i), nil
		},
	}
}

func classicInstance(i *resource.ClassicInstance) ClassicInstance {
	return ClassicInstance{ID: i.ID, Account: i.Account, Region: i.Region, Address: i.Address.String(), MAC: i.MAC, CreatedAt: i.CreatedAt}
}

// ClassicInstances returns the instances of classic networks, in order of creation.
func (c *Client) ClassicInstances(ctx context.Context) (list []ClassicInstance, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/classic-instances", nil, &list)
	return list, err
}

// AddClassicInstance puts an instance of a classic network into the inventory. RemoveInstance
// takes it out again.
func (c *Client) AddClassicInstance(ctx context.Context, in NewClassicInstance) (i ClassicInstance, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/classic-instances", in, &i)
	return i, err
}
