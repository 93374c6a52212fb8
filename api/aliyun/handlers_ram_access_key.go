package aliyun

import (
	"context"

	"sluice/controlplane/identity"
)

// The documents' words for whether an access key is taken.
const (
	keyActive   = "Active"
	keyInactive = "Inactive"
)

func keyStatus(disabled bool) string {
	if disabled {
		return keyInactive
	}
	return keyActive
}

// RAMCreateAccessKey implements Actions.
func (s *Service) RAMCreateAccessKey(ctx context.Context, c identity.Caller, r *RAMCreateAccessKeyRequest) (*RAMCreateAccessKeyResponse, error) {
	user, err := userNamed(c, r.UserName)
	if err != nil {
		return nil, err
	}
	k, err := s.ram.CreateKey(ctx, c, user, identity.KeyOptions{})
	if err != nil {
		return nil, err
	}
	return &RAMCreateAccessKeyResponse{AccessKey: &RAMCreateAccessKeyAccessKey{
		AccessKeyId: k.ID, AccessKeySecret: k.Secret, Status: keyStatus(k.Disabled), CreateDate: timestamp(k.CreatedAt)}}, nil
}

// RAMUpdateAccessKey implements Actions.
func (s *Service) RAMUpdateAccessKey(ctx context.Context, c identity.Caller, r *RAMUpdateAccessKeyRequest) (*RAMUpdateAccessKeyResponse, error) {
	user, err := userNamed(c, r.UserName)
	if err != nil {
		return nil, err
	}
	return &RAMUpdateAccessKeyResponse{}, s.ram.DisableKey(ctx, c, user, r.UserAccessKeyId, r.Status == keyInactive)
}

// RAMDeleteAccessKey implements Actions.
func (s *Service) RAMDeleteAccessKey(ctx context.Context, c identity.Caller, r *RAMDeleteAccessKeyRequest) (*RAMDeleteAccessKeyResponse, error) {
	user, err := userNamed(c, r.UserName)
	if err != nil {
		return nil, err
	}
	return &RAMDeleteAccessKeyResponse{}, s.ram.DeleteKey(ctx, c, user, r.UserAccessKeyId)
}

// RAMListAccessKeys implements Actions.
func (s *Service) RAMListAccessKeys(_ context.Context, c identity.Caller, r *RAMListAccessKeysRequest) (*RAMListAccessKeysResponse, error) {
	user, err := userNamed(c, r.UserName)
	if err != nil {
		return nil, err
	}
	keys, err := s.ram.Keys(c.Account, user)
	if err != nil {
		return nil, err
	}
	a := &RAMListAccessKeysResponse{}
	for _, k := range keys {
		a.AccessKeys.AccessKey = append(a.AccessKeys.AccessKey, RAMListAccessKeysAccessKey{
			AccessKeyId: k.ID, Status: keyStatus(k.Disabled), CreateDate: timestamp(k.CreatedAt)})
	}
	return a, nil
}

// userNamed returns the name of the user that a call about access keys names: itself, if a
// user calls and names none (see rights.id). Keys of an account's own are the operator's.
func userNamed(c identity.Caller, name *string) (string, error) {
	switch {
	case name != nil:
		return *name, nil
	case c.User != "":
		return c.UserName, nil
	}
	return "", missingParameter("UserName").because("access keys of an account's own are made and changed by sluicectl accesskey.")
}
