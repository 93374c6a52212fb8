package aliyun

import (
	"context"

	"sluice/controlplane/identity"
)

// DeletionProtection implements Actions.
func (s *Service) DeletionProtection(ctx context.Context, c identity.Caller, r *DeletionProtectionRequest) (*DeletionProtectionResponse, error) {
	protect := s.eip.Protect
	if r.Type == "NATGW" {
		protect = s.nat.Protect
	}
	return &DeletionProtectionResponse{}, protect(ctx, c, r.RegionId, r.InstanceId, r.ProtectionEnable)
}
