package aliyun

import (
	"context"
	"slices"
	"strconv"

	"sluice/controlplane/identity"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// What is the same of all physical connections: nothing is locked, and they lead into VPCs.
const (
	lineNormal = "Normal"
	lineType   = "VPC"
)

// CreatePhysicalConnection implements Actions.
func (s *Service) CreatePhysicalConnection(ctx context.Context, c identity.Caller, r *CreatePhysicalConnectionRequest) (*CreatePhysicalConnectionResponse, error) {
	l, err := s.lines.Create(ctx, c, leasedline.NewLine{
		Region:       r.RegionId,
		AccessPoint:  r.AccessPointId,
		Carrier:      *carrierWords.of(&r.LineOperator),
		PeerLocation: r.PeerLocation,
		Bandwidth:    r.Bandwidth,
		PortType:     *portTypeWords.of(&r.PortType),
		Redundant:    given(r.RedundantPhysicalConnectionId),
		CircuitCode:  given(r.CircuitCode),
		Name:         given(r.Name),
		Description:  given(r.Description),
	})
	if err != nil {
		return nil, err
	}
	return &CreatePhysicalConnectionResponse{PhysicalConnectionId: l.ID}, nil
}

// CancelPhysicalConnection implements Actions.
func (s *Service) CancelPhysicalConnection(ctx context.Context, c identity.Caller, r *CancelPhysicalConnectionRequest) (*CancelPhysicalConnectionResponse, error) {
	return &CancelPhysicalConnectionResponse{}, s.lines.Cancel(ctx, c, r.RegionId, r.PhysicalConnectionId)
}

// EnablePhysicalConnection implements Actions.
func (s *Service) EnablePhysicalConnection(ctx context.Context, c identity.Caller, r *EnablePhysicalConnectionRequest) (*EnablePhysicalConnectionResponse, error) {
	return &EnablePhysicalConnectionResponse{}, s.lines.Enable(ctx, c, r.RegionId, r.PhysicalConnectionId)
}

// TerminatePhysicalConnection implements Actions.
func (s *Service) TerminatePhysicalConnection(ctx context.Context, c identity.Caller, r *TerminatePhysicalConnectionRequest) (*TerminatePhysicalConnectionResponse, error) {
	return &TerminatePhysicalConnectionResponse{}, s.lines.Terminate(ctx, c, r.RegionId, r.PhysicalConnectionId)
}

// DeletePhysicalConnection implements Actions.
func (s *Service) DeletePhysicalConnection(ctx context.Context, c identity.Caller, r *DeletePhysicalConnectionRequest) (*DeletePhysicalConnectionResponse, error) {
	return &DeletePhysicalConnectionResponse{}, s.lines.Delete(ctx, c, r.RegionId, r.PhysicalConnectionId)
}

// ModifyPhysicalConnectionAttribute implements Actions.
func (s *Service) ModifyPhysicalConnectionAttribute(ctx context.Context, c identity.Caller, r *ModifyPhysicalConnectionAttributeRequest) (*ModifyPhysicalConnectionAttributeResponse, error) {
	return &ModifyPhysicalConnectionAttributeResponse{}, s.lines.Modify(ctx, c, r.RegionId, r.PhysicalConnectionId, leasedline.LineChange{
		Carrier:      carrierWords.of(r.LineOperator),
		PeerLocation: r.PeerLocation,
		Bandwidth:    r.Bandwidth,
		PortType:     portTypeWords.of(r.PortType),
		Redundant:    r.RedundantPhysicalConnectionId,
		CircuitCode:  r.CircuitCode,
		Naming:       resource.Naming{Name: r.Name, Description: r.Description},
	})
}

// DescribePhysicalConnections implements Actions.
func (s *Service) DescribePhysicalConnections(_ context.Context, c identity.Caller, r *DescribePhysicalConnectionsRequest) (*DescribePhysicalConnectionsResponse, error) {
	q := leasedline.LineFilter{Region: r.RegionId}
	for _, f := range r.Filter {
		q.None = !lineFilters[f.Key](&q, f.Value) || q.None
	}
	list, page, err := lastPage(r.PageNumber, r.PageSize, func(p state.Page) (state.Listing[leasedline.Line], error) { return s.lines.Lines(c, q, p) })
	if err != nil {
		return nil, err
	}
	out := &DescribePhysicalConnectionsResponse{TotalCount: list.Total, PageNumber: page, PageSize: r.PageSize}
	for _, l := range list.Items {
		out.PhysicalConnectionSet.PhysicalConnectionType = append(out.PhysicalConnectionSet.PhysicalConnectionType, DescribePhysicalConnectionsPhysicalConnectionType{
			PhysicalConnectionId:          l.ID,
			AccessPointId:                 l.AccessPoint,
			Type:                          lineType,
			Status:                        lineStateWords.wire(l.Shown),
			BusinessStatus:                lineNormal,
			CreationTime:                  timestamp(l.CreatedAt),
			EnabledTime:                   timestamp(l.EnabledAt),
			LineOperator:                  carrierWords.wire(l.Carrier),
			Spec:                          strconv.Itoa(l.Bandwidth),
			PeerLocation:                  l.PeerLocation,
			PortType:                      portTypeWords.wire(l.PortType),
			RedundantPhysicalConnectionId: l.Redundant,
			Name:                          l.Name,
			Description:                   l.Description,
			ADLocation:                    l.Location,
			PortNumber:                    l.Port,
			CircuitCode:                   l.CircuitCode,
			Bandwidth:                     strconv.Itoa(l.Bandwidth),
		})
	}
	return out, nil
}

// lineFilters are the filters of DescribePhysicalConnections by their keys: each adds its
// values to a query, and says whether anything can meet it and what the query asks for already.
var lineFilters = map[string]func(*leasedline.LineFilter, []string) bool{
	"PhysicalConnectionId": func(q *leasedline.LineFilter, v []string) bool { return also(&q.IDs, v) },
	"AccessPointId":        func(q *leasedline.LineFilter, v []string) bool { return also(&q.AccessPoints, v) },
	"Type":                 func(_ *leasedline.LineFilter, v []string) bool { return len(v) == 0 || slices.Contains(v, lineType) },
	"LineOperator":         func(q *leasedline.LineFilter, v []string) bool { return alsoWord(&q.Carriers, carrierWords, v) },
	// Of a specification the documents say only that there is one: it is the bandwidth.
	"Spec":   func(q *leasedline.LineFilter, v []string) bool { return alsoNumbers(&q.Bandwidths, v) },
	"Status": func(q *leasedline.LineFilter, v []string) bool { return alsoWord(&q.States, lineStateWords, v) },
	"Name":   func(q *leasedline.LineFilter, v []string) bool { return also(&q.Names, v) },
}

// alsoNumbers is also for numbers; what is none is nobody's.
func alsoNumbers(condition *state.OneOf[int], given []string) bool {
	var values []int
	for _, x := range given {
		if n, err := strconv.Atoi(x); err == nil {
			values = append(values, n)
		}
	}
	return len(given) == 0 || len(values) > 0 && also(condition, values)
}
