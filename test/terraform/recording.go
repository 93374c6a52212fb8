// Package terraform replays what Terraform's alicloud provider calls for a
// configuration, recorded from the unmodified provider: actions, parameters, and of the
// answers the members that the provider reads.
package terraform

import (
	_ "embed"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Recording is what the provider called, step after step.
type Recording struct {
	Provider string `json:"provider"` // and when it was published
	Steps    []Step `json:"steps"`
}

// Step is one run of Terraform: apply, plan, import, destroy.
type Step struct {
	Name      string     `json:"name"`
	Resources []Resource `json:"resources"` // in the order in which Terraform came to them
}

// Resource is what was called for one resource of the configuration, one after the other.
type Resource struct {
	Address string   `json:"address"`         // alicloud_vpc.main
	After   []string `json:"after,omitempty"` // addresses of those that the configuration puts before it (depends_on)
	Calls   []Call   `json:"calls"`
}

// Call is one call, or, where the provider asked until something was as it should be,
// the last of them.
type Call struct {
	Action     string            `json:"action"`
	Version    string            `json:"version,omitempty"` // of the API; empty: that of the VPC service
	Parameters map[string]string `json:"parameters,omitempty"`
	// Code of the refusal that the provider met, and expects; empty: none.
	Code string `json:"code,omitempty"`
	// Answer has the members that the provider reads, by path: Vpcs.Vpc.0.VpcId. What
	// was given out by the server stands as ${name}, here and in parameters.
	Answer map[string]any `json:"answer,omitempty"`
}

//go:embed forty.json
var forty []byte

//go:embed bandwidth.json
var bandwidth []byte

//go:embed ram.json
var ram []byte

//go:embed express.json
var express []byte

//go:embed ssl-vpn.json
var ssl []byte

// Forty returns what was called for a configuration of forty resources: apply, plan,
// apply with other names and numbers, destroy. It was recorded one resource after the
// other (-parallelism=1).
func Forty() (*Recording, error) { return read("forty.json", forty) }

// Bandwidth returns likewise what was called for elastic IPs with bandwidths, common
// bandwidth packages that some share, one of these with a limit of its own in there, and the data
// sources of both.
func Bandwidth() (*Recording, error) { return read("bandwidth.json", bandwidth) }

// Express returns likewise what is called for router interfaces and their connection, a physical
// connection with a border router and the interfaces to it, and a HaVip with an instance. It is
// no recording: the calls are those that the provider's source makes
// (github.com/aliyun/terraform-provider-alicloud, commit 81c43b6727a0), written down by hand
// where its binary could not be had, with the members of answers that the source reads. The
// provider has no resource for global acceleration instances. What is an operator's in between is
// the caller's: the line is built when CreatePhysicalConnection is answered, and confirmed and
// enabled before CreateVirtualBorderRouter (the provider would order that, by
// CreatePhysicalConnectionOccupancyOrder, which is in no document); the instance "operator" is
// his.
func Express() (*Recording, error) { return read("express.json", express) }

// RAM returns likewise what was called for a RAM user with an access key, a policy of its
// own and one of the system: the second apply changes name, document and the key's state.
func RAM() (*Recording, error) { return read("ram.json", ram) }

// SSL returns likewise what was called for a VPN gateway with SSL-VPN, its server, two client
// certificates and the data sources of both: the second apply changes names and the port.
func SSL() (*Recording, error) { return read("ssl-vpn.json", ssl) }

func read(name string, text []byte) (*Recording, error) {
	r := &Recording{}
	if err := json.Unmarshal(text, r); err != nil {
		return nil, fmt.Errorf("%s: %w", name, err)
	}
	return r, nil
}

// Step returns the step of that name, or nil.
func (r *Recording) Step(name string) *Step {
	for i := range r.Steps {
		if r.Steps[i].Name == name {
			return &r.Steps[i]
		}
	}
	return nil
}

// variable is what stands for something that the server gives out.
var variable = regexp.MustCompile(`\$\{[a-z0-9_.-]+\}`)

// needs returns the variables that have to be known before a resource's calls can be
// made: those of parameters that no answer before has given.
func (r *Resource) needs() []string {
	var given, needed []string
	for _, c := range r.Calls {
		for _, v := range c.Parameters {
			for _, name := range variable.FindAllString(v, -1) {
				if !slices.Contains(given, name) && !slices.Contains(needed, name) {
					needed = append(needed, name)
				}
			}
		}
		given = append(given, c.gives()...)
	}
	return needed
}

// gives returns the variables that stand for a whole member of the answer. Items of a
// query's lists do not count: in which order they are depends on what else was made.
func (c *Call) gives() []string {
	var out []string
	for path, v := range c.Answer {
		if c.queries() && index.MatchString(path) {
			continue
		}
		if s, ok := v.(string); ok && variable.FindString(s) == s && s != "" {
			out = append(out, s)
		}
	}
	return out
}

// queries says whether the call changes nothing.
func (c *Call) queries() bool {
	return strings.HasPrefix(c.Action, "Describe") || strings.HasPrefix(c.Action, "List") || strings.HasPrefix(c.Action, "Get")
}

// flat returns the scalar members of an answer by path.
func flat(v any) map[string]any {
	out := map[string]any{}
	flatten("", v, out)
	return out
}

func flatten(at string, v any, out map[string]any) {
	switch x := v.(type) {
	case map[string]any:
		for name, inner := range x {
			flatten(strings.TrimPrefix(at+"."+name, "."), inner, out)
		}
	case []any:
		for i, inner := range x {
			flatten(fmt.Sprintf("%s.%d", at, i), inner, out)
		}
	default:
		out[at] = v
	}
}
