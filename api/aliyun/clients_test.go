package aliyun

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	vpcv6 "github.com/alibabacloud-go/vpc-20160428/v6/client"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/location"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	"sluice/api/edge"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
)

// Public clients, unmodified, make a call of every action that is supported, with which
// it succeeds, of a server in this process; and have to read what was answered. "make
// test-clients" runs these tests, and fetches the clients for Node.js before.

// clientSecret is that of Alice's key.
const clientSecret = "a secret"

// succeeding are the actions that are called.
func succeeding() []string {
	return slices.DeleteFunc(slices.Sorted(maps.Keys(actions)), absentInRAM)
}

// clientSite answers one action in a world of its own.
type clientSite struct {
	*httptest.Server
	good map[string]string
	body []byte // of the last answer
}

// newClientSite returns a site for an action, with parameters with which it succeeds.
func newClientSite(t *testing.T, action string) *clientSite {
	t.Helper()
	s := &clientSite{}
	var service *Service
	if slices.Contains(monitorActions, action) {
		w := newMonitorWorld(t)
		w.volumes(t)
		service, s.good = w.s, w.good(action)
	} else {
		w := subjectOf(t, action)
		if w == nil {
			t.Fatalf("%s: no world to call it in", action)
		}
		service, s.good = w.s, w.good
	}
	maps.DeleteFunc(s.good, func(_, v string) bool { return v == "" })
	server := edge.NewServer(edge.Config{
		Families: []edge.Family{NewFamily(service, nil)}, Log: slog.New(slog.DiscardHandler),
		Keys: keyTable{planetest.Alice.AccessKeyID: identity.Key{Account: planetest.Alice.Account, Secret: clientSecret}},
	})
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		recorded := httptest.NewRecorder()
		server.ServeHTTP(recorded, r)
		s.body = recorded.Body.Bytes()
		maps.Copy(w.Header(), recorded.Header())
		w.WriteHeader(recorded.Code)
		_, _ = w.Write(s.body)
	}))
	t.Cleanup(s.Close)
	return s
}

func (s *clientSite) host() string { return s.Listener.Addr().String() }

// answered returns what was answered last, numbers as they were written.
func (s *clientSite) answered(t *testing.T) map[string]any {
	t.Helper()
	d := json.NewDecoder(bytes.NewReader(s.body))
	d.UseNumber()
	var v map[string]any
	if err := d.Decode(&v); err != nil {
		t.Fatalf("%v in %s", err, s.body)
	}
	return v
}

// noProxy keeps the clients from asking a proxy of this machine's: they go by these
// variables, and not by exceptions without a port.
func noProxy(t *testing.T) {
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "")
	}
}

// methodOf returns the method of a client that calls an action, which takes a request and
// returns an answer and an error. Names differ in case only.
func methodOf(client any, action string) (reflect.Value, bool) {
	v := reflect.ValueOf(client)
	for i := range v.NumMethod() {
		if m := v.Type().Method(i); strings.EqualFold(m.Name, action) && m.Type.NumIn() == 2 && m.Type.NumOut() == 2 {
			return v.Method(i), true
		}
	}
	return reflect.Value{}, false
}

// assign sets a field of a client's request by a parameter's name (Tag.1.Key); it says
// whether there is one. tag is that in which the client has the names.
func assign(v reflect.Value, tag string, path []string, value string) bool {
	for v.Kind() == reflect.Pointer {
		if v.IsNil() {
			v.Set(reflect.New(v.Type().Elem()))
		}
		v = v.Elem()
	}
	if len(path) == 0 {
		switch v.Kind() {
		case reflect.String:
			v.SetString(value)
		case reflect.Bool:
			v.SetBool(value == "true")
		case reflect.Int, reflect.Int32, reflect.Int64:
			n, err := strconv.ParseInt(value, 10, 64)
			v.SetInt(n)
			return err == nil
		default:
			return false
		}
		return true
	}
	switch v.Kind() {
	case reflect.Slice:
		i, err := strconv.Atoi(path[0])
		if err != nil || i < 1 || i > 100 {
			return false
		}
		for v.Len() < i {
			v.Set(reflect.Append(v, reflect.Zero(v.Type().Elem())))
		}
		return assign(v.Index(i-1), tag, path[1:], value)
	case reflect.Struct:
		for i := range v.NumField() {
			name, _, _ := strings.Cut(v.Type().Field(i).Tag.Get(tag), ",")
			if name == path[0] {
				return assign(v.Field(i), tag, path[1:], value)
			}
		}
	}
	return false
}

// TestClientsSDK calls by github.com/aliyun/alibaba-cloud-sdk-go, which signs by HMAC-SHA1.
func TestClientsSDK(t *testing.T) {
	if testing.Short() {
		t.Skip("calls every action: make test-clients")
	}
	noProxy(t)
	client, err := vpc.NewClientWithOptions(planetest.Region, sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false), credentials.NewAccessKeyCredential(planetest.Alice.AccessKeyID, clientSecret))
	if err != nil {
		t.Fatal(err)
	}
	users, err := ram.NewClientWithOptions(planetest.Region, sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false), credentials.NewAccessKeyCredential(planetest.Alice.AccessKeyID, clientSecret))
	if err != nil {
		t.Fatal(err)
	}
	for _, action := range succeeding() {
		t.Run(action, func(t *testing.T) {
			s := newClientSite(t, action)
			product, method, ok := "Vpc", reflect.Value{}, false
			version, name := versionOf(action)
			if services[version] == "ram" {
				product = "Ram"
				method, ok = methodOf(users, name)
			} else {
				method, ok = methodOf(client, name)
			}
			if !ok {
				testCommonRequest(t, client, s, action)
				return
			}
			request := reflect.New(method.Type().In(0).Elem())
			rpc := &requests.RpcRequest{}
			request.Elem().FieldByName("RpcRequest").Set(reflect.ValueOf(rpc))
			rpc.InitWithApiInfo(product, version, name, "", "openAPI")
			rpc.Method, rpc.Scheme, rpc.Domain = requests.POST, "http", s.host()
			for name, value := range s.good {
				if !assign(request, "name", strings.Split(name, "."), value) {
					rpc.QueryParams[name] = value
				}
			}
			out := method.Call([]reflect.Value{request})
			if err, _ := out[1].Interface().(error); err != nil {
				t.Fatalf("%v\nwith %v", err, s.good)
			}
			compare(t, action, "JSON", s.answered(t), out[0].Elem(), map[string]bool{})
		})
	}
}

// testCommonRequest calls an action that the client has no types for.
func testCommonRequest(t *testing.T, client *vpc.Client, s *clientSite, action string) {
	r := requests.NewCommonRequest()
	version, name := versionOf(action)
	r.Domain, r.Scheme, r.Version, r.ApiName, r.QueryParams = s.host(), "http", version, name, s.good
	answer, err := client.ProcessCommonRequest(r)
	if err != nil || answer.GetHttpContentString() != string(s.body) {
		t.Errorf("%v: %s", err, answer.GetHttpContentString())
	}
}

// TestClientsSDKv6 calls by github.com/alibabacloud-go/vpc-20160428/v6, which signs by
// ACS3-HMAC-SHA256.
func TestClientsSDKv6(t *testing.T) {
	if testing.Short() {
		t.Skip("calls every action: make test-clients")
	}
	noProxy(t)
	for _, action := range succeeding() {
		t.Run(action, func(t *testing.T) {
			s := newClientSite(t, action)
			client, err := vpcv6.NewClient(&openapi.Config{AccessKeyId: &planetest.Alice.AccessKeyID, AccessKeySecret: dara.String(clientSecret), Protocol: dara.String("http"), Endpoint: dara.String(s.host())})
			if err != nil {
				t.Fatal(err)
			}
			method, ok := methodOf(client, action)
			if !ok {
				testCallAPI(t, client, s, action)
				return
			}
			request := reflect.New(method.Type().In(0).Elem())
			queries := map[string]*string{}
			for name, value := range s.good {
				if !assign(request, "json", strings.Split(name, "."), value) {
					queries[name] = &value
				}
			}
			// What only the documents have goes beside.
			client.GlobalParameters = &openapi.GlobalParameters{Queries: queries}
			out := method.Call([]reflect.Value{request})
			if err, _ := out[1].Interface().(error); err != nil {
				t.Fatalf("%v\nwith %v", err, s.good)
			}
			body := out[0].Elem().FieldByName("Body")
			if got := *out[0].Elem().FieldByName("StatusCode").Interface().(*int32); got != 200 || body.IsNil() {
				t.Fatalf("status %d, body %v", got, body)
			}
			compareV6(t, action, s.answered(t), body)
		})
	}
}

// testCallAPI calls an action that the client has no types for.
func testCallAPI(t *testing.T, client *vpcv6.Client, s *clientSite, action string) {
	queries := map[string]*string{}
	for name, value := range s.good {
		queries[name] = &value
	}
	version, name := versionOf(action)
	answer, err := client.CallApi(&openapi.Params{
		Action: &name, Version: &version, Protocol: dara.String("HTTP"), Pathname: dara.String("/"), Method: dara.String("POST"),
		AuthType: dara.String("AK"), Style: dara.String("RPC"), ReqBodyType: dara.String("formData"), BodyType: dara.String("json"),
	}, &openapi.OpenApiRequest{Query: queries}, &dara.RuntimeOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if got, want := text(answer["body"]), text(s.answered(t)); got != want {
		t.Errorf("sent %s, read %s", want, got)
	}
}

// compareV6 checks that what the client knows of an answer it has read. What it does not
// know, the catalog explains.
func compareV6(t *testing.T, at string, want any, got reflect.Value) {
	t.Helper()
	for got.Kind() == reflect.Pointer {
		if got.IsNil() {
			t.Errorf("%s: %v was sent, and nothing read", at, want)
			return
		}
		got = got.Elem()
	}
	switch w := want.(type) {
	case map[string]any:
		if got.Kind() != reflect.Struct {
			t.Errorf("%s: an object is read as %s", at, got.Type())
			return
		}
		for i := range got.NumField() {
			name, _, _ := strings.Cut(got.Type().Field(i).Tag.Get("json"), ",")
			if x, ok := w[name]; ok {
				compareV6(t, at+"."+name, x, got.Field(i))
			}
		}
	case []any:
		if got.Kind() != reflect.Slice || got.Len() != len(w) {
			t.Errorf("%s: a list of %d is read as %v", at, len(w), got)
			return
		}
		for i, x := range w {
			compareV6(t, at, x, got.Index(i))
		}
	default:
		if text(want) != text(got.Interface()) {
			t.Errorf("%s: sent %v, read %v", at, want, got)
		}
	}
}

// text writes a value as JSON has it, without quotes.
func text(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return strings.Trim(string(b), `"`)
}

// TestClientsSDKv6ReadsEveryMember gives every member of every answer a value of its own:
// the client reads each that it knows.
func TestClientsSDKv6ReadsEveryMember(t *testing.T) {
	client := &vpcv6.Client{}
	for name, r := range emptyAnswers() {
		method, ok := methodOf(client, name)
		if !ok {
			continue
		}
		for _, sample := range []*int{new(int), nil} { // values of their own; empty lists
			if sample != nil {
				populate(reflect.ValueOf(r), sample)
			}
			if order, ok := r.(*AllocateEipAddressResponse); ok {
				order.OrderId = "12345" // a string in the document, a number to the client, which reads either
			}
			asNumbers(r)
			var sent map[string]any
			body := []byte(encoded(t, FormatJSON, r))
			d := json.NewDecoder(bytes.NewReader(body))
			d.UseNumber()
			if err := d.Decode(&sent); err != nil {
				t.Fatal(err)
			}
			got := reflect.New(method.Type().Out(0).Elem())
			if err := dara.Convert(map[string]any{"body": sent, "statusCode": 200}, got.Interface()); err != nil {
				t.Errorf("%s: %v\n%s", name, err, body)
				continue
			}
			compareV6(t, name, sent, got.Elem().FieldByName("Body"))
			r = reflect.New(reflect.TypeOf(r).Elem()).Interface().(Response)
		}
	}
}

// TestClientsOtherServices: the public client's types of other services read what is
// answered of them.
func TestClientsOtherServices(t *testing.T) {
	noProxy(t)
	s := newClientSite(t, "DescribeRegions")
	config, key := sdk.NewConfig().WithScheme("HTTP").WithAutoRetry(false), credentials.NewAccessKeyCredential(planetest.Alice.AccessKeyID, clientSecret)
	identities, err := sts.NewClientWithOptions(planetest.Region, config, key)
	if err != nil {
		t.Fatal(err)
	}
	who := sts.CreateGetCallerIdentityRequest()
	who.Scheme, who.Domain = "http", s.host()
	caller, err := identities.GetCallerIdentity(who)
	if err != nil || caller.AccountId != planetest.Alice.Account || caller.IdentityType != "Account" || caller.PrincipalId == "" || caller.Arn == "" || caller.RequestId == "" {
		t.Errorf("GetCallerIdentity: %+v, %v", caller, err)
	}
	locations, err := location.NewClientWithOptions(planetest.Region, config, key)
	if err != nil {
		t.Fatal(err)
	}
	where := location.CreateDescribeEndpointsRequest()
	where.Scheme, where.Domain, where.ServiceCode, where.Id, where.Type = "http", s.host(), "vpc", planetest.Region, "openAPI"
	all, err := locations.DescribeEndpoints(where)
	if err != nil || !all.Success || len(all.Endpoints.Endpoint) != 1 || all.Endpoints.Endpoint[0].Endpoint != s.host() || all.Endpoints.Endpoint[0].Type != "openAPI" || len(all.Endpoints.Endpoint[0].Protocols.Protocols) != 1 {
		t.Errorf("DescribeEndpoints: %+v, %v", all, err)
	}
	one := location.CreateDescribeEndpointRequest()
	one.Scheme, one.Domain, one.ServiceCode, one.Id = "http", s.host(), "vpc", planetest.Region
	single, err := locations.DescribeEndpoint(one)
	if err != nil || single.Endpoint != s.host() || single.SerivceCode != "vpc" {
		t.Errorf("DescribeEndpoint: %+v, %v", single, err)
	}
}

// nodeCall is a call that test/clients/run.js makes, and what came of it.
type nodeCall struct {
	Client   string            `json:"client"`
	Endpoint string            `json:"endpoint"`
	ID       string            `json:"id"`
	Secret   string            `json:"secret"`
	Version  string            `json:"version"`
	Action   string            `json:"action"`
	Method   string            `json:"method"`
	Params   map[string]string `json:"params"`

	site *clientSite
}

type nodeResult struct {
	Answer map[string]any
	Error  *struct{ Code, Message string }
}

// TestClientsNode calls by the npm packages @alicloud/pop-core, which signs by HMAC-SHA1,
// GET and POST, and @alicloud/vpc20160428, which signs by ACS3-HMAC-SHA256.
func TestClientsNode(t *testing.T) {
	if testing.Short() {
		t.Skip("calls every action: make test-clients")
	}
	const root = "../.."
	modules, err := filepath.Abs(root + "/build/clients/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Skip("the clients for Node.js are not there: make test-clients fetches them")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node.js: make setup installs it")
	}
	var calls []nodeCall
	add := func(s *clientSite, client, version, action, method string, params map[string]string) {
		calls = append(calls, nodeCall{client, s.host(), planetest.Alice.AccessKeyID, clientSecret, version, action, method, params, s})
	}
	for i, action := range succeeding() {
		version, name := versionOf(action)
		core, typed := newClientSite(t, action), newClientSite(t, action)
		add(core, "pop-core", version, name, []string{"GET", "POST"}[i%2], core.good)
		if version == Version { // the typed client is one service's
			add(typed, "vpc20160428", version, name, "", typed.good)
		}
	}
	others := newClientSite(t, "DescribeRegions")
	for version, service := range otherServices {
		for action := range service.actions {
			if _, also := actions[action]; also { // the same, by another version
				s := newClientSite(t, action)
				add(s, "pop-core", version, action, "POST", s.good)
				continue
			}
			s := &clientSite{Server: others.Server}
			add(s, "pop-core", version, action, "POST", map[string]string{"RegionId": planetest.Region, "DestinationResource": "Zone", "ServiceCode": "vpc", "Id": planetest.Region})
		}
	}
	input, err := json.Marshal(calls)
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), node, root+"/test/clients/run.js")
	cmd.Env = append(os.Environ(), "NODE_PATH="+modules)
	cmd.Env = slices.DeleteFunc(cmd.Env, func(v string) bool {
		name, _, _ := strings.Cut(strings.ToLower(v), "=")
		return strings.HasSuffix(name, "_proxy")
	})
	cmd.Stdin = bytes.NewReader(input)
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	output, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v: %s", err, stderr.String())
	}
	var results []nodeResult
	d := json.NewDecoder(bytes.NewReader(output))
	d.UseNumber()
	if err := d.Decode(&results); err != nil || len(results) != len(calls) {
		t.Fatalf("%d results of %d calls, %v; the end of it: %s", len(results), len(calls), err, output[max(0, len(output)-500):])
	}
	for i, c := range calls {
		name := c.Client + ": " + c.Action + " of " + c.Version
		switch r := results[i]; {
		case r.Error != nil:
			t.Errorf("%s: %s: %s\nwith %v", name, r.Error.Code, r.Error.Message, c.Params)
		case c.site.body == nil: // of other services, which share a server
			if r.Answer["RequestId"] == "" {
				t.Errorf("%s: %v", name, r.Answer)
			}
		default:
			readBy(t, name, c.site.answered(t), r.Answer)
		}
	}
}

// readBy checks that what a client for Node.js has read is what was sent.
func readBy(t *testing.T, at string, sent, read any) {
	t.Helper()
	switch r := read.(type) {
	case map[string]any:
		s, ok := sent.(map[string]any)
		for name, x := range r {
			if _, there := s[name]; !ok || !there {
				t.Errorf("%s.%s: read %v, and it was not sent", at, name, x)
				continue
			}
			readBy(t, at+"."+name, s[name], x)
		}
	case []any:
		s, ok := sent.([]any)
		if !ok || len(s) != len(r) {
			t.Errorf("%s: sent %v, read %v", at, sent, read)
			return
		}
		for i, x := range r {
			readBy(t, at, s[i], x)
		}
	default:
		if text(sent) != text(read) {
			t.Errorf("%s: sent %v, read %v", at, sent, read)
		}
	}
}
