package main

import (
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sluice/api/aliyun"
	"sluice/api/spec"
)

func TestParseCall(t *testing.T) {
	for _, c := range []struct {
		args   string
		action string
		params map[string]string
		want   profileFlags
		force  bool
	}{
		{args: "CreateVpc --CidrBlock 10.0.0.0/16", action: "CreateVpc", params: map[string]string{"CidrBlock": "10.0.0.0/16"}},
		{args: "--CidrBlock=10.0.0.0/16 CreateVpc", action: "CreateVpc", params: map[string]string{"CidrBlock": "10.0.0.0/16"}},
		{args: "--endpoint http://x CreateVpc --VpcName --force --region=r --force", action: "CreateVpc",
			params: map[string]string{"VpcName": "--force"}, want: profileFlags{profile: profile{Endpoint: "http://x", Region: "r"}}, force: true},
		{args: "CreateRouteEntry --NextHopList.1.NextHopId i-a --NextHopList.2.NextHopId=i-b --profile home", action: "CreateRouteEntry",
			params: map[string]string{"NextHopList.1.NextHopId": "i-a", "NextHopList.2.NextHopId": "i-b"}, want: profileFlags{name: "home"}},
		{args: "ModifyVpcAttribute --Description=", action: "ModifyVpcAttribute", params: map[string]string{"Description": ""}},
		{args: "DescribeVpcs --PageNumber -1", action: "DescribeVpcs", params: map[string]string{"PageNumber": "-1"}},
	} {
		f := newCallFlags()
		action, params, err := parseCall(f, strings.Fields(c.args))
		if err != nil || action != c.action || f.profileFlags != c.want || f.force != c.force {
			t.Errorf("%s: action %q, flags %+v, %v", c.args, action, f.profileFlags, err)
		}
		if d := cmp.Diff(c.params, params); d != "" {
			t.Errorf("%s: parameters (-want +got):\n%s", c.args, d)
		}
	}
}

func TestParseCallMistakes(t *testing.T) {
	for args, want := range map[string]string{
		"CreateVpc --CidrBlock":                 "--CidrBlock has no value",
		"CreateVpc DescribeVpcs":                "more than one action",
		"CreateVpc --VpcName a --VpcName b":     "given twice",
		"--VpcName a":                           "no action",
		"CreateVpc --endpiont http://x":         "unknown flag: --endpiont",
		"CreateVpc --CidrBlock 10.0.0.0/16 out": "more than one action",
	} {
		_, _, err := parseCall(newCallFlags(), strings.Fields(args))
		if err == nil || !strings.Contains(err.Error(), want) || report(err) != exitUsage {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
	}
}

func TestCheckCall(t *testing.T) {
	for _, c := range []struct {
		action, param, want string // want is part of the message; empty: accepted
	}{
		{"CreateVpc", "CidrBlock", ""},
		{"createvpc", "CidrBlock", ""},
		{"CreateVpc", "ClientToken", ""},
		{"DescribeVpcs", "OwnerId", ""},
		{"CreateRouteEntry", "NextHopList.1.NextHopId", ""},
		{"CreateRouteEntry", "NextHopList.12.NextHopId", ""},
		{"CreateRouteEntry", "NextHopList.0.NextHopId", "no parameter"},
		{"CreateRouteEntry", "NextHopList.N.NextHopId", "no parameter"},
		{"CreateVpc", "CidrBlok", "did you mean CidrBlock?"},
		{"CreateVpc", "cidrblock", "did you mean CidrBlock?"},
		{"CreateVpk", "CidrBlock", "did you mean CreateVpc?"},
		{"ReplaceRouteTableAssociation", "X", "tencent"},
	} {
		params := map[string]string{c.param: "x"}
		_, err := wires[0].check(c.action, params, false)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%s --%s: %v", c.action, c.param, err)
		case c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want) || report(err) != exitUsage):
			t.Errorf("%s --%s: %v; want %q", c.action, c.param, err, c.want)
		}
		if _, err := wires[0].check(c.action, params, true); err != nil {
			t.Errorf("%s --%s with force: %v", c.action, c.param, err)
		}
	}
}

// TestKnowsEveryParameter takes each name of the catalog as completion writes it.
func TestKnowsEveryParameter(t *testing.T) {
	catalog, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	n := 0
	for _, w := range wires {
		for _, a := range catalog.Family(w.family).Actions() {
			for _, name := range w.parameterNames(a) {
				n++
				if placeholder.MatchString(name) || !w.knows(a, name) {
					t.Errorf("%s does not know its own parameter %s", a.Name, name)
				}
			}
		}
	}
	if n < 800 {
		t.Errorf("only %d parameters in the catalog", n)
	}
}

// service answers like the API and remembers what it was asked.
func service(t *testing.T, status int, answer string) (url string, asked func(string) string) {
	t.Helper()
	got := map[string]string{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if err := r.ParseForm(); err != nil {
			t.Error(err)
		}
		for k := range r.Form {
			got[k] = r.Form.Get(k)
		}
		w.WriteHeader(status)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	return s.URL, func(name string) string { return got[name] }
}

// run runs a command line and returns its standard output.
func run(t *testing.T, args ...string) (string, error) {
	t.Helper()
	// Nothing of whoever runs the tests counts.
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, name := range []string{"ENDPOINT", "ACCESS_KEY_ID", "ACCESS_KEY_SECRET", "REGION", "PROFILE", "ADMIN_SOCKET", "LAB"} {
		t.Setenv("SLUICE_"+name, "")
	}
	var out strings.Builder
	root := newRoot()
	root.SetOut(&out)
	root.SetErr(io.Discard)
	root.SetArgs(args)
	err := root.ExecuteContext(t.Context())
	return out.String(), err
}

func TestCallPrintsTheAnswer(t *testing.T) {
	url, asked := service(t, http.StatusOK, `{"VpcId":"vpc-1","RequestId":"r"}`)
	flags := []string{"--endpoint", url, "--access-key-id", "id", "--access-key-secret", "secret", "--region", "cn-here"}
	out, err := run(t, append([]string{"call", "createvpc", "--CidrBlock", "10.0.0.0/16"}, flags...)...)
	if err != nil {
		t.Fatal(err)
	}
	if want := "{\n  \"VpcId\": \"vpc-1\",\n  \"RequestId\": \"r\"\n}\n"; out != want {
		t.Errorf("printed %q, want %q", out, want)
	}
	for name, want := range map[string]string{"Action": "CreateVpc", "CidrBlock": "10.0.0.0/16", "RegionId": "cn-here", "AccessKeyId": "id", "Format": "JSON"} {
		if got := asked(name); got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	if asked("Signature") == "" {
		t.Error("the call was not signed")
	}

	out, err = run(t, append([]string{"call", "CreateVpc", "--RegionId", "cn-there", "--get", "VpcId"}, flags...)...)
	if err != nil || out != "vpc-1\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	if got := asked("RegionId"); got != "cn-there" {
		t.Errorf("RegionId is %q", got)
	}

	// One that takes no region gets none.
	if _, err = run(t, append([]string{"call", "DeleteVpc", "--VpcId", "vpc-1"}, flags...)...); err != nil {
		t.Fatal(err)
	}
}

// TestCallOfTencent: the other family's calls, refusals and mistakes.
func TestCallOfTencent(t *testing.T) {
	var action, body string
	answer := `{"Response":{"VpcSet":[{"VpcId":"vpc-1"}],"RequestId":"r"}}`
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		b, _ := io.ReadAll(r.Body)
		action, body = r.Header.Get("X-TC-Action")+" in "+r.Header.Get("X-TC-Region"), string(b)
		_, _ = io.WriteString(w, answer)
	}))
	t.Cleanup(s.Close)
	flags := []string{"--family", "tencent3", "--endpoint", s.URL, "--access-key-id", "id", "--access-key-secret", "secret", "--region", "cn-here"}
	out, err := run(t, append([]string{"call", "describevpcs", "--Filters.0.Name", "cidr-block", "--Filters.0.Values.0", "10.0.0.0/16", "--get", "VpcSet.0.VpcId"}, flags...)...)
	if err != nil || out != "vpc-1\n" {
		t.Errorf("printed %q, %v", out, err)
	}
	if action != "DescribeVpcs in cn-here" || body != `{"Filters":[{"Name":"cidr-block","Values":["10.0.0.0/16"]}]}` {
		t.Errorf("sent %s: %s", action, body)
	}
	answer = `{"Response":{"Error":{"Code":"ResourceNotFound","Message":"There is none."},"RequestId":"r-2"}}`
	if _, err = run(t, append([]string{"call", "DescribeVpcs"}, flags...)...); err == nil || err.Error() != "ResourceNotFound: There is none. (RequestId r-2)" {
		t.Errorf("a refusal: %v", err)
	}
	for args, want := range map[string]string{
		"DescribeVpcs --PageSize 5":       "DescribeVpcs has no parameter PageSize; see: sluicectl describe --family tencent3 DescribeVpcs",
		"DescribeVpcs --Filters.N.Name x": "has no parameter Filters.N.Name",
		"CreateNatGateways":               "there is no action CreateNatGateways; see: sluicectl actions --family tencent3",
		"CreateForwardEntry":              "is an action of family aliyun",
		"DescribeVpcs --acs3":             "--acs3 signs calls of family aliyun alone",
		"DescribeVpcs --family tencent2":  "family tencent2 is not answered yet",
	} {
		parts := strings.Fields(args)
		if _, err := run(t, append(append([]string{"call"}, flags...), parts...)...); err == nil || !strings.Contains(err.Error(), want) || report(err) != exitUsage {
			t.Errorf("%s: %v; want %q", args, err, want)
		}
	}
}

func TestCompletionOfFamilies(t *testing.T) {
	for args, want := range map[string]string{
		"call --family ": "tencent3",
		"call --family tencent3 ReplaceRouteTableAss":         "ReplaceRouteTableAssociation",
		"call --family=tencent3 DescribeVpcs --Filters":       "--Filters.0.Values.0",
		"call DescribeVpcs --Page":                            "--PageSize",
		"describe --family tencent3 ReplaceRouteTableAss":     "ReplaceRouteTableAssociation",
		"call --family tencent3 CreateVpc --EnableMulticast ": "true",
	} {
		out, err := run(t, append([]string{"__complete"}, strings.Split(args, " ")...)...)
		if err != nil || !strings.Contains(out, want) {
			t.Errorf("%s: %q, %v; want %s", args, out, err, want)
		}
	}
}

func TestCallThatIsRefused(t *testing.T) {
	url, _ := service(t, http.StatusNotFound, `{"RequestId":"r-1","HostId":"h","Code":"InvalidVpcId.NotFound","Message":"Specified VPC does not exist."}`)
	out, err := run(t, "call", "DeleteVpc", "--VpcId", "vpc-1", "--endpoint", url, "--access-key-id", "id", "--access-key-secret", "secret")
	if err == nil || err.Error() != "InvalidVpcId.NotFound: Specified VPC does not exist. (RequestId r-1)" || out != "" {
		t.Errorf("printed %q, error %v", out, err)
	}
	if code := report(err); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
}

// A mistake in the call is told before it matters who calls.
func TestCallIsCheckedBeforeTheKey(t *testing.T) {
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	for _, name := range []string{"SLUICE_PROFILE", "SLUICE_ACCESS_KEY_ID", "SLUICE_ACCESS_KEY_SECRET"} {
		t.Setenv(name, "")
	}
	for args, want := range map[string]string{
		"call CreateVpx":               "there is no action CreateVpx",
		"call CreateVpc --CidrBlok x":  "did you mean CidrBlock?",
		"call CreateVpc --CidrBlock x": "no access key",
		"call CreateVpc --endpoint office --access-key-id i --access-key-secret s":  `endpoint "office" is not a URL`,
		"call CreateVpc --endpoint ftp://h --access-key-id i --access-key-secret s": `endpoint "ftp://h" is not a URL`,
	} {
		_, err := run(t, strings.Fields(args)...)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: error %v, want %q", args, err, want)
			continue
		}
		if code := report(err); code != exitUsage {
			t.Errorf("%s: exit code %d", args, code)
		}
	}
}

func TestCallErrorOfAnotherKind(t *testing.T) {
	err := errors.New("connection refused")
	if got := callError(err); !errors.Is(got, err) {
		t.Errorf("error is %v", got)
	}
	if got := callError(&aliyun.CallError{RequestID: "r", Refusal: &aliyun.Error{Code: "C", Message: "M"}}); got.Error() != "C: M (RequestId r)" {
		t.Errorf("error is %v", got)
	}
}

func TestPart(t *testing.T) {
	answer := []byte(`{"A":{"B":[{"C":"x"},{"C":2}],"T":true},"N":null}`)
	for path, want := range map[string]string{"A.B.0.C": "x", "A.B.1.C": "2", "A.T": "true"} {
		if got, err := part(answer, path); err != nil || got != want {
			t.Errorf("%s is %q, %v; want %q", path, got, err, want)
		}
	}
	for _, path := range []string{"X", "A.B.2", "A.B.x", "A.T.x", "A.B.0.C.D"} {
		if got, err := part(answer, path); err == nil {
			t.Errorf("%s is %q, want an error", path, got)
		}
	}
	if got, err := part(answer, "A.B"); err != nil || !json.Valid([]byte(got)) {
		t.Errorf("A.B is %q, %v", got, err)
	}
}
