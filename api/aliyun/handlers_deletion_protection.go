package aliyun

import (
	"context"

	"sluice/controlplane/identity"
)

// DeletionProtection implements Actions.
func (s *Service) DeletionProtection(ctx context.Context, c identity.Caller, r *DeletionProtectionRequest) (*DeletionProtectionResponse, error) {
	protect := s.eip.Protect
	switch r.Type {
	case "NATGW":
		protect = s.nat.Protect
	case "CBWP":
		protect = s.bandwidth.Protect
	}
	return &DeletionProtectionResponse{}, protect(ctx, c, r.RegionId, r.InstanceId, r.ProtectionEnable)
}
