package tencent3

import (
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/controlplane/classic"
	"sluice/controlplane/eip"
	"sluice/controlplane/network"
	"sluice/controlplane/networkinterface"
	"sluice/controlplane/resource"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/state"
	"sluice/controlplane/template"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// Service answers the actions by the control plane's services: it puts a request into their
// terms, and their answer into the document's words. Its methods, the handlers, hold no rule.
type Service struct {
	network   *network.Service
	vpn       *vpn.Service
	templates *template.Service
	groups    *securitygroup.Service

	eip        *eip.Service
	interfaces *networkinterface.Service
	classic    *classic.Service
}

var _ Actions = (*Service)(nil)

// Rules are what the document asks of networks: prefixes of 16 to 28 bits (CreateVpc,
// CreateSubnet), three addresses of a subnet that are kept back, and ids of eight letters and
// digits, as in its examples.
var Rules = network.Rules{
	IDs: &resource.IDs{
		Alphabet: "0123456789abcdefghijklmnopqrstuvwxyz", Length: 8,
		Prefixes: map[string]string{"vsw": "subnet", "vtb": "rtb"},
	},
	VPCMask:     network.Masks{Min: 16, Max: 28},
	VSwitchMask: network.Masks{Min: 16, Max: 28},
	Plan:        resource.GatewayFirst,
}

// VPNRules are what the document asks of VPN gateways and connections: ids of eight letters and
// digits; several gateways a VPC; remote ranges outside the VPC; pairs of ranges, with nothing
// else from the VPC to the site; and its defaults, where it has none those of its examples. A
// connection is negotiated at once: nothing is said of when.
var VPNRules = vpn.Rules{
	IDs: &resource.IDs{Alphabet: Rules.IDs.Alphabet, Length: Rules.IDs.Length, Prefixes: map[string]string{"vpn": "vpngw", "vco": "vpnx"}},

	IPsecOnly: true, RemoteOutsideVPC: true, Exclusive: true, Begin: true,
	IKE: dataplane.IKE{Version: 1, Proposal: dataplane.Proposal{Encryption: dataplane.TripleDES, Integrity: dataplane.MD5, Group: 1}, Lifetime: 86400},
	ESP: dataplane.ESP{Proposal: dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.MD5}, Lifetime: 3600, Traffic: 1843200},
}

// NewService returns what answers the actions, by services that may be those of another
// family: the resources are the same.
func NewService(n *network.Service, v *vpn.Service, t *template.Service, g *securitygroup.Service, e *eip.Service, i *networkinterface.Service, k *classic.Service) *Service {
	return &Service{network: n.Under(Rules), vpn: v.Under(VPNRules), templates: t.Under(*Rules.IDs), groups: g.Under(*Rules.IDs),
		eip: e.Under(ElasticRules), interfaces: i, classic: k.Under(*Rules.IDs)}
}

// ElasticRules are what the document asks of elastic IPs: an account allocates so many a day
// (AllocateAddresses). It knows no bandwidth of their own.
var ElasticRules = eip.Rules{IDs: Rules.IDs, Bandwidth: 100, Daily: true}

// timestamp writes a time as the document's examples do, which name no zone: the server's.
func timestamp(t time.Time) string { return t.Local().Format(time.DateTime) }

// given returns the value of a parameter, the zero value if it was not given.
func given[T any](v *T) (value T) {
	if v != nil {
		value = *v
	}
	return value
}

func pageOf(offset, limit int) state.Page { return state.Page{Offset: offset, Limit: limit} }

// listed refuses ids beside filters, which exclude each other.
func listed(ids string, given []string, filters []Filter) *Error {
	if len(given) > 0 && len(filters) > 0 {
		return refusal("InvalidParameter.Coexist", "The parameters `"+ids+"` and `Filters` exclude each other.")
	}
	return nil
}

// narrowed gives each filter's values to what takes those of its name. Two of one name are
// both to hold: their values are those that both have.
func narrowed(filters []Filter, by map[string]func(values []string) *Error) (none bool, refused *Error) {
	merged := map[string][]string{}
	for _, f := range filters {
		values, ok := merged[f.Name]
		if !ok {
			merged[f.Name] = f.Values
			continue
		}
		both := []string{}
		for _, v := range values {
			for _, w := range f.Values {
				if v == w {
					both = append(both, v)
				}
			}
		}
		merged[f.Name] = both
	}
	for name, values := range merged {
		if len(values) == 0 {
			none = true
			continue
		}
		if refused := by[name](values); refused != nil {
			return false, refused
		}
	}
	return none, nil
}

// texts puts the values of a filter where a query takes them.
func texts[T ~[]string](into *T) func([]string) *Error {
	return func(values []string) *Error {
		*into = T(values)
		return nil
	}
}

// choice puts what a filter's words stand for where a query takes it.
func choice[T comparable](filter string, words map[string]T, into *state.OneOf[T]) func([]string) *Error {
	return func(values []string) *Error {
		for _, v := range values {
			x, ok := words[v]
			if !ok {
				return refusal("InvalidParameterValue", "The values of the filter `"+filter+"` are "+strings.Join(slices.Sorted(maps.Keys(words)), " and ")+".")
			}
			*into = append(*into, x)
		}
		return nil
	}
}

// flag puts the one truth value that a filter has where a query takes it; both together are
// no condition.
func flag(filter string, into **bool) func([]string) *Error {
	return func(values []string) *Error {
		var seen [2]bool
		for _, v := range values {
			b, err := strconv.ParseBool(strings.ToLower(v))
			if err != nil {
				return refusal("InvalidParameterValue", "The values of the filter `"+filter+"` are true and false.")
			}
			if b {
				seen[1] = true
			} else {
				seen[0] = true
			}
		}
		if seen[0] != seen[1] {
			*into = &seen[1]
		}
		return nil
	}
}

// found refuses a listing by ids that lacks some of them.
func found(kind string, ids []string, listed int) *Error {
	distinct := map[string]bool{}
	for _, id := range ids {
		distinct[id] = true
	}
	if listed < len(distinct) {
		return refusal("ResourceNotFound", "Not every "+kind+" of the ids is there.")
	}
	return nil
}
