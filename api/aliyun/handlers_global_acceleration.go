package aliyun

import (
	"context"

	"sluice/controlplane/acceleration"
	"sluice/controlplane/identity"
	"sluice/controlplane/resource"
)

// CreateGlobalAccelerationInstance implements Actions.
func (s *Service) CreateGlobalAccelerationInstance(ctx context.Context, c identity.Caller, r *CreateGlobalAccelerationInstanceRequest) (*CreateGlobalAccelerationInstanceResponse, error) {
	made, err := s.acceleration.Create(ctx, c, acceleration.NewInstance{
		Region: r.RegionId, Service: *areaWords.of(&r.ServiceLocation), Bandwidth: r.Bandwidth,
		Name: given(r.Name), Description: given(r.Description),
	})
	if err != nil {
		return nil, err
	}
	return &CreateGlobalAccelerationInstanceResponse{GlobalAccelerationInstanceId: made.ID, IpAddress: made.Address.String()}, nil
}

// ModifyGlobalAccelerationInstanceAttributes implements Actions.
func (s *Service) ModifyGlobalAccelerationInstanceAttributes(ctx context.Context, c identity.Caller, r *ModifyGlobalAccelerationInstanceAttributesRequest) (*ModifyGlobalAccelerationInstanceAttributesResponse, error) {
	naming := resource.Naming{Name: r.Name, Description: r.Description}
	return &ModifyGlobalAccelerationInstanceAttributesResponse{}, s.acceleration.Modify(ctx, c, r.RegionId, r.GlobalAccelerationInstanceId, naming)
}

// ModifyGlobalAccelerationInstanceSpec implements Actions.
func (s *Service) ModifyGlobalAccelerationInstanceSpec(ctx context.Context, c identity.Caller, r *ModifyGlobalAccelerationInstanceSpecRequest) (*ModifyGlobalAccelerationInstanceSpecResponse, error) {
	return &ModifyGlobalAccelerationInstanceSpecResponse{}, s.acceleration.ModifyBandwidth(ctx, c, r.RegionId, r.GlobalAccelerationInstanceId, r.Bandwidth)
}

// DeleteGlobalAccelerationInstance implements Actions.
func (s *Service) DeleteGlobalAccelerationInstance(ctx context.Context, c identity.Caller, r *DeleteGlobalAccelerationInstanceRequest) (*DeleteGlobalAccelerationInstanceResponse, error) {
	return &DeleteGlobalAccelerationInstanceResponse{}, s.acceleration.Delete(ctx, c, r.RegionId, r.GlobalAccelerationInstanceId)
}

// AssociateGlobalAccelerationInstance implements Actions.
func (s *Service) AssociateGlobalAccelerationInstance(ctx context.Context, c identity.Caller, r *AssociateGlobalAccelerationInstanceRequest) (*AssociateGlobalAccelerationInstanceResponse, error) {
	b := acceleration.Backend{Type: *backendWords.of(&r.BackendServerType), ID: r.BackendServerId, Region: r.BackendServerRegionId}
	return &AssociateGlobalAccelerationInstanceResponse{}, s.acceleration.Associate(ctx, c, r.RegionId, r.GlobalAccelerationInstanceId, b)
}

// UnassociateGlobalAccelerationInstance implements Actions.
func (s *Service) UnassociateGlobalAccelerationInstance(ctx context.Context, c identity.Caller, r *UnassociateGlobalAccelerationInstanceRequest) (*UnassociateGlobalAccelerationInstanceResponse, error) {
	return &UnassociateGlobalAccelerationInstanceResponse{}, s.acceleration.Unassociate(ctx, c, r.RegionId, r.GlobalAccelerationInstanceId)
}

// What is the same of all global acceleration instances: each has a bandwidth of its own, by
// which it is charged after use, and nothing is locked or ordered.
const (
	accelerationBandwidth = "Exclusive"
	accelerationCharge    = "PostPaid"
	accelerationTraffic   = "PayByBandwidth"
)

// DescribeGlobalAccelerationInstances implements Actions.
func (s *Service) DescribeGlobalAccelerationInstances(_ context.Context, c identity.Caller, r *DescribeGlobalAccelerationInstancesRequest) (*DescribeGlobalAccelerationInstancesResponse, error) {
	list, err := s.acceleration.List(c, acceleration.Query{
		Region: r.RegionId, IDs: one(r.GlobalAccelerationInstanceId), Names: one(r.Name), Statuses: one(accelerationStates.of(r.Status)),
		Services: one(areaWords.of(r.ServiceLocation)), Backends: one(r.ServerId), Addresses: one(r.IpAddress),
		None: differs(r.BandwidthType, accelerationBandwidth),
		Page: pageOf(r.PageNumber, r.PageSize),
	})
	if err != nil {
		return nil, err
	}
	answer := &DescribeGlobalAccelerationInstancesResponse{TotalCount: list.Total, PageNumber: r.PageNumber, PageSize: r.PageSize}
	for _, a := range list.Items {
		answer.GlobalAccelerationInstances.GlobalAccelerationInstance = append(answer.GlobalAccelerationInstances.GlobalAccelerationInstance, accelerationInstance(a))
	}
	return answer, nil
}

func accelerationInstance(a acceleration.Instance) DescribeGlobalAccelerationInstancesGlobalAccelerationInstance {
	x := DescribeGlobalAccelerationInstancesGlobalAccelerationInstance{
		RegionId:                     a.Region,
		GlobalAccelerationInstanceId: a.ID,
		IpAddress:                    a.Address.String(),
		Status:                       accelerationStates.wire(a.Status),
		Bandwidth:                    a.Bandwidth,
		BandwidthType:                accelerationBandwidth,
		ChargeType:                   accelerationCharge,
		InternetChargeType:           accelerationTraffic,
		ServiceLocation:              areaWords.wire(a.Service),
		AccelerationLocation:         areaWords.wire(a.Users),
		Name:                         a.Name,
		Description:                  a.Description,
		CreationTime:                 timestamp(a.CreatedAt),
		HasReservationData:           "false",
	}
	if b := a.Backend; b != nil {
		x.BackendServers.BackendServer = append(x.BackendServers.BackendServer, DescribeGlobalAccelerationInstancesGlobalAccelerationInstanceBackendServer{
			RegionId: b.Region, ServerId: b.ID, ServerIpAddress: b.Address.String(), ServerType: backendWords.wire(b.Type)})
	}
	return x
}

// DescribeServerRelatedGlobalAccelerationInstances implements Actions.
func (s *Service) DescribeServerRelatedGlobalAccelerationInstances(_ context.Context, c identity.Caller, r *DescribeServerRelatedGlobalAccelerationInstancesRequest) (*DescribeServerRelatedGlobalAccelerationInstancesResponse, error) {
	list, err := s.acceleration.OfServer(c, acceleration.Backend{Type: *backendWords.of(&r.ServerType), ID: r.ServerId, Region: r.RegionId})
	if err != nil {
		return nil, err
	}
	answer := &DescribeServerRelatedGlobalAccelerationInstancesResponse{}
	for _, a := range list {
		answer.GlobalAccelerationInstances.GlobalAccelerationInstance = append(answer.GlobalAccelerationInstances.GlobalAccelerationInstance, DescribeServerRelatedGlobalAccelerationInstancesGlobalAccelerationInstance{
			GlobalAccelerationInstanceId: a.ID, IpAddress: a.Address.String(), RegionId: a.Region, ServerIpAddress: a.Backend.Address.String()})
	}
	return answer, nil
}
