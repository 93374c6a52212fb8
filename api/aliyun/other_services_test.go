package aliyun

import (
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"testing"

	"sluice/api/edge"
	"sluice/controlplane/planetest"
)

// otherRegions are the regions of planetest.
const otherRegions = `{"Regions":{"Region":[
	{"RegionId":"cn-beijing","LocalName":"North","RegionEndpoint":"sluice.test","Status":"available"},
	{"RegionId":"cn-hangzhou","LocalName":"East","RegionEndpoint":"sluice.test","Status":"available"},
	{"RegionId":"cn-empty","LocalName":"","RegionEndpoint":"sluice.test","Status":"available"},
	{"RegionId":"cn-unserved","LocalName":"","RegionEndpoint":"sluice.test","Status":"available"}]}}`

// otherCalls are calls of other services, what is answered, or with which code they are
// refused.
var otherCalls = []struct {
	version, action string
	params          map[string]string
	want            string // JSON without RequestId
	code            string
}{
	{"2014-05-26", "DescribeRegions", map[string]string{"RegionId": planetest.Region, "AcceptLanguage": "en-US", "InstanceChargeType": "PostPaid"}, otherRegions, ""},
	{"2014-05-26", "describeregions", nil, otherRegions, ""},
	{"2014-05-26", "DescribeZones", map[string]string{"RegionId": planetest.Elsewhere, "Verbose": "true"}, `{"Zones":{"Zone":[
		{"ZoneId":"cn-hangzhou-d","LocalName":"","ZoneType":"AvailabilityZone","AvailableResourceCreation":{"ResourceTypes":["VSwitch","Instance","Disk"]},
		 "AvailableDiskCategories":{"DiskCategories":["cloud"]},"AvailableInstanceTypes":{"InstanceTypes":["ecs.host"]}}]}}`, ""},
	{"2014-05-26", "DescribeZones", nil, "", "MissingParameter"},
	{"2014-05-26", "DescribeZones", map[string]string{"RegionId": "xx"}, "", "InvalidRegionId.NotFound"},
	{"2014-05-26", "DescribeAvailableResource", map[string]string{"RegionId": planetest.Elsewhere, "DestinationResource": "Zone", "IoOptimized": "optimized", "NetworkCategory": "Vpc", "ResourceType": "instance"},
		`{"AvailableZones":{"AvailableZone":[{"RegionId":"cn-hangzhou","ZoneId":"cn-hangzhou-d","Status":"Available","StatusCategory":"WithStock","AvailableResources":{"AvailableResource":[]}}]}}`, ""},
	{"2014-05-26", "DescribeAvailableResource", map[string]string{"RegionId": planetest.Elsewhere, "DestinationResource": "Zone", "ZoneId": "cn-hangzhou-x"}, `{"AvailableZones":{"AvailableZone":[]}}`, ""},
	{"2014-05-26", "DescribeAvailableResource", map[string]string{"RegionId": planetest.Elsewhere}, "", "MissingParameter"},
	{"2014-05-26", "DescribeAvailableResource", map[string]string{"RegionId": planetest.Elsewhere, "DestinationResource": "InstanceType"}, "", "UnsupportedParameter"},
	{"2014-05-26", "DescribeAvailableResource", map[string]string{"RegionId": planetest.Elsewhere, "DestinationResource": "Zone", "InstanceType": "ecs.g6.large"}, "", "UnsupportedParameter"},
	{"2014-05-26", "DescribeAvailableResource", map[string]string{"RegionId": "xx", "DestinationResource": "Zone"}, "", "InvalidRegionId.NotFound"},
	{"2014-05-26", "RunInstances", nil, "", "InvalidParameter"},
	{"2014-05-26", "CreateVpc", map[string]string{"RegionId": planetest.Region}, "", "InvalidParameter"},
	{"2015-04-01", "GetCallerIdentity", nil, `{"AccountId":"1001","UserId":"1001","PrincipalId":"1001","Arn":"acs:ram::1001:root","IdentityType":"Account"}`, ""},
	{"2015-04-01", "AssumeRole", nil, "", "InvalidParameter"},
	{"2015-06-12", "DescribeEndpoints", map[string]string{"ServiceCode": "vpc", "Id": planetest.Region, "Type": "openAPI"},
		`{"Success":true,"Endpoints":{"Endpoint":[{"Endpoint":"sluice.test","Id":"cn-beijing","Namespace":"","SerivceCode":"vpc","Type":"openAPI","Protocols":{"Protocols":["HTTP"]}}]}}`, ""},
	{"2015-06-12", "DescribeEndpoints", map[string]string{"ServiceCode": "ECS", "Id": planetest.Region},
		`{"Success":true,"Endpoints":{"Endpoint":[{"Endpoint":"sluice.test","Id":"cn-beijing","Namespace":"","SerivceCode":"ecs","Type":"openAPI","Protocols":{"Protocols":["HTTP"]}}]}}`, ""},
	{"2015-06-12", "DescribeEndpoints", map[string]string{"ServiceCode": "rds", "Id": planetest.Region}, `{"Success":true,"Endpoints":{"Endpoint":[]}}`, ""},
	{"2015-06-12", "DescribeEndpoints", map[string]string{"ServiceCode": "vpc", "Id": planetest.Region, "Type": "innerAPI"}, `{"Success":true,"Endpoints":{"Endpoint":[]}}`, ""},
	{"2015-06-12", "DescribeEndpoints", map[string]string{"ServiceCode": "vpc", "Id": "xx"}, "", "InvalidRegionId.NotFound"},
	{"2015-06-12", "DescribeEndpoints", map[string]string{"Id": planetest.Region}, "", "MissingParameter"},
	{"2015-06-12", "DescribeEndpoint", map[string]string{"ServiceCode": "vpc", "Id": planetest.Region},
		`{"Endpoint":"sluice.test","Id":"cn-beijing","Namespace":"","SerivceCode":"vpc","Type":"openAPI","Protocols":{"Protocols":["HTTP"]}}`, ""},
	{"2017-03-01", "QueryMetricList", map[string]string{"Project": "acs_nat_gateway"}, "", "MissingParameter"},
	{"2017-03-01", "QueryMetricList", map[string]string{"Project": "acs_ecs", "Metric": "net_rx.rate", "StartTime": "2017-10-15 00:00:00", "EndTime": "2017-10-15 00:05:00"}, "", "InvalidParameter"},
	{"2015-06-12", "DescribeEndpoint", map[string]string{"ServiceCode": "rds", "Id": planetest.Region}, "", "InvalidParameter"},
}

// TestOtherServices makes each of the calls by each signature, for JSON and XML.
func TestOtherServices(t *testing.T) {
	w := newVPCWorld(t)
	s := newSite(t, nil)
	s.Server = edge.NewServer(edge.Config{Families: []edge.Family{NewFamily(w.s, nil)}, Keys: testKeys, Now: s.Now, NewRequestID: s.NewRequestID, Log: slog.New(slog.DiscardHandler)})
	seen := map[string]bool{"2017-03-01 querymetriclist": true} // TestQueryMetricListOfItsService has it answered
	for _, x := range otherCalls {
		for _, a := range []Algorithm{HMACSHA1, ACS3} {
			c := s.client("reader") // nothing is changed
			c.NewNonce, c.Algorithm = nil, a
			params := map[string]string{"Version": x.version}
			for name, value := range x.params {
				params[name] = value
			}
			if a == ACS3 { // the header is the other version's
				c.HTTP, c.Method = &http.Client{Transport: otherVersion{s, x.version}}, http.MethodGet
				delete(params, "Version")
			}
			name := string(a) + " " + x.version + " " + x.action
			body, err := c.Call(t.Context(), x.action, params)
			if x.code != "" {
				if err == nil || !strings.Contains(err.Error(), ": "+x.code+" (") {
					t.Errorf("%s %v: %s, %v; want %s", name, x.params, body, err, x.code)
				}
				continue
			}
			if err != nil {
				t.Errorf("%s %v: %v", name, x.params, err)
				continue
			}
			seen[x.version+" "+strings.ToLower(x.action)] = true
			var got map[string]any
			if err := json.Unmarshal(body, &got); err != nil {
				t.Fatal(err)
			}
			if id, _ := got["RequestId"].(string); id == "" {
				t.Errorf("%s: no RequestId in %s", name, body)
			}
			delete(got, "RequestId")
			text, err := json.Marshal(got)
			if err != nil {
				t.Fatal(err)
			}
			if !sameJSON(t, string(text), x.want) {
				t.Errorf("%s %v:\n%s\nwant\n%s", name, x.params, text, x.want)
			}
			if a == HMACSHA1 {
				params["Format"] = "XML"
				_, xml, err := c.Send(t.Context(), c.Sign(x.action, params))
				if root := "<" + x.action + "Response><RequestId>"; err != nil || !strings.Contains(strings.ToLower(string(xml)), strings.ToLower(root)) {
					t.Errorf("%s in XML: %s, %v", name, xml, err)
				}
			}
		}
	}
	codes := map[string]bool{"vpc": true}
	for version, service := range otherServices {
		codes[service.code] = true
		for action := range service.actions {
			if !seen[version+" "+strings.ToLower(action)] {
				t.Errorf("%s of %s is not called", action, version)
			}
		}
	}
	for _, code := range services {
		codes[code] = true
	}
	for _, code := range servedCodes {
		if !codes[code] {
			t.Errorf("%s has an endpoint, and no service", code)
		}
		delete(codes, code)
	}
	if len(codes) > 0 {
		t.Errorf("services without an endpoint: %v", codes)
	}
}

// otherVersion sends requests that are signed anew with another x-acs-version.
type otherVersion struct {
	*site
	version string
}

func (o otherVersion) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Header.Set(headerVersion, o.version)
	p, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		return nil, err
	}
	SignACS3(r, p, nil, "reader", testKeys["reader"].Secret)
	return o.site.RoundTrip(r)
}
