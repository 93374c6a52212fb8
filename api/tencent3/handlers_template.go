package tencent3

import (
	"cmp"
	"context"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/template"
)

func addressTemplate(t *resource.Template) AddressTemplate {
	return AddressTemplate{AddressTemplateId: t.ID, AddressTemplateName: t.Name, AddressSet: t.Items, CreatedTime: timestamp(t.CreatedAt)}
}

func serviceTemplate(t *resource.Template) ServiceTemplate {
	return ServiceTemplate{ServiceTemplateId: t.ID, ServiceTemplateName: t.Name, ServiceSet: t.Items, CreatedTime: timestamp(t.CreatedAt)}
}

// The groups' names have two spellings each, which the document has side by side, or today's
// clients have.
func addressTemplateGroup(g *resource.TemplateGroup) AddressTemplateGroup {
	return AddressTemplateGroup{AddressTemplateGroupId: g.ID, AddressTemplateGroupName: g.Name, AddressTemplateName: g.Name,
		AddressTemplateIdSet: g.Templates, CreatedTime: timestamp(g.CreatedAt)}
}

func serviceTemplateGroup(g *resource.TemplateGroup) ServiceTemplateGroup {
	return ServiceTemplateGroup{ServiceTemplateGroupId: g.ID, ServiceTemplateGroupName: g.Name, ServiceTemplateName: g.Name,
		ServiceTemplateIdSet: g.Templates, CreatedTime: timestamp(g.CreatedAt)}
}

// CreateAddressTemplate implements Actions.
func (s *Service) CreateAddressTemplate(ctx context.Context, c Caller, r *CreateAddressTemplateRequest) (*CreateAddressTemplateResponse, error) {
	t, err := s.templates.Create(ctx, c.Caller, template.Wanted{Region: c.Region, Of: resource.AddressTemplate, Name: r.AddressTemplateName, List: r.Addresses})
	if err != nil {
		return nil, err
	}
	return &CreateAddressTemplateResponse{AddressTemplate: addressTemplate(t)}, nil
}

// CreateServiceTemplate implements Actions.
func (s *Service) CreateServiceTemplate(ctx context.Context, c Caller, r *CreateServiceTemplateRequest) (*CreateServiceTemplateResponse, error) {
	t, err := s.templates.Create(ctx, c.Caller, template.Wanted{Region: c.Region, Of: resource.ServiceTemplate, Name: r.ServiceTemplateName, List: r.Services})
	if err != nil {
		return nil, err
	}
	return &CreateServiceTemplateResponse{ServiceTemplate: serviceTemplate(t)}, nil
}

// either returns the name that was given in one of two spellings, nil if in none.
func either(action, a string, x *string, b string, y *string) (*string, error) {
	if x != nil && y != nil && *x != *y {
		return nil, refusal("InvalidParameter", "The parameters `"+a+"` and `"+b+"` are the same, and have two values.")
	}
	if x == nil {
		x = y
	}
	if x == nil && strings.HasPrefix(action, "Create") {
		return nil, missingParameter(a)
	}
	return x, nil
}

// CreateAddressTemplateGroup implements Actions.
func (s *Service) CreateAddressTemplateGroup(ctx context.Context, c Caller, r *CreateAddressTemplateGroupRequest) (*CreateAddressTemplateGroupResponse, error) {
	name, err := either("CreateAddressTemplateGroup", "AddressTemplateGroupName", r.AddressTemplateGroupName, "AddressTemplateName", r.AddressTemplateName)
	if err != nil {
		return nil, err
	}
	g, err := s.templates.CreateGroup(ctx, c.Caller, template.Wanted{Region: c.Region, Of: resource.AddressTemplate, Name: *name, List: r.AddressTemplateIds})
	if err != nil {
		return nil, err
	}
	return &CreateAddressTemplateGroupResponse{AddressTemplateGroup: addressTemplateGroup(g)}, nil
}

// CreateServiceTemplateGroup implements Actions.
func (s *Service) CreateServiceTemplateGroup(ctx context.Context, c Caller, r *CreateServiceTemplateGroupRequest) (*CreateServiceTemplateGroupResponse, error) {
	name, err := either("CreateServiceTemplateGroup", "ServiceTemplateName", r.ServiceTemplateName, "ServiceTemplateGroupName", r.ServiceTemplateGroupName)
	if err != nil {
		return nil, err
	}
	g, err := s.templates.CreateGroup(ctx, c.Caller, template.Wanted{Region: c.Region, Of: resource.ServiceTemplate, Name: *name, List: r.ServiceTemplateIds})
	if err != nil {
		return nil, err
	}
	return &CreateServiceTemplateGroupResponse{ServiceTemplateGroup: serviceTemplateGroup(g)}, nil
}

// DeleteAddressTemplate implements Actions.
func (s *Service) DeleteAddressTemplate(ctx context.Context, c Caller, r *DeleteAddressTemplateRequest) (*DeleteAddressTemplateResponse, error) {
	return &DeleteAddressTemplateResponse{}, s.templates.Delete(ctx, c.Caller, c.Region, resource.AddressTemplate, r.AddressTemplateId)
}

// DeleteServiceTemplate implements Actions.
func (s *Service) DeleteServiceTemplate(ctx context.Context, c Caller, r *DeleteServiceTemplateRequest) (*DeleteServiceTemplateResponse, error) {
	return &DeleteServiceTemplateResponse{}, s.templates.Delete(ctx, c.Caller, c.Region, resource.ServiceTemplate, r.ServiceTemplateId)
}

// DeleteAddressTemplateGroup implements Actions.
func (s *Service) DeleteAddressTemplateGroup(ctx context.Context, c Caller, r *DeleteAddressTemplateGroupRequest) (*DeleteAddressTemplateGroupResponse, error) {
	return &DeleteAddressTemplateGroupResponse{}, s.templates.DeleteGroup(ctx, c.Caller, c.Region, resource.AddressTemplate, r.AddressTemplateGroupId)
}

// DeleteServiceTemplateGroup implements Actions.
func (s *Service) DeleteServiceTemplateGroup(ctx context.Context, c Caller, r *DeleteServiceTemplateGroupRequest) (*DeleteServiceTemplateGroupResponse, error) {
	return &DeleteServiceTemplateGroupResponse{}, s.templates.DeleteGroup(ctx, c.Caller, c.Region, resource.ServiceTemplate, r.ServiceTemplateGroupId)
}

// ModifyAddressTemplateAttribute implements Actions. A list of members takes the place of the old one.
func (s *Service) ModifyAddressTemplateAttribute(ctx context.Context, c Caller, r *ModifyAddressTemplateAttributeRequest) (*ModifyAddressTemplateAttributeResponse, error) {
	return &ModifyAddressTemplateAttributeResponse{}, s.templates.Modify(ctx, c.Caller,
		template.Change{Region: c.Region, ID: r.AddressTemplateId, Of: resource.AddressTemplate, Name: r.AddressTemplateName, List: r.Addresses})
}

// ModifyServiceTemplateAttribute implements Actions, likewise.
func (s *Service) ModifyServiceTemplateAttribute(ctx context.Context, c Caller, r *ModifyServiceTemplateAttributeRequest) (*ModifyServiceTemplateAttributeResponse, error) {
	return &ModifyServiceTemplateAttributeResponse{}, s.templates.Modify(ctx, c.Caller,
		template.Change{Region: c.Region, ID: r.ServiceTemplateId, Of: resource.ServiceTemplate, Name: r.ServiceTemplateName, List: r.Services})
}

// ModifyAddressTemplateGroupAttribute implements Actions, likewise.
func (s *Service) ModifyAddressTemplateGroupAttribute(ctx context.Context, c Caller, r *ModifyAddressTemplateGroupAttributeRequest) (*ModifyAddressTemplateGroupAttributeResponse, error) {
	return &ModifyAddressTemplateGroupAttributeResponse{}, s.templates.ModifyGroup(ctx, c.Caller,
		template.Change{Region: c.Region, ID: r.AddressTemplateGroupId, Of: resource.AddressTemplate, Name: r.AddressTemplateGroupName, List: r.AddressTemplateIds})
}

// ModifyServiceTemplateGroupAttribute implements Actions, likewise.
func (s *Service) ModifyServiceTemplateGroupAttribute(ctx context.Context, c Caller, r *ModifyServiceTemplateGroupAttributeRequest) (*ModifyServiceTemplateGroupAttributeResponse, error) {
	name, err := either("ModifyServiceTemplateGroupAttribute", "ServiceTemplateName", r.ServiceTemplateName, "ServiceTemplateGroupName", r.ServiceTemplateGroupName)
	if err != nil {
		return nil, err
	}
	return &ModifyServiceTemplateGroupAttributeResponse{}, s.templates.ModifyGroup(ctx, c.Caller,
		template.Change{Region: c.Region, ID: r.ServiceTemplateGroupId, Of: resource.ServiceTemplate, Name: name, List: r.ServiceTemplateIds})
}

// templateQuery reads the filters of a listing of templates or of groups of them.
func templateQuery(c Caller, of resource.TemplateKind, prefix string, filters []Filter) (q template.Query, refused *Error) {
	q = template.Query{Region: c.Region, Of: of}
	q.None, refused = narrowed(filters, map[string]func([]string) *Error{prefix + "-name": texts(&q.Names), prefix + "-id": ids(&q.IDs, prefix+"-id")})
	return q, refused
}

// ids puts the values of a filter by id where a query takes them.
func ids[T ~[]string](into *T, filter string) func([]string) *Error {
	return func(values []string) *Error {
		for _, v := range values {
			if !isID(v) {
				return refusal("InvalidParameterValue.Malformed", "The values of the filter `"+filter+"` are ids, as vpc-4tboefn3.")
			}
		}
		*into = T(values)
		return nil
	}
}

// DescribeAddressTemplates implements Actions.
func (s *Service) DescribeAddressTemplates(_ context.Context, c Caller, r *DescribeAddressTemplatesRequest) (*DescribeAddressTemplatesResponse, error) {
	q, refused := templateQuery(c, resource.AddressTemplate, "address-template", r.Filters)
	if refused != nil {
		return nil, refused
	}
	list, err := s.templates.Templates(c.Caller, q, pageOf(r.Offset, r.Limit))
	out := &DescribeAddressTemplatesResponse{TotalCount: int64(list.Total)}
	for _, t := range list.Items {
		out.AddressTemplateSet = append(out.AddressTemplateSet, addressTemplate(t))
	}
	return out, err
}

// DescribeServiceTemplates implements Actions.
func (s *Service) DescribeServiceTemplates(_ context.Context, c Caller, r *DescribeServiceTemplatesRequest) (*DescribeServiceTemplatesResponse, error) {
	q, refused := templateQuery(c, resource.ServiceTemplate, "service-template", r.Filters)
	if refused != nil {
		return nil, refused
	}
	list, err := s.templates.Templates(c.Caller, q, pageOf(r.Offset, r.Limit))
	out := &DescribeServiceTemplatesResponse{TotalCount: int64(list.Total)}
	for _, t := range list.Items {
		out.ServiceTemplateSet = append(out.ServiceTemplateSet, serviceTemplate(t))
	}
	return out, err
}

// DescribeAddressTemplateGroups implements Actions.
func (s *Service) DescribeAddressTemplateGroups(_ context.Context, c Caller, r *DescribeAddressTemplateGroupsRequest) (*DescribeAddressTemplateGroupsResponse, error) {
	q, refused := templateQuery(c, resource.AddressTemplate, "address-template-group", r.Filters)
	if refused != nil {
		return nil, refused
	}
	list, err := s.templates.Groups(c.Caller, q, pageOf(r.Offset, r.Limit))
	out := &DescribeAddressTemplateGroupsResponse{TotalCount: int64(list.Total)}
	for _, g := range list.Items {
		out.AddressTemplateGroupSet = append(out.AddressTemplateGroupSet, addressTemplateGroup(g))
	}
	return out, err
}

// DescribeServiceTemplateGroups implements Actions.
func (s *Service) DescribeServiceTemplateGroups(_ context.Context, c Caller, r *DescribeServiceTemplateGroupsRequest) (*DescribeServiceTemplateGroupsResponse, error) {
	q, refused := templateQuery(c, resource.ServiceTemplate, "service-template-group", r.Filters)
	if refused != nil {
		return nil, refused
	}
	list, err := s.templates.Groups(c.Caller, q, pageOf(r.Offset, r.Limit))
	out := &DescribeServiceTemplateGroupsResponse{TotalCount: int64(list.Total)}
	for _, g := range list.Items {
		out.ServiceTemplateGroupSet = append(out.ServiceTemplateGroupSet, serviceTemplateGroup(g))
	}
	return out, err
}

// firstOf returns the first text that is not empty.
func firstOf(a, b *string) string { return cmp.Or(given(a), given(b)) }
