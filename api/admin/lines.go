package admin

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"sluice/controlplane/leasedline"
	"sluice/controlplane/settings"
	"sluice/dataplane"
)

// Lines are the leased lines of all accounts, and the operator's steps with them.
type Lines interface {
	All() []leasedline.Line
	Get(id string) (leasedline.Line, error)
	Ports() []leasedline.Port
	OnLine(line string) []leasedline.BorderRouter
	Approve(ctx context.Context, id string) error
	Reject(ctx context.Context, id string) error
	Allocate(ctx context.Context, id, port string) (settings.Port, error)
	Fail(ctx context.Context, id string) error
	Confirm(ctx context.Context, id string) error
}

// Line is a physical connection.
type Line struct {
	ID           string         `json:"id"`
	Account      string         `json:"account"`
	Region       string         `json:"region"`
	Name         string         `json:"name,omitempty"`
	Description  string         `json:"description,omitempty"`
	State        string         `json:"state"` // as it is shown to its owner
	AccessPoint  string         `json:"accessPoint"`
	Port         string         `json:"port,omitempty"`
	Location     string         `json:"location,omitempty"` // of the access device
	Carrier      string         `json:"carrier"`
	PeerLocation string         `json:"peerLocation"`
	PortType     string         `json:"portType"`
	Bandwidth    int            `json:"bandwidth"` // Mbit/s
	Redundant    string         `json:"redundant,omitempty"`
	CircuitCode  string         `json:"circuitCode,omitempty"`
	CreatedAt    time.Time      `json:"createdAt"`
	EnabledAt    time.Time      `json:"enabledAt,omitzero"`
	Link         *Link          `json:"link,omitempty"` // nil: it has no port
	Routers      []BorderRouter `json:"borderRouters"`
}

// Link is how the device behind a port is.
type Link struct {
	Device   string    `json:"device"`
	Present  bool      `json:"present"`
	Up       bool      `json:"up"`
	Carrier  bool      `json:"carrier"`
	Speed    int       `json:"speed,omitempty"` // Mbit/s; 0: its driver does not tell
	Since    time.Time `json:"since"`
	Networks []string  `json:"networks"` // that it carries, or that have not given it up yet
}

// BorderRouter is a virtual border router on a line.
type BorderRouter struct {
	ID      string `json:"id"`
	Account string `json:"account"`
	State   string `json:"state"`
	VLAN    int    `json:"vlan"` // 0: none
	Local   string `json:"local,omitempty"`
	Peer    string `json:"peer,omitempty"`
	Subnet  string `json:"subnet,omitempty"`
}

// Port is a port of an access point.
type Port struct {
	AccessPoint string `json:"accessPoint"`
	Number      string `json:"number"`
	Location    string `json:"location,omitempty"`
	Line        string `json:"line,omitempty"` // empty: it is free
	Account     string `json:"account,omitempty"`
	Link        Link   `json:"link"`
}

func link(s dataplane.LineStatus) Link {
	return Link{Device: s.Device, Present: s.Present, Up: s.Up, Carrier: s.Carrier, Speed: s.Speed, Since: s.Since, Networks: append([]string{}, s.Networks...)}
}

func line(s Lines, l leasedline.Line) Line {
	out := Line{
		ID: l.ID, Account: l.Account, Region: l.Region, Name: l.Name, Description: l.Description, State: string(l.Shown), AccessPoint: l.AccessPoint, Port: l.Port,
		Location: l.Location, Carrier: string(l.Carrier), PeerLocation: l.PeerLocation, PortType: string(l.PortType), Bandwidth: l.Bandwidth,
		Redundant: l.Redundant, CircuitCode: l.CircuitCode, CreatedAt: l.CreatedAt, EnabledAt: l.EnabledAt, Routers: []BorderRouter{},
	}
	if l.HoldsPort() {
		x := link(l.Link)
		out.Link = &x
	}
	for _, b := range s.OnLine(l.ID) {
		x := BorderRouter{ID: b.ID, Account: b.Account, State: string(b.Shown), VLAN: b.VLAN}
		if b.Confirmed() {
			x.Local, x.Peer, x.Subnet = b.Local.String(), b.Peer.String(), b.Subnet.String()
		}
		out.Routers = append(out.Routers, x)
	}
	return out
}

type lineStep struct {
	Step string `json:"step"`
	Port string `json:"port,omitempty"` // of allocate; empty: one that is free
}

// The operator's steps with a line.
const (
	LineApprove  = "approve"
	LineReject   = "reject"
	LineAllocate = "allocate"
	LineFail     = "fail"
	LineConfirm  = "confirm"
)

func lineRoutes(s Lines) map[string]handler {
	return map[string]handler{
		"GET /v1/lines": func(*http.Request) (any, error) {
			list := []Line{}
			for _, l := range s.All() {
				list = append(list, line(s, l))
			}
			return list, nil
		},
		"GET /v1/lines/{id}": func(r *http.Request) (any, error) {
			l, err := s.Get(r.PathValue("id"))
			if err != nil {
				return nil, err
			}
			return line(s, l), nil
		},
		"GET /v1/ports": func(*http.Request) (any, error) {
			list := []Port{}
			for _, p := range s.Ports() {
				list = append(list, Port{AccessPoint: p.AccessPoint, Number: p.Number, Location: p.Location, Line: p.Line, Account: p.Account, Link: link(p.Link)})
			}
			return list, nil
		},
		"POST /v1/lines/{id}/step": func(r *http.Request) (any, error) {
			var in lineStep
			if err := read(r, &in); err != nil {
				return nil, err
			}
			ctx, id := r.Context(), r.PathValue("id")
			var err error
			switch in.Step {
			case LineApprove:
				err = s.Approve(ctx, id)
			case LineReject:
				err = s.Reject(ctx, id)
			case LineAllocate:
				_, err = s.Allocate(ctx, id, in.Port)
			case LineFail:
				err = s.Fail(ctx, id)
			case LineConfirm:
				err = s.Confirm(ctx, id)
			default:
				return nil, &Error{Status: http.StatusBadRequest, Message: "there is no step " + in.Step + "; write approve, reject, allocate, fail or confirm"}
			}
			if err != nil {
				return nil, err
			}
			l, err := s.Get(id)
			if err != nil {
				return nil, err
			}
			return line(s, l), nil
		},
	}
}

// Lines returns the physical connections of all accounts, by id.
func (c *Client) Lines(ctx context.Context) (list []Line, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/lines", nil, &list)
	return list, err
}

// Line returns a physical connection.
func (c *Client) Line(ctx context.Context, id string) (l Line, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/lines/"+url.PathEscape(id), nil, &l)
	return l, err
}

// Ports returns the ports of all access points, in the order of the configuration.
func (c *Client) Ports(ctx context.Context) (list []Port, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/ports", nil, &list)
	return list, err
}

// StepLine takes one of the operator's steps with a line, and returns it as it is then. port is
// that of LineAllocate; empty: one that is free.
func (c *Client) StepLine(ctx context.Context, id, step, port string) (l Line, err error) {
	err = c.call(ctx, http.MethodPost, "/v1/lines/"+url.PathEscape(id)+"/step", lineStep{Step: step, Port: port}, &l)
	return l, err
}
