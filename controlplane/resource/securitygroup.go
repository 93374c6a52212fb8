package resource

import (
	"fmt"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"go4.org/netipx"

	"sluice/dataplane"
)

// Kinds of what decides which packets interfaces send and receive.
const (
	KindTemplate      Kind = "template"
	KindTemplateGroup Kind = "template-group"
	KindSecurityGroup Kind = "security-group"
)

// TemplateKind is what a template lists.
type TemplateKind string

// The kinds of template.
const (
	AddressTemplate TemplateKind = "address"
	ServiceTemplate TemplateKind = "service"
)

// Template is a list of addresses, or of services, that rules of security groups name.
type Template struct {
	Meta
	Of   TemplateKind `json:"of"`
	Name string       `json:"name,omitempty"`
	// Items are as ParseAddresses or ParseServices reads them.
	Items []string `json:"items"`
}

// Kind implements Resource.
func (*Template) Kind() Kind { return KindTemplate }

// Network implements Resource: what is decided by it, state.Kind.Decides says.
func (*Template) Network() string { return "" }

// Clone implements Resource.
func (t *Template) Clone() Resource {
	c := *t
	c.Items = slices.Clone(t.Items)
	return &c
}

// TemplateGroup is several templates of one kind.
type TemplateGroup struct {
	Meta
	Of        TemplateKind `json:"of"`
	Name      string       `json:"name,omitempty"`
	Templates []string     `json:"templates"` // ids, each once
}

// Kind implements Resource.
func (*TemplateGroup) Kind() Kind { return KindTemplateGroup }

// Network implements Resource, likewise.
func (*TemplateGroup) Network() string { return "" }

// Clone implements Resource.
func (g *TemplateGroup) Clone() Resource {
	c := *g
	c.Templates = slices.Clone(g.Templates)
	return &c
}

// SecurityGroup says what the interfaces that it holds for let begin. What no rule says is
// dropped.
type SecurityGroup struct {
	Meta
	Project     string         `json:"project"` // a number; 0 is the default project
	Name        string         `json:"name"`
	Description string         `json:"description,omitempty"`
	Version     int64          `json:"version"` // of the rules; goes up by one with each change
	Ingress     []SecurityRule `json:"ingress,omitempty"`
	Egress      []SecurityRule `json:"egress,omitempty"`
}

// Kind implements Resource.
func (*SecurityGroup) Kind() Kind { return KindSecurityGroup }

// Network implements Resource, likewise.
func (*SecurityGroup) Network() string { return "" }

// Clone implements Resource.
func (g *SecurityGroup) Clone() Resource {
	c := *g
	c.Ingress, c.Egress = slices.Clone(g.Ingress), slices.Clone(g.Egress)
	return &c
}

// Rules returns the rules of both directions.
func (g *SecurityGroup) Rules() []SecurityRule { return slices.Concat(g.Ingress, g.Egress) }

// The protocols of rules.
const (
	SecurityTCP  = "tcp"
	SecurityUDP  = "udp"
	SecurityICMP = "icmp"
	SecurityGRE  = "gre"
	SecurityAll  = "all"
)

// SecurityRule accepts or drops what is of a service, and goes to or comes from a remote end.
type SecurityRule struct {
	Accept      bool   `json:"accept"`
	Description string `json:"description,omitempty"`

	// The service: Protocol with Ports, or the id of a template or of a group of templates.
	Protocol     string        `json:"protocol,omitempty"`
	Ports        SecurityPorts `json:"ports,omitzero"` // of TCP and UDP
	Service      string        `json:"service,omitempty"`
	ServiceGroup string        `json:"serviceGroup,omitempty"`

	// The remote end: one of them.
	CIDR         netip.Prefix `json:"cidr,omitzero"`
	Group        string       `json:"group,omitempty"` // id of a security group: its members
	Addresses    string       `json:"addresses,omitempty"`
	AddressGroup string       `json:"addressGroup,omitempty"`
}

// Same reports whether two rules say the same, whatever is said about them.
func (r SecurityRule) Same(o SecurityRule) bool {
	r.Description, o.Description = "", ""
	return r == o
}

// Templates returns the ids of the templates that the rule names, and of the groups of
// templates.
func (r SecurityRule) Templates() (ids []string) {
	for _, id := range []string{r.Service, r.ServiceGroup, r.Addresses, r.AddressGroup} {
		if id != "" {
			ids = append(ids, id)
		}
	}
	return ids
}

// SecurityPorts are the ports from First to Last, both included; zeros are all.
type SecurityPorts struct {
	First uint16 `json:"first"`
	Last  uint16 `json:"last"`
}

// String returns ALL, a port, or a range as 8000-8010.
func (p SecurityPorts) String() string {
	switch {
	case p == SecurityPorts{}:
		return "ALL"
	case p.First == p.Last:
		return strconv.Itoa(int(p.First))
	}
	return fmt.Sprintf("%d-%d", p.First, p.Last)
}

// ParsePorts reads what String writes, in any case of letters; an empty text is all ports.
func ParsePorts(s string) (SecurityPorts, error) {
	if s == "" || strings.EqualFold(s, "all") {
		return SecurityPorts{}, nil
	}
	first, last, ranged := strings.Cut(s, "-")
	if !ranged {
		last = first
	}
	a, err1 := strconv.ParseUint(strings.TrimSpace(first), 10, 16)
	b, err2 := strconv.ParseUint(strings.TrimSpace(last), 10, 16)
	if err1 != nil || err2 != nil || a == 0 || a > b {
		return SecurityPorts{}, fmt.Errorf("%q is no port (80), range of ports (8000-8010), or all", s)
	}
	return SecurityPorts{uint16(a), uint16(b)}, nil
}

var protocolNumbers = map[string]uint8{SecurityTCP: 6, SecurityUDP: 17, SecurityICMP: 1, SecurityGRE: 47, SecurityAll: 0}

// SecurityService returns what the dataplane knows as a protocol with ports.
func SecurityService(protocol string, p SecurityPorts) dataplane.GroupService {
	s := dataplane.GroupService{Protocol: protocolNumbers[protocol]}
	if protocol == SecurityTCP || protocol == SecurityUDP {
		if s.First, s.Last = p.First, p.Last; p == (SecurityPorts{}) {
			s.Last = 65535
		}
	}
	return s
}

// ParseServices reads an item of a service template: a protocol (tcp, udp, icmp, gre, in any
// case), for the first two with ports behind a colon: tcp:80, tcp:80,443, tcp:8000-8010,
// tcp:all. It returns the form in which it is kept, and what it is.
func ParseServices(item string) (text string, list []dataplane.GroupService, err error) {
	protocol, ports, given := strings.Cut(item, ":")
	protocol, ports = strings.ToLower(strings.TrimSpace(protocol)), strings.ToLower(strings.TrimSpace(ports))
	switch protocol {
	case SecurityICMP, SecurityGRE:
		if given && ports != "all" {
			return "", nil, fmt.Errorf("%q: %s has no ports", item, protocol)
		}
		return protocol, []dataplane.GroupService{SecurityService(protocol, SecurityPorts{})}, nil
	case SecurityTCP, SecurityUDP:
		var texts []string
		for _, part := range strings.Split(ports, ",") {
			p, err := ParsePorts(strings.TrimSpace(part))
			if err != nil || part == "" {
				return "", nil, fmt.Errorf("%q is no service; write it as tcp:80, tcp:80,443, tcp:8000-8010 or tcp:all", item)
			}
			texts = append(texts, strings.ToLower(p.String()))
			list = append(list, SecurityService(protocol, p))
		}
		return protocol + ":" + strings.Join(texts, ","), list, nil
	}
	return "", nil, fmt.Errorf("%q is no service; its protocol is tcp, udp, icmp or gre", item)
}

// ParseAddresses reads an item of an address template: an IPv4 address, a CIDR block, which may
// have bits behind its mask, or a range of addresses as 10.0.0.1-10.0.0.9. It returns the form
// in which it is kept, and what it is.
func ParseAddresses(item string) (text string, list []netip.Prefix, err error) {
	bad := fmt.Errorf("%q is no IPv4 address, CIDR block, or range as 10.0.0.1-10.0.0.9", item)
	if first, last, ok := strings.Cut(item, "-"); ok {
		a, err1 := netip.ParseAddr(strings.TrimSpace(first))
		b, err2 := netip.ParseAddr(strings.TrimSpace(last))
		r := netipx.IPRangeFrom(a, b)
		if err1 != nil || err2 != nil || !a.Is4() || !r.IsValid() {
			return "", nil, bad
		}
		return r.String(), r.Prefixes(), nil
	}
	if p, err := netip.ParsePrefix(item); err == nil && p.Addr().Is4() {
		return p.String(), []netip.Prefix{p.Masked()}, nil
	}
	if a, err := netip.ParseAddr(item); err == nil && a.Is4() {
		return a.String(), []netip.Prefix{netip.PrefixFrom(a, 32)}, nil
	}
	return "", nil, bad
}
