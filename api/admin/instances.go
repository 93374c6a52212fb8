package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/inventory"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// Inventory knows who holds which private address: *inventory.Service does.
type Inventory interface {
	Add(ctx context.Context, in inventory.NewInstance) (*resource.Instance, error)
	List(f inventory.Filter) []*resource.Instance
	// Interfaces returns the network interfaces of an instance, the primary one first.
	Interfaces(instance string) []inventory.Interface
	SetState(ctx context.Context, id, state string) error
	SetMAC(ctx context.Context, id, to string) error
	SetLimits(ctx context.Context, id string, to *dataplane.Limits) error
	Remove(ctx context.Context, id string) error
}

// PublicAddresses gives instances ordinary public addresses: *eip.Service does.
type PublicAddresses interface {
	Give(ctx context.Context, instance string, asked netip.Addr) error
	Take(ctx context.Context, instance string) error
}

// Interface is a network interface of an instance.
type Interface struct {
	ID        string             `json:"id"`
	Name      string             `json:"name,omitempty"`
	Index     int                `json:"index"` // in the instance; that of the primary one is 0
	VSwitch   string             `json:"vswitch"`
	MAC       string             `json:"mac,omitempty"`
	Addresses []InterfaceAddress `json:"addresses"` // the primary one first
	Groups    []string           `json:"groups,omitempty"`
}

// InterfaceAddress is a private address of a network interface, with the public one that it
// has of its own, if any.
type InterfaceAddress struct {
	Address string `json:"address"`
	Public  string `json:"public,omitempty"`
}

// Instance is an entry of the inventory.
type Instance struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`
	Region    string    `json:"region"`
	VPC       string    `json:"vpc"`
	VSwitch   string    `json:"vswitch"`
	PrivateIP string    `json:"privateIp"`
	MAC       string    `json:"mac,omitempty"`
	Kind      string    `json:"kind"` // EcsInstance, SlbInstance or RdsInstance
	State     string    `json:"state"`
	Limits    *Limits   `json:"limits,omitempty"` // nil: what each host may have
	CreatedAt time.Time `json:"createdAt"`

	Interfaces []Interface `json:"interfaces,omitempty"` // the primary one first; only hosts have any
}

// Limits are what an instance may have of its NAT gateway's. Zeros are no limit but the
// gateway's.
type Limits struct {
	Sessions     int `json:"sessions"`     // by SNAT entries, open at once
	NewPerSecond int `json:"newPerSecond"` // opened in a second
}

// kindWords are what the inventory's commands call the kinds: as the VPC API reference
// does.
var kindWords = map[resource.InstanceKind]string{
	resource.Host: "EcsInstance", resource.LoadBalancer: "SlbInstance", resource.Database: "RdsInstance",
}

// KindWords returns them, that of an ordinary instance first.
func KindWords() []string {
	return []string{kindWords[resource.Host], kindWords[resource.LoadBalancer], kindWords[resource.Database]}
}

// kindOf returns the kind that a word stands for; none if it is empty.
func kindOf(word string) (resource.InstanceKind, error) {
	if word == "" {
		return "", nil
	}
	for kind, w := range kindWords {
		if w == word {
			return kind, nil
		}
	}
	if word == "HaVip" {
		return "", fault.New(fault.ParameterInvalid, "a HaVip is no instance; it is made by sluicectl havip add, or by CreateHaVip")
	}
	return "", fault.New(fault.ParameterInvalid, "kind %q; write %s", word, strings.Join(KindWords(), ", "))
}

func instance(i *resource.Instance, interfaces []inventory.Interface) Instance {
	out := Instance{
		ID: i.ID, Account: i.Account, Region: i.Region, VPC: i.VPC, VSwitch: i.VSwitch, PrivateIP: i.PrivateIP.String(),
		MAC: i.MAC, Kind: kindWords[i.Type], State: i.State, CreatedAt: i.CreatedAt,
	}
	if l := i.Limits; l != nil {
		out.Limits = &Limits{Sessions: l.Connections, NewPerSecond: l.NewPerSecond}
	}
	for _, n := range interfaces {
		x := Interface{ID: n.ID, Name: n.Name, Index: n.Index, VSwitch: n.VSwitch, MAC: n.MAC, Groups: n.SecurityGroups}
		for _, a := range n.Addresses {
			shown := InterfaceAddress{Address: a.Address.String()}
			if p, ok := n.Public[a.Address]; ok {
				shown.Public = p.String()
			}
			x.Addresses = append(x.Addresses, shown)
		}
		out.Interfaces = append(out.Interfaces, x)
	}
	return out
}

// NewInstance is what an instance is made of. Only VSwitch must be given.
type NewInstance struct {
	ID        string `json:"id,omitempty"`        // empty: made up
	VSwitch   string `json:"vswitch"`             // id
	PrivateIP string `json:"privateIp,omitempty"` // empty: the lowest that is free in the VSwitch
	MAC       string `json:"mac,omitempty"`
	Kind      string `json:"kind,omitempty"`  // empty: EcsInstance
	State     string `json:"state,omitempty"` // empty: Running

	Further []string `json:"further,omitempty"` // private addresses of the primary interface besides PrivateIP
}

// InstanceFilter says which instances a listing shows. What is empty does not
// count.
type InstanceFilter struct{ VPC, VSwitch string }

type newState struct {
	State string `json:"state"`
}

type newMAC struct {
	MAC string `json:"mac"`
}

type newPublic struct {
	Address string `json:"address,omitempty"` // empty: any of the region's pool
}

func instanceRoutes(s Inventory, public PublicAddresses) map[string]handler {
	return map[string]handler{
		"GET /v1/instances": func(r *http.Request) (any, error) {
			q := r.URL.Query()
			list := []Instance{}
			for _, i := range s.List(inventory.Filter{VPC: q.Get("vpc"), VSwitch: q.Get("vswitch")}) {
				list = append(list, instance(i, s.Interfaces(i.ID)))
			}
			return list, nil
		},
		"POST /v1/instances": func(r *http.Request) (any, error) {
			var in NewInstance
			if err := read(r, &in); err != nil {
				return nil, err
			}
			kind, err := kindOf(in.Kind)
			if err != nil {
				return nil, err
			}
			add := inventory.NewInstance{ID: in.ID, VSwitch: in.VSwitch, MAC: in.MAC, Type: kind, State: in.State}
			if in.PrivateIP != "" {
				a, err := parseAddress(in.PrivateIP)
				if err != nil {
					return nil, err
				}
				add.PrivateIP = a
			}
			for _, text := range in.Further {
				a, err := parseAddress(text)
				if err != nil {
					return nil, err
				}
				add.Further = append(add.Further, a)
			}
			i, err := s.Add(r.Context(), add)
			if err != nil {
				return nil, err
			}
			return instance(i, s.Interfaces(i.ID)), nil
		},
		"PUT /v1/instances/{id}/state": func(r *http.Request) (any, error) {
			var in newState
			if err := read(r, &in); err != nil {
				return nil, err
			}
			return done{}, s.SetState(r.Context(), r.PathValue("id"), in.State)
		},
		"PUT /v1/instances/{id}/mac": func(r *http.Request) (any, error) {
			var in newMAC
			if err := read(r, &in); err != nil {
				return nil, err
			}
			return done{}, s.SetMAC(r.Context(), r.PathValue("id"), in.MAC)
		},
		"PUT /v1/instances/{id}/limits": func(r *http.Request) (any, error) {
			var in Limits
			if err := read(r, &in); err != nil {
				return nil, err
			}
			return done{}, s.SetLimits(r.Context(), r.PathValue("id"), &dataplane.Limits{Connections: in.Sessions, NewPerSecond: in.NewPerSecond})
		},
		"DELETE /v1/instances/{id}/limits": func(r *http.Request) (any, error) {
			return done{}, s.SetLimits(r.Context(), r.PathValue("id"), nil)
		},
		"PUT /v1/instances/{id}/public": func(r *http.Request) (any, error) {
			var in newPublic
			if err := read(r, &in); err != nil {
				return nil, err
			}
			var asked netip.Addr
			if in.Address != "" {
				var err error
				if asked, err = parseAddress(in.Address); err != nil {
					return nil, err
				}
			}
			return done{}, public.Give(r.Context(), r.PathValue("id"), asked)
		},
		"DELETE /v1/instances/{id}/public": func(r *http.Request) (any, error) {
			return done{}, public.Take(r.Context(), r.PathValue("id"))
		},
		"DELETE /v1/instances/{id}": func(r *http.Request) (any, error) {
			return done{}, s.Remove(r.Context(), r.PathValue("id"))
		},
	}
}

func parseAddress(text string) (netip.Addr, error) {
	a, err := netip.ParseAddr(text)
	if err != nil {
		return a, &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("%q is not an address; write for example 192.168.1.10", text)}
	}
	return a, nil
}

// GivePublic gives an instance an ordinary public address: the one that is named, or any.
func (c *Client) GivePublic(ctx context.Context, id, address string) error {
	return c.call(ctx, http.MethodPut, "/v1/instances/"+url.PathEscape(id)+"/public", newPublic{address}, nil)
}

// TakePublic takes an instance's ordinary public address away.
func (c *Client) TakePublic(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/instances/"+url.PathEscape(id)+"/public", nil, nil)
}

// Instances returns the inventory in order of creation.
func (c *Client) Instances(ctx context.Context, f InstanceFilter) (list []Instance, err error) {
	q := url.Values{"vpc": {f.VPC}, "vswitch": {f.VSwitch}}
	err = c.call(ctx, http.MethodGet, "/v1/instances?"+q.Encode(), nil, &list)
	return list, err
}

// AddInstance puts an instance into the inventory.
func (c *Client) AddInstance(ctx context.Context, in NewInstance) (i Instance, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/instances", in, &i)
	return i, err
}

// SetInstanceState notes that an instance is in another state: Running,
// Stopped, Starting or Stopping.
func (c *Client) SetInstanceState(ctx context.Context, id, state string) error {
	return c.call(ctx, http.MethodPut, "/v1/instances/"+url.PathEscape(id)+"/state", newState{state}, nil)
}

// SetInstanceMAC says which Ethernet address an instance has; empty: it is not known.
func (c *Client) SetInstanceMAC(ctx context.Context, id, mac string) error {
	return c.call(ctx, http.MethodPut, "/v1/instances/"+url.PathEscape(id)+"/mac", newMAC{mac}, nil)
}

// SetInstanceLimits says what an instance may have of its NAT gateway's limits; nil: what
// each host may have.
func (c *Client) SetInstanceLimits(ctx context.Context, id string, to *Limits) error {
	path := "/v1/instances/" + url.PathEscape(id) + "/limits"
	if to == nil {
		return c.call(ctx, http.MethodDelete, path, nil, nil)
	}
	return c.call(ctx, http.MethodPut, path, to, nil)
}

// RemoveInstance takes an instance out of the inventory, when nothing depends
// on it any more.
func (c *Client) RemoveInstance(ctx context.Context, id string) error {
	return c.call(ctx, http.MethodDelete, "/v1/instances/"+url.PathEscape(id), nil, nil)
}
