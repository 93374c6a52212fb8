package aliyun

import (
	"context"
	"encoding/xml"
	"net/http"
	"slices"
	"strings"

	"sluice/controlplane/identity"
)

// otherService is a service of the cloud of which clients call something while they
// drive this one.
type otherService struct {
	code    string // by which the location service knows it, and logs and metrics its actions
	actions map[string]otherAction
}

// otherAction is an action of another service. None of them writes.
type otherAction struct {
	action      // what it does not serve
	anyone bool // may be called without any right: it tells nothing of an account's resources
	answer func(context.Context, *call, identity.Caller) (Response, error)
}

// otherServices are they by their version, which tells services apart. What they answer
// is what this service's own actions say, and whose key it was. A service that keeps
// something of its own has its actions in the catalog: see services.
//
// Source: the types of the public SDKs, and what the public Terraform provider reads.
var otherServices = map[string]otherService{
	"2014-05-26": {code: "ecs", actions: map[string]otherAction{
		"DescribeRegions":           {answer: ecsRegions},
		"DescribeZones":             {answer: ecsZones},
		"DescribeAvailableResource": {answer: ecsAvailableResource, action: action{unserved: noCompute}},
	}},
	"2015-04-01": {code: "sts", actions: map[string]otherAction{
		"GetCallerIdentity": {answer: callerIdentity, anyone: true},
	}},
	"2017-03-01": {code: "cms", actions: map[string]otherAction{
		"QueryMetricList": {answer: queryMetricList},
	}},
	"2015-06-12": {code: "location", actions: map[string]otherAction{
		"DescribeEndpoints": {answer: describeEndpoints, anyone: true},
		"DescribeEndpoint":  {answer: describeEndpoint, anyone: true},
	}},
}

// noCompute are parameters that ask what hosts there are to buy.
var noCompute = []unserved{
	{name: "DestinationResource", served: []string{"Zone"}, why: whyNoCompute},
	{name: "ResourceType", served: []string{"instance"}, why: whyNoCompute},
	{name: "NetworkCategory", served: []string{"vpc"}, why: "all networks are VPCs"},
	{name: "InstanceType", why: whyNoCompute},
	{name: "SystemDiskCategory", why: whyNoCompute},
	{name: "DataDiskCategory", why: whyNoCompute},
	{name: "DedicatedHostId", why: whyNoCompute},
	{name: "Cores", why: whyNoCompute},
	{name: "Memory", why: whyNoCompute},
}

const whyNoCompute = "hosts are the operator's, and none can be bought here"

// find returns an action of the service under its own name, found without regard to case.
func (s otherService) find(name string) (string, *otherAction) {
	for n, a := range s.actions {
		if strings.EqualFold(n, name) {
			return s.code + ":" + n, &a
		}
	}
	return "", nil
}

// invoke carries the action out.
func (a *otherAction) invoke(ctx context.Context, c *call, caller identity.Caller) (Response, *Error) {
	if e := a.refuse(c.params); e != nil {
		return nil, e
	}
	caller.Action = c.action
	answer, err := a.answer(ctx, c, caller)
	if err != nil {
		_, name, _ := strings.Cut(c.action, ":")
		e := faultError(name, err)
		logCause(ctx, caller, e, err)
		return nil, e
	}
	answer.SetRequestID(caller.RequestID)
	return answer, nil
}

// answered is what all answers of other services have.
type answered struct {
	RequestId string `json:"RequestId" xml:"RequestId"`
}

// SetRequestID implements Response.
func (a *answered) SetRequestID(id string) { a.RequestId = id }

func (*answered) fill() {}

type ecsRegionsResponse struct {
	XMLName xml.Name `json:"-" xml:"DescribeRegionsResponse"`
	answered
	Regions struct{ Region []ecsRegion }
}

type ecsRegion struct{ RegionId, LocalName, RegionEndpoint, Status string }

func ecsRegions(ctx context.Context, c *call, caller identity.Caller) (Response, error) {
	own, err := c.actions.DescribeRegions(ctx, caller, &DescribeRegionsRequest{})
	if err != nil {
		return nil, err
	}
	answer := &ecsRegionsResponse{}
	answer.Regions.Region = []ecsRegion{}
	for _, r := range own.Regions.Region {
		answer.Regions.Region = append(answer.Regions.Region, ecsRegion{r.RegionId, r.LocalName, c.request.Host, "available"})
	}
	return answer, nil
}

type ecsZonesResponse struct {
	XMLName xml.Name `json:"-" xml:"DescribeZonesResponse"`
	answered
	Zones struct{ Zone []ecsZone }
}

type ecsZone struct {
	ZoneId, LocalName, ZoneType string
	AvailableResourceCreation   struct{ ResourceTypes []string }
	AvailableDiskCategories     struct{ DiskCategories []string }
	AvailableInstanceTypes      struct{ InstanceTypes []string }
}

// ecsZones answers with zones in which there is something of each kind: clients pass over
// zones that have no disks and no types of instances.
func ecsZones(ctx context.Context, c *call, caller identity.Caller) (Response, error) {
	_, own, err := c.zones(ctx, caller)
	if err != nil {
		return nil, err
	}
	answer := &ecsZonesResponse{}
	answer.Zones.Zone = []ecsZone{}
	for _, z := range own {
		zone := ecsZone{ZoneId: z.ZoneId, LocalName: z.LocalName, ZoneType: "AvailabilityZone"}
		zone.AvailableResourceCreation.ResourceTypes = []string{"VSwitch", "Instance", "Disk"}
		zone.AvailableDiskCategories.DiskCategories = []string{"cloud"}
		zone.AvailableInstanceTypes.InstanceTypes = []string{"ecs.host"}
		answer.Zones.Zone = append(answer.Zones.Zone, zone)
	}
	return answer, nil
}

// zones returns the zones of the region that a call names, by this service's own action.
func (c *call) zones(ctx context.Context, caller identity.Caller) (region string, _ []DescribeZonesZone, _ error) {
	region = c.params.Get("RegionId")
	if region == "" {
		return "", nil, missingParameter("RegionId")
	}
	own, err := c.actions.DescribeZones(ctx, caller, &DescribeZonesRequest{RegionId: region})
	if err != nil {
		return "", nil, err
	}
	return region, own.Zones.Zone, nil
}

type ecsAvailableResponse struct {
	XMLName xml.Name `json:"-" xml:"DescribeAvailableResourceResponse"`
	answered
	AvailableZones struct{ AvailableZone []ecsAvailableZone }
}

type ecsAvailableZone struct {
	RegionId, ZoneId, Status, StatusCategory string
	AvailableResources                       struct{ AvailableResource []struct{} }
}

func ecsAvailableResource(ctx context.Context, c *call, caller identity.Caller) (Response, error) {
	if c.params.Get("DestinationResource") == "" {
		return nil, missingParameter("DestinationResource")
	}
	region, own, err := c.zones(ctx, caller)
	if err != nil {
		return nil, err
	}
	answer := &ecsAvailableResponse{}
	answer.AvailableZones.AvailableZone = []ecsAvailableZone{}
	for _, z := range own {
		if only := c.params.Get("ZoneId"); only != "" && only != z.ZoneId {
			continue
		}
		zone := ecsAvailableZone{RegionId: region, ZoneId: z.ZoneId, Status: "Available", StatusCategory: "WithStock"}
		zone.AvailableResources.AvailableResource = []struct{}{}
		answer.AvailableZones.AvailableZone = append(answer.AvailableZones.AvailableZone, zone)
	}
	return answer, nil
}

// queryMetricList answers an action that the documents of this service have, and that is
// the monitoring service's.
func queryMetricList(ctx context.Context, c *call, caller identity.Caller) (Response, error) {
	r, refusal := decodeQueryMetricList(c.params)
	if refusal != nil {
		return nil, refusal
	}
	return answer(c.actions.QueryMetricList(ctx, caller, r.(*QueryMetricListRequest)))
}

type callerIdentityResponse struct {
	XMLName xml.Name `json:"-" xml:"GetCallerIdentityResponse"`
	answered
	AccountId, UserId, PrincipalId, Arn, IdentityType string
}

// callerIdentity says whose key it is: an account's, or a user's.
func callerIdentity(_ context.Context, _ *call, caller identity.Caller) (Response, error) {
	id := caller.KeyAccount
	if u := caller.User; u != "" {
		return &callerIdentityResponse{AccountId: id, UserId: u, PrincipalId: u, Arn: "acs:ram::" + id + ":user/" + caller.UserName, IdentityType: "RAMUser"}, nil
	}
	return &callerIdentityResponse{AccountId: id, UserId: id, PrincipalId: id, Arn: "acs:ram::" + id + ":root", IdentityType: "Account"}, nil
}

type endpoint struct {
	Endpoint, Id, Namespace string
	SerivceCode             string // as clients read it
	Type                    string
	Protocols               struct{ Protocols []string }
}

type endpointsResponse struct {
	XMLName xml.Name `json:"-" xml:"DescribeEndpointsResponse"`
	answered
	Success   bool
	Endpoints struct{ Endpoint []endpoint }
}

type endpointResponse struct {
	XMLName xml.Name `json:"-" xml:"DescribeEndpointResponse"`
	answered
	endpoint
}

// servedCodes are the codes of this service and of the others of which something is
// answered.
var servedCodes = []string{"vpc", "ecs", "sts", "location", "cms", "ram"}

// openAPI is the type of endpoints that are not of a network of the cloud's own.
const openAPI = "openAPI"

// describeEndpoints lists where a service is reached: all that is answered here is where
// the client has come to. Another service has no endpoint.
func describeEndpoints(ctx context.Context, c *call, caller identity.Caller) (Response, error) {
	e, err := c.endpoint(ctx, caller)
	if err != nil {
		return nil, err
	}
	answer := &endpointsResponse{Success: true}
	answer.Endpoints.Endpoint = []endpoint{}
	if t := c.params.Get("Type"); slices.Contains(servedCodes, e.SerivceCode) && (t == "" || t == openAPI) {
		answer.Endpoints.Endpoint = append(answer.Endpoints.Endpoint, e)
	}
	return answer, nil
}

func describeEndpoint(ctx context.Context, c *call, caller identity.Caller) (Response, error) {
	e, err := c.endpoint(ctx, caller)
	if err == nil && !slices.Contains(servedCodes, e.SerivceCode) {
		err = invalidParameter("ServiceCode")
	}
	return &endpointResponse{endpoint: e}, err
}

func (c *call) endpoint(ctx context.Context, caller identity.Caller) (e endpoint, _ error) {
	for _, name := range []string{"ServiceCode", "Id"} {
		if c.params.Get(name) == "" {
			return e, missingParameter(name)
		}
	}
	own, err := c.actions.DescribeRegions(ctx, caller, &DescribeRegionsRequest{})
	if err != nil {
		return e, err
	}
	e = endpoint{Endpoint: c.request.Host, Id: c.params.Get("Id"), SerivceCode: strings.ToLower(c.params.Get("ServiceCode")), Type: openAPI}
	if !slices.ContainsFunc(own.Regions.Region, func(r DescribeRegionsRegion) bool { return r.RegionId == e.Id }) {
		return e, &Error{http.StatusNotFound, "InvalidRegionId.NotFound", "The specified RegionId does not exist in our records."}
	}
	e.Protocols.Protocols = []string{"HTTP"}
	if c.request.TLS != nil {
		e.Protocols.Protocols = []string{"HTTPS"}
	}
	return e, nil
}
