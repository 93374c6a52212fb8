package admin

import (
	"context"
	"fmt"
	"net/http"
	"net/url"

	"sluice/dataplane"
)

// Programs tells how BPF programs are attached.
type Programs interface {
	// Programs returns how those of a network's links are; none if it has none.
	Programs(ctx context.Context, network string) ([]dataplane.Programs, error)
}

// LinkPrograms says how the BPF programs of one link are attached: those that
// count, limit and speed up sessions.
type LinkPrograms struct {
	Link string `json:"link"`          // of a VSwitch, which is its id or stands for it (dataplane.LinkName), a tunnel's, or public
	By   string `json:"by"`            // xdp, tcx, clsact or none
	Why  string `json:"why,omitempty"` // why not by XDP
}

func programRoutes(s Programs) map[string]handler {
	return map[string]handler{
		"GET /v1/networks/{id}/programs": func(r *http.Request) (any, error) {
			id := r.PathValue("id")
			list, err := s.Programs(r.Context(), id)
			if err != nil {
				return nil, fmt.Errorf("look at the BPF programs of %s: %w", id, err)
			}
			out := []LinkPrograms{}
			for _, p := range list {
				out = append(out, LinkPrograms{p.Link, string(p.By), p.Why})
			}
			return out, nil
		},
	}
}

// Programs returns how the BPF programs of the network of a VPC are attached,
// by link; none if it has none: without a public side, or on a kernel that
// cannot run them.
func (c *Client) Programs(ctx context.Context, network string) (list []LinkPrograms, err error) {
	err = c.call(ctx, http.MethodGet, "/v1/networks/"+url.PathEscape(network)+"/programs", nil, &list)
	return list, err
}
