package aliyun

import (
	"context"
	"strconv"
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/ram"
	"sluice/controlplane/resource"
)

// The documents' words for whose a policy is.
const (
	policyOfSystem = "System"
	policyCustom   = "Custom"
)

func policyType(system bool) string {
	if system {
		return policyOfSystem
	}
	return policyCustom
}

// RAMCreatePolicy implements Actions.
func (s *Service) RAMCreatePolicy(ctx context.Context, c identity.Caller, r *RAMCreatePolicyRequest) (*RAMCreatePolicyResponse, error) {
	p, err := s.ram.CreatePolicy(ctx, c, r.PolicyName, given(r.Description), r.PolicyDocument)
	if err != nil {
		return nil, err
	}
	shown := s.showPolicy(c, p, false)
	return &RAMCreatePolicyResponse{Policy: &shown}, nil
}

// RAMGetPolicy implements Actions.
func (s *Service) RAMGetPolicy(_ context.Context, c identity.Caller, r *RAMGetPolicyRequest) (*RAMGetPolicyResponse, error) {
	system := r.PolicyType == policyOfSystem
	p, err := s.ram.Policy(c.Account, r.PolicyName, system)
	if err != nil {
		return nil, err
	}
	shown := s.showPolicy(c, p, system)
	holds, _ := p.Version(p.Default)
	version := RAMGetPolicyDefaultPolicyVersion(showVersion(p, holds))
	return &RAMGetPolicyResponse{DefaultPolicyVersion: &version, Policy: &RAMGetPolicyPolicy{
		PolicyName: shown.PolicyName, PolicyType: shown.PolicyType, Description: shown.Description, DefaultVersion: shown.DefaultVersion,
		CreateDate: shown.CreateDate, UpdateDate: shown.UpdateDate, AttachmentCount: shown.AttachmentCount, PolicyDocument: holds.Document,
	}}, nil
}

// RAMUpdatePolicyDescription implements Actions.
func (s *Service) RAMUpdatePolicyDescription(ctx context.Context, c identity.Caller, r *RAMUpdatePolicyDescriptionRequest) (*RAMUpdatePolicyDescriptionResponse, error) {
	if r.NewDescription == nil {
		return nil, missingParameter("NewDescription")
	}
	p, err := s.ram.Describe(ctx, c, r.PolicyName, *r.NewDescription)
	if err != nil {
		return nil, err
	}
	shown := RAMUpdatePolicyDescriptionPolicy(s.showPolicy(c, p, false))
	return &RAMUpdatePolicyDescriptionResponse{Policy: &shown}, nil
}

// RAMDeletePolicy implements Actions.
func (s *Service) RAMDeletePolicy(ctx context.Context, c identity.Caller, r *RAMDeletePolicyRequest) (*RAMDeletePolicyResponse, error) {
	return &RAMDeletePolicyResponse{}, s.ram.DeletePolicy(ctx, c, r.PolicyName, r.CascadingDelete)
}

// RAMListPolicies implements Actions.
func (s *Service) RAMListPolicies(_ context.Context, c identity.Caller, r *RAMListPoliciesRequest) (*RAMListPoliciesResponse, error) {
	type listed struct {
		*resource.Policy
		system bool
	}
	var all []listed
	kind := given(r.PolicyType)
	if kind != policyOfSystem {
		for _, p := range s.ram.Policies(c.Account) {
			all = append(all, listed{p, false})
		}
	}
	if kind != policyCustom {
		for _, p := range ram.SystemPolicies() {
			all = append(all, listed{p.Record(), true})
		}
	}
	list, next, err := partOf(all, func(p listed) string { return p.Name + " " + policyType(p.system) }, c.Action+" "+c.Account+" "+kind, r.Marker, r.MaxItems)
	if err != nil {
		return nil, err
	}
	a := &RAMListPoliciesResponse{IsTruncated: next != "", Marker: next}
	for _, p := range list {
		a.Policies.Policy = append(a.Policies.Policy, RAMListPoliciesPolicy(s.showPolicy(c, p.Policy, p.system)))
	}
	return a, nil
}

func (s *Service) showPolicy(c identity.Caller, p *resource.Policy, system bool) RAMCreatePolicyPolicy {
	return RAMCreatePolicyPolicy{PolicyName: p.Name, PolicyType: policyType(system), Description: p.Description, DefaultVersion: versionID(p.Default),
		CreateDate: timestamp(p.CreatedAt), UpdateDate: timestamp(p.Updated), AttachmentCount: s.ram.Attachments(c.Account, p.Name, system)}
}

// RAMCreatePolicyVersion implements Actions.
func (s *Service) RAMCreatePolicyVersion(ctx context.Context, c identity.Caller, r *RAMCreatePolicyVersionRequest) (*RAMCreatePolicyVersionResponse, error) {
	p, err := s.ram.AddVersion(ctx, c, r.PolicyName, r.PolicyDocument, r.SetAsDefault, r.RotateStrategy != "None")
	if err != nil {
		return nil, err
	}
	added, _ := p.Version(p.Last)
	version := showVersion(p, added)
	return &RAMCreatePolicyVersionResponse{PolicyVersion: &version}, nil
}

// RAMGetPolicyVersion implements Actions.
func (s *Service) RAMGetPolicyVersion(_ context.Context, c identity.Caller, r *RAMGetPolicyVersionRequest) (*RAMGetPolicyVersionResponse, error) {
	number, err := versionNumber(c, r.VersionId)
	if err != nil {
		return nil, err
	}
	p, err := s.ram.Policy(c.Account, r.PolicyName, r.PolicyType == policyOfSystem)
	if err != nil {
		return nil, err
	}
	v, ok := p.Version(number)
	if !ok {
		return nil, documented(c.Action, "EntityNotExist.Policy.Version", "")
	}
	version := RAMGetPolicyVersionPolicyVersion(showVersion(p, v))
	return &RAMGetPolicyVersionResponse{PolicyVersion: &version}, nil
}

// RAMDeletePolicyVersion implements Actions.
func (s *Service) RAMDeletePolicyVersion(ctx context.Context, c identity.Caller, r *RAMDeletePolicyVersionRequest) (*RAMDeletePolicyVersionResponse, error) {
	number, err := versionNumber(c, r.VersionId)
	if err != nil {
		return nil, err
	}
	return &RAMDeletePolicyVersionResponse{}, s.ram.DeleteVersion(ctx, c, r.PolicyName, number)
}

// RAMSetDefaultPolicyVersion implements Actions.
func (s *Service) RAMSetDefaultPolicyVersion(ctx context.Context, c identity.Caller, r *RAMSetDefaultPolicyVersionRequest) (*RAMSetDefaultPolicyVersionResponse, error) {
	number, err := versionNumber(c, r.VersionId)
	if err != nil {
		return nil, err
	}
	return &RAMSetDefaultPolicyVersionResponse{}, s.ram.SetDefaultVersion(ctx, c, r.PolicyName, number)
}

// RAMListPolicyVersions implements Actions.
func (s *Service) RAMListPolicyVersions(_ context.Context, c identity.Caller, r *RAMListPolicyVersionsRequest) (*RAMListPolicyVersionsResponse, error) {
	p, err := s.ram.Policy(c.Account, r.PolicyName, r.PolicyType == policyOfSystem)
	if err != nil {
		return nil, err
	}
	a := &RAMListPolicyVersionsResponse{}
	for _, v := range p.Versions {
		a.PolicyVersions.PolicyVersion = append(a.PolicyVersions.PolicyVersion, RAMListPolicyVersionsPolicyVersion(showVersion(p, v)))
	}
	return a, nil
}

func showVersion(p *resource.Policy, v resource.PolicyVersion) RAMCreatePolicyVersionPolicyVersion {
	return RAMCreatePolicyVersionPolicyVersion{VersionId: versionID(v.Number), IsDefaultVersion: v.Number == p.Default,
		CreateDate: timestamp(v.CreatedAt), PolicyDocument: v.Document}
}

// A version's id is a v and its number.
func versionID(number int) string { return "v" + strconv.Itoa(number) }

func versionNumber(c identity.Caller, id string) (int, error) {
	digits, ok := strings.CutPrefix(id, "v")
	if n, isNumber := parseInt(digits, 1, 1<<31-1); ok && isNumber && versionID(n) == id {
		return n, nil
	}
	return 0, documented(c.Action, "InvalidParameter.VersionId.Format", "").because("it is to be a v and a number, as v3.")
}

// RAMAttachPolicyToUser implements Actions.
func (s *Service) RAMAttachPolicyToUser(ctx context.Context, c identity.Caller, r *RAMAttachPolicyToUserRequest) (*RAMAttachPolicyToUserResponse, error) {
	return &RAMAttachPolicyToUserResponse{}, s.ram.Attach(ctx, c, r.UserName, r.PolicyName, r.PolicyType == policyOfSystem)
}

// RAMDetachPolicyFromUser implements Actions.
func (s *Service) RAMDetachPolicyFromUser(ctx context.Context, c identity.Caller, r *RAMDetachPolicyFromUserRequest) (*RAMDetachPolicyFromUserResponse, error) {
	return &RAMDetachPolicyFromUserResponse{}, s.ram.Detach(ctx, c, r.UserName, r.PolicyName, r.PolicyType == policyOfSystem)
}

// RAMListPoliciesForUser implements Actions.
func (s *Service) RAMListPoliciesForUser(_ context.Context, c identity.Caller, r *RAMListPoliciesForUserRequest) (*RAMListPoliciesForUserResponse, error) {
	list, err := s.ram.PoliciesOf(c.Account, r.UserName)
	if err != nil {
		return nil, err
	}
	a := &RAMListPoliciesForUserResponse{}
	for _, p := range list {
		a.Policies.Policy = append(a.Policies.Policy, RAMListPoliciesForUserPolicy{PolicyName: p.Name, PolicyType: policyType(p.System),
			Description: p.Description, DefaultVersion: versionID(p.Default), AttachDate: timestamp(p.At)})
	}
	return a, nil
}

// RAMListEntitiesForPolicy implements Actions. There are no groups and no roles.
func (s *Service) RAMListEntitiesForPolicy(_ context.Context, c identity.Caller, r *RAMListEntitiesForPolicyRequest) (*RAMListEntitiesForPolicyResponse, error) {
	users, err := s.ram.Having(c.Account, r.PolicyName, r.PolicyType == policyOfSystem)
	if err != nil {
		return nil, err
	}
	a := &RAMListEntitiesForPolicyResponse{}
	for _, u := range users {
		a.Users.User = append(a.Users.User, RAMListEntitiesForPolicyUser{UserName: u.Name, UserId: u.ID, DisplayName: u.DisplayName, AttachDate: timestamp(u.Since)})
	}
	return a, nil
}

// RAMListTagResources implements Actions. Users and policies have no tags.
func (s *Service) RAMListTagResources(context.Context, identity.Caller, *RAMListTagResourcesRequest) (*RAMListTagResourcesResponse, error) {
	return &RAMListTagResourcesResponse{}, nil
}
