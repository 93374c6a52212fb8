package securitygroup

import (
	"cmp"
	"context"
	"net/netip"
	"slices"
	"strconv"
	"strings"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/lookup"
	"sluice/controlplane/resource"
)

// Rule is a rule as it is asked for. Texts that are empty were not given.
type Rule struct {
	Index       *int
	Protocol    string // TCP, UDP, ICMP, GRE, ALL
	Port        string // as resource.ParsePorts reads it
	Service     string // id of a service template, or of a group of them
	CIDR        string // a block or an address
	Group       string // id of a security group
	Addresses   string // id of an address template, or of a group of them
	Action      string // ACCEPT, DROP
	Description string
}

// Rules are rules of a security group, of one direction or both.
type Rules struct {
	Region, Group   string
	Version         string // that the group is to have; empty: any
	Next            bool   // Version is the one that the group gets, one more than it has
	Ingress, Egress []Rule
}

// find returns the group of the rules, if it has the version that is asked for.
func (s *Service) find(tx *change.Tx, c identity.Caller, in Rules) (*resource.SecurityGroup, error) {
	old, err := lookup.In(s.settings, c, tx.SecurityGroups, in.Region, in.Group)
	if err != nil {
		return nil, err
	}
	version := old.Version
	if in.Next {
		version++
	}
	if in.Version != "" && in.Version != strconv.FormatInt(version, 10) {
		return nil, fault.New(fault.SecurityRuleVersion, "they have %d, and the call is about %.20q", old.Version, in.Version)
	}
	return old.Clone().(*resource.SecurityGroup), nil
}

// put puts a group with other rules.
func put(tx *change.Tx, g *resource.SecurityGroup, what string) error {
	g.Version++
	if err := tx.Fits(g); err != nil {
		return err
	}
	tx.Put(g)
	tx.Done(what, "securityGroup", g.ID, "version", g.Version, "ingress", len(g.Ingress), "egress", len(g.Egress))
	return nil
}

// one returns the rules of the only direction that is given, and where the group has those of
// that direction.
func one(in Rules, g *resource.SecurityGroup) ([]Rule, *[]resource.SecurityRule, error) {
	switch {
	case len(in.Ingress) > 0 && len(in.Egress) == 0:
		return in.Ingress, &g.Ingress, nil
	case len(in.Egress) > 0 && len(in.Ingress) == 0:
		return in.Egress, &g.Egress, nil
	}
	return nil, nil, fault.New(fault.SecurityRuleDirections, "")
}

// Add adds rules of one direction to a group: at the index that all of them have, in the order of
// the call, or behind those that there are (CreateSecurityGroupPolicies).
//
// Reasons: RegionNotFound, SecurityGroupNotFound, SecurityRuleVersion, SecurityRuleDirections,
// SecurityRuleIndex, those of a rule (see rule), QuotaSecurityRules.
func (s *Service) Add(ctx context.Context, c identity.Caller, in Rules) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.find(tx, c, in)
		if err != nil {
			return err
		}
		list, rules, err := one(in, g)
		if err != nil {
			return err
		}
		at := len(*rules)
		for i, r := range list {
			if (r.Index == nil) != (list[0].Index == nil) || r.Index != nil && *r.Index != *list[0].Index {
				return fault.New(fault.SecurityRuleIndex, "rule %d has another than the first; all have the same, or none", i)
			}
		}
		if i := list[0].Index; i != nil {
			if *i > len(*rules) {
				return fault.New(fault.SecurityRuleIndex, "%d is beyond the %d rules that there are", *i, len(*rules))
			}
			at = *i
		}
		made, err := s.rules(tx, c, g, list)
		if err != nil {
			return err
		}
		*rules = slices.Insert(*rules, at, made...)
		return put(tx, g, "rules added to a security group")
	})
}

// Remove removes rules of one direction: by their indexes, which all count as of before the
// call, or by what they say (DeleteSecurityGroupPolicies).
//
// Reasons: RegionNotFound, SecurityGroupNotFound, SecurityRuleVersion, SecurityRuleDirections,
// SecurityRuleIndex, SecurityRuleNotFound, those of a rule.
func (s *Service) Remove(ctx context.Context, c identity.Caller, in Rules) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.find(tx, c, in)
		if err != nil {
			return err
		}
		list, rules, err := one(in, g)
		if err != nil {
			return err
		}
		gone := map[int]bool{}
		for i, r := range list {
			if (r.Index == nil) != (list[0].Index == nil) {
				return fault.New(fault.SecurityRuleIndex, "rule %d is told in another way than the first; all have an index, or none", i)
			}
			at := -1
			if r.Index != nil {
				if r.says() {
					return fault.New(fault.SecurityRuleIndex, "rule %d has an index, and says what it is as well; one of the two tells which is meant", i)
				}
				if at = *r.Index; at >= len(*rules) {
					return fault.New(fault.SecurityRuleNotFound, "index %d; there are %d", at, len(*rules))
				}
			} else {
				want, err := s.rule(tx, c, g, r)
				if err != nil {
					return err
				}
				at = slices.IndexFunc(*rules, want.Same)
				for ; at >= 0 && at < len(*rules) && (gone[at] || !want.Same((*rules)[at])); at++ {
				}
			}
			if at < 0 || at >= len(*rules) {
				return fault.New(fault.SecurityRuleNotFound, "rule %d of the call", i)
			}
			if gone[at] {
				return fault.New(fault.SecurityRuleNotFound, "index %d is named twice", at)
			}
			gone[at] = true
		}
		var left []resource.SecurityRule
		for i, r := range *rules {
			if !gone[i] {
				left = append(left, r)
			}
		}
		*rules = left
		return put(tx, g, "rules removed from a security group")
	})
}

// says reports whether a rule says anything besides its index.
func (r Rule) says() bool {
	r.Index = nil
	return r != Rule{}
}

// Replace puts a rule in the place of another (ReplaceSecurityGroupPolicy).
//
// Reasons: RegionNotFound, SecurityGroupNotFound, SecurityRuleVersion, SecurityRuleDirections,
// SecurityRuleIndex, SecurityRuleNotFound, those of a rule.
func (s *Service) Replace(ctx context.Context, c identity.Caller, in Rules) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		g, err := s.find(tx, c, in)
		if err != nil {
			return err
		}
		list, rules, err := one(in, g)
		if err != nil {
			return err
		}
		if len(list) > 1 {
			return fault.New(fault.SecurityRuleDirections, "%d rules are given; one is replaced", len(list))
		}
		r := list[0]
		if r.Index == nil {
			return fault.New(fault.SecurityRuleIndex, "it says which rule is replaced, and is not given")
		}
		if *r.Index >= len(*rules) {
			return fault.New(fault.SecurityRuleNotFound, "index %d; there are %d", *r.Index, len(*rules))
		}
		made, err := s.rule(tx, c, g, r)
		if err != nil {
			return err
		}
		(*rules)[*r.Index] = made
		return put(tx, g, "rule of a security group replaced")
	})
}

// Set gives a group other rules, of both directions at once; with Version "0" none
// (ModifySecurityGroupPolicies).
//
// Reasons: RegionNotFound, SecurityGroupNotFound, SecurityRuleVersion, SecurityRuleBoth,
// SecurityRuleIndex, those of a rule, QuotaSecurityRules.
func (s *Service) Set(ctx context.Context, c identity.Caller, in Rules) error {
	return change.Run(ctx, s.writer, c, func(tx *change.Tx) error {
		none := in.Version == "0"
		if none {
			in.Version, in.Ingress, in.Egress = "", nil, nil
		}
		g, err := s.find(tx, c, in)
		if err != nil {
			return err
		}
		if !none && (len(in.Ingress) == 0 || len(in.Egress) == 0) {
			return fault.New(fault.SecurityRuleBoth, "with Version 0 all rules go")
		}
		for _, r := range slices.Concat(in.Ingress, in.Egress) {
			if r.Index != nil {
				return fault.New(fault.SecurityRuleIndex, "the rules have the order of the call")
			}
		}
		if g.Ingress, err = s.rules(tx, c, g, in.Ingress); err != nil {
			return err
		}
		if g.Egress, err = s.rules(tx, c, g, in.Egress); err != nil {
			return err
		}
		return put(tx, g, "rules of a security group set")
	})
}

func (s *Service) rules(tx *change.Tx, c identity.Caller, g *resource.SecurityGroup, list []Rule) (out []resource.SecurityRule, err error) {
	for _, r := range list {
		made, err := s.rule(tx, c, g, r)
		if err != nil {
			return nil, err
		}
		out = append(out, made)
	}
	return out, nil
}

// rule checks a rule of a group.
//
// Reasons: SecurityRule, SecurityRulePort, SecurityRuleCIDR, SecurityGroupNotFound,
// SecurityRuleOtherProject, TemplateNotFound, TemplateGroupNotFound.
func (s *Service) rule(tx *change.Tx, c identity.Caller, g *resource.SecurityGroup, in Rule) (r resource.SecurityRule, err error) {
	bad := func(why string) (resource.SecurityRule, error) {
		return resource.SecurityRule{}, fault.New(fault.SecurityRule, "%s", why)
	}
	r.Description = in.Description
	switch strings.ToUpper(in.Action) {
	case "ACCEPT":
		r.Accept = true
	case "DROP":
	default:
		return bad("its action is ACCEPT or DROP")
	}
	switch {
	case in.Service != "" && (in.Protocol != "" || in.Port != ""):
		return bad("it has a service template, and protocol or port as well")
	case in.Service != "":
		if r.Service, r.ServiceGroup, err = s.template(tx, c, g.Region, resource.ServiceTemplate, in.Service); err != nil {
			return r, err
		}
	default:
		r.Protocol = cmp.Or(strings.ToLower(in.Protocol), resource.SecurityAll)
		if !slices.Contains([]string{resource.SecurityTCP, resource.SecurityUDP, resource.SecurityICMP, resource.SecurityGRE, resource.SecurityAll}, r.Protocol) {
			return bad("its protocol is TCP, UDP, ICMP, GRE or ALL, if it has no service template")
		}
		if r.Ports, err = resource.ParsePorts(in.Port); err != nil {
			return r, fault.New(fault.SecurityRulePort, "%v", err)
		}
		if r.Ports != (resource.SecurityPorts{}) && r.Protocol != resource.SecurityTCP && r.Protocol != resource.SecurityUDP {
			return r, fault.New(fault.SecurityRulePort, "only TCP and UDP have them")
		}
	}
	ends := 0
	for _, e := range []string{in.CIDR, in.Group, in.Addresses} {
		if e != "" {
			ends++
		}
	}
	if ends != 1 {
		return bad("its other end is one of a CIDR block, a security group and an address template")
	}
	switch {
	case in.CIDR != "":
		r.CIDR, err = parseBlock(in.CIDR)
	case in.Group != "":
		r.Group = in.Group
		var other *resource.SecurityGroup
		if other, err = lookup.In(s.settings, c, tx.SecurityGroups, g.Region, in.Group); err == nil && other.Project != g.Project {
			err = fault.New(fault.SecurityRuleOtherProject, "%s is of project %s", other.ID, other.Project)
		}
	default:
		r.Addresses, r.AddressGroup, err = s.template(tx, c, g.Region, resource.AddressTemplate, in.Addresses)
	}
	return r, err
}

func parseBlock(s string) (netip.Prefix, error) {
	if a, err := netip.ParseAddr(s); err == nil && a.Is4() {
		return netip.PrefixFrom(a, 32), nil
	}
	p, err := netip.ParsePrefix(s)
	if err != nil || !p.Addr().Is4() || p != p.Masked() {
		return p, fault.New(fault.SecurityRuleCIDR, "%.40q is no IPv4 address, and no block without a bit behind its mask", s)
	}
	return p, nil
}

// template finds out whether an id is that of a template or of a group of them.
func (s *Service) template(tx *change.Tx, c identity.Caller, region string, of resource.TemplateKind, id string) (template, group string, err error) {
	if g, err := lookup.In(s.settings, c, tx.TemplateGroups, region, id); err == nil && g.Of == of {
		return "", id, nil
	}
	t, err := lookup.In(s.settings, c, tx.Templates, region, id)
	if err == nil && t.Of != of {
		err = fault.New(fault.TemplateNotFound, "%s", id)
	}
	return id, "", err
}
