package tencent3

import (
	"context"
	"encoding/json"
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/securitygroup"
)

// CreateSecurityGroup implements Actions.
func (s *Service) CreateSecurityGroup(ctx context.Context, c Caller, r *CreateSecurityGroupRequest) (*CreateSecurityGroupResponse, error) {
	g, err := s.groups.Create(ctx, c.Caller, securitygroup.Wanted{Region: c.Region, Project: r.ProjectId, Name: r.GroupName, Description: r.GroupDescription})
	if err != nil {
		return nil, err
	}
	return &CreateSecurityGroupResponse{SecurityGroup: securityGroup(g)}, nil
}

func securityGroup(g *resource.SecurityGroup) SecurityGroup {
	at := timestamp(g.CreatedAt)
	return SecurityGroup{ProjectId: g.Project, SecurityGroupId: g.ID, SecurityGroupName: g.Name, SecurityGroupDesc: g.Description, CreatedTime: at, CreateTime: at}
}

// ModifySecurityGroupAttribute implements Actions.
func (s *Service) ModifySecurityGroupAttribute(ctx context.Context, c Caller, r *ModifySecurityGroupAttributeRequest) (*ModifySecurityGroupAttributeResponse, error) {
	return &ModifySecurityGroupAttributeResponse{}, s.groups.Modify(ctx, c.Caller,
		securitygroup.Change{Region: c.Region, ID: r.SecurityGroupId, Name: r.GroupName, Description: r.GroupDescription})
}

// DeleteSecurityGroup implements Actions.
func (s *Service) DeleteSecurityGroup(ctx context.Context, c Caller, r *DeleteSecurityGroupRequest) (*DeleteSecurityGroupResponse, error) {
	return &DeleteSecurityGroupResponse{}, s.groups.Delete(ctx, c.Caller, c.Region, r.SecurityGroupId)
}

// DescribeSecurityGroups implements Actions.
func (s *Service) DescribeSecurityGroups(_ context.Context, c Caller, r *DescribeSecurityGroupsRequest) (*DescribeSecurityGroupsResponse, error) {
	q := securitygroup.Query{Region: c.Region, IDs: r.SecurityGroupIds}
	refused := listed("SecurityGroupIds", r.SecurityGroupIds, r.Filters)
	if refused == nil {
		q.None, refused = narrowed(r.Filters, map[string]func([]string) *Error{"project-id": texts(&q.Projects), "security-group-name": texts(&q.Names)})
	}
	if refused != nil {
		return nil, refused
	}
	list, err := s.groups.Groups(c.Caller, q, pageOf(r.Offset, r.Limit))
	if err != nil {
		return nil, err
	}
	if refused := found("security group", r.SecurityGroupIds, list.Total); refused != nil {
		return nil, refused
	}
	out := &DescribeSecurityGroupsResponse{TotalCount: int64(list.Total)}
	for _, g := range list.Items {
		out.SecurityGroupSet = append(out.SecurityGroupSet, securityGroup(g))
	}
	return out, nil
}

// DescribeSecurityGroupAssociationStatistics implements Actions. There are no databases and
// no load balancers with groups here.
func (s *Service) DescribeSecurityGroupAssociationStatistics(_ context.Context, c Caller, r *DescribeSecurityGroupAssociationStatisticsRequest) (*DescribeSecurityGroupAssociationStatisticsResponse, error) {
	list, err := s.groups.Uses(c.Caller, c.Region, r.SecurityGroupIds)
	out := &DescribeSecurityGroupAssociationStatisticsResponse{}
	for _, u := range list {
		out.SecurityGroupAssociationStatisticsSet = append(out.SecurityGroupAssociationStatisticsSet,
			SecurityGroupAssociationStatistics{SecurityGroupId: u.Group, CVM: int64(u.Instances), ENI: int64(u.Interfaces), SG: int64(u.Groups)})
	}
	return out, err
}

// DescribeSecurityGroupPolicies implements Actions.
func (s *Service) DescribeSecurityGroupPolicies(_ context.Context, c Caller, r *DescribeSecurityGroupPoliciesRequest) (*DescribeSecurityGroupPoliciesResponse, error) {
	g, err := s.groups.Group(c.Caller, c.Region, r.SecurityGroupId)
	if err != nil {
		return nil, err
	}
	return &DescribeSecurityGroupPoliciesResponse{SecurityGroupPolicySet: SecurityGroupPolicySet{
		Version: strconv.FormatInt(g.Version, 10), Egress: policies(g.Egress, "EGRESS"), Ingress: policies(g.Ingress, "INGRESS"),
	}}, nil
}

func policies(rules []resource.SecurityRule, direction string) (out []SecurityGroupPolicy) {
	for i, r := range rules {
		p := SecurityGroupPolicy{PolicyIndex: int64(i), Protocol: strings.ToUpper(r.Protocol), SecurityGroupId: r.Group, Action: "DROP",
			PolicyDescription: r.Description, Direction: direction}
		if r.Accept {
			p.Action = "ACCEPT"
		}
		if r.Protocol != "" {
			p.Port = r.Ports.String()
		}
		p.ServiceTemplate.ServiceId, p.ServiceTemplate.ServiceGroupId = r.Service, r.ServiceGroup
		p.AddressTemplate.AddressId, p.AddressTemplate.AddressGroupId = r.Addresses, r.AddressGroup
		if r.CIDR.IsValid() {
			p.CidrBlock = blockText(r.CIDR)
		}
		out = append(out, p)
	}
	return out
}

// blockText writes a block of one address as the address.
func blockText(p netip.Prefix) string {
	if p.IsSingleIP() {
		return p.Addr().String()
	}
	return p.String()
}

// policySet is a SecurityGroupPolicySet of a request. Those of the actions have the same
// members, as far as they have them, and differ in their types alone.
type policySet struct {
	Version         *string
	Egress, Ingress []ruleGiven
}

type ruleGiven struct {
	PolicyIndex     *int
	Protocol, Port  *string
	ServiceTemplate *struct{ ServiceId, ServiceGroupId *string }
	CidrBlock       *string
	SecurityGroupId *string
	AddressTemplate *struct{ AddressId, AddressGroupId *string }

	Action, PolicyDescription *string
}

// rulesOf reads the rules of a request.
func rulesOf(c Caller, group string, set any) (securitygroup.Rules, error) {
	var in policySet
	text, err := json.Marshal(set)
	if err == nil {
		err = json.Unmarshal(text, &in)
	}
	if err != nil {
		return securitygroup.Rules{}, fmt.Errorf("read a set of rules: %w", err)
	}
	if string(text) == "null" {
		return securitygroup.Rules{}, missingParameter("SecurityGroupPolicySet")
	}
	out := securitygroup.Rules{Region: c.Region, Group: group, Version: given(in.Version)}
	if out.Egress, err = rules(in.Egress); err != nil {
		return out, err
	}
	out.Ingress, err = rules(in.Ingress)
	return out, err
}

func rules(list []ruleGiven) (out []securitygroup.Rule, err error) {
	for _, p := range list {
		r := securitygroup.Rule{Index: p.PolicyIndex, Protocol: given(p.Protocol), Port: given(p.Port), CIDR: given(p.CidrBlock), Group: given(p.SecurityGroupId),
			Action: given(p.Action), Description: given(p.PolicyDescription)}
		if t := p.ServiceTemplate; t != nil {
			if given(t.ServiceId) != "" && given(t.ServiceGroupId) != "" {
				return nil, refusal("InvalidParameter", "A rule has one service template, or one group of them.")
			}
			r.Service = firstOf(t.ServiceId, t.ServiceGroupId)
		}
		if t := p.AddressTemplate; t != nil {
			if given(t.AddressId) != "" && given(t.AddressGroupId) != "" {
				return nil, refusal("InvalidParameter", "A rule has one address template, or one group of them.")
			}
			r.Addresses = firstOf(t.AddressId, t.AddressGroupId)
		}
		out = append(out, r)
	}
	return out, nil
}

// CreateSecurityGroupPolicies implements Actions.
func (s *Service) CreateSecurityGroupPolicies(ctx context.Context, c Caller, r *CreateSecurityGroupPoliciesRequest) (*CreateSecurityGroupPoliciesResponse, error) {
	in, err := rulesOf(c, r.SecurityGroupId, r.SecurityGroupPolicySet)
	if err == nil {
		err = s.groups.Add(ctx, c.Caller, in)
	}
	return &CreateSecurityGroupPoliciesResponse{}, err
}

// DeleteSecurityGroupPolicies implements Actions.
func (s *Service) DeleteSecurityGroupPolicies(ctx context.Context, c Caller, r *DeleteSecurityGroupPoliciesRequest) (*DeleteSecurityGroupPoliciesResponse, error) {
	in, err := rulesOf(c, r.SecurityGroupId, r.SecurityGroupPolicySet)
	if err == nil {
		err = s.groups.Remove(ctx, c.Caller, in)
	}
	return &DeleteSecurityGroupPoliciesResponse{}, err
}

// ModifySecurityGroupPolicies implements Actions.
func (s *Service) ModifySecurityGroupPolicies(ctx context.Context, c Caller, r *ModifySecurityGroupPoliciesRequest) (*ModifySecurityGroupPoliciesResponse, error) {
	in, err := rulesOf(c, r.SecurityGroupId, r.SecurityGroupPolicySet)
	if err == nil {
		in.Next = given(r.SortPolicys)
		err = s.groups.Set(ctx, c.Caller, in)
	}
	return &ModifySecurityGroupPoliciesResponse{}, err
}

// ReplaceSecurityGroupPolicy implements Actions.
func (s *Service) ReplaceSecurityGroupPolicy(ctx context.Context, c Caller, r *ReplaceSecurityGroupPolicyRequest) (*ReplaceSecurityGroupPolicyResponse, error) {
	in, err := rulesOf(c, r.SecurityGroupId, r.SecurityGroupPolicySet)
	if err == nil {
		err = s.groups.Replace(ctx, c.Caller, in)
	}
	return &ReplaceSecurityGroupPolicyResponse{}, err
}
