package aliyun

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sluice/api/spec"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
)

// fakeActions answers CreateVpc; any other call would panic on the nil
// interface that it embeds.
type fakeActions struct {
	Actions
	caller  identity.Caller
	request *CreateVpcRequest
	err     error
}

func (f *fakeActions) CreateVpc(_ context.Context, c identity.Caller, r *CreateVpcRequest) (*CreateVpcResponse, error) {
	f.caller, f.request = c, r
	if f.err != nil {
		return nil, f.err
	}
	return &CreateVpcResponse{VpcId: "vpc-1"}, nil
}

func TestDispatch(t *testing.T) {
	h := &fakeActions{}
	p := query("RegionId=r ClientToken=tok DryRun=false Unknown=1")
	r, e := Dispatch(context.Background(), h, identity.Caller{Account: "a", RequestID: "R"}, "createVPC", p)
	if e != nil {
		t.Fatal(e)
	}
	want := identity.Caller{Account: "a", RequestID: "R", Action: "CreateVpc", Token: "tok", Fingerprint: p.Fingerprint()}
	if h.caller != want {
		t.Errorf("caller %+v, want %+v", h.caller, want)
	}
	if h.request.RegionId != "r" {
		t.Errorf("request %+v", h.request)
	}
	if got := encoded(t, FormatJSON, r); !strings.Contains(got, `"RequestId":"R"`) {
		t.Errorf("answer without the request's id: %s", got)
	}
}

func TestDispatchRefuses(t *testing.T) {
	for _, c := range []struct {
		action, query string
		err           error
		want          Error
	}{
		{"NoSuchAction", "", nil, Error{400, "InvalidParameter", `The specified parameter "Action or Version" is not valid.`}},
		{slices.Min(slices.Collect(maps.Keys(unsupportedActions))), "", nil, Error{400, "UnsupportedOperation", "The specified action is not supported."}},
		{"ram:creategroup", "", nil, Error{400, "UnsupportedOperation", "The specified action is not supported."}},
		{"CreateVpc", "RegionId=r dryrun=TRUE", nil, Error{400, "UnsupportedParameter", `The parameter "dryrun" is not supported. Reason: it would do for real what was only to be tried. Leave it out, or give it as false.`}},
		{"CreateVpc", "", nil, Error{400, "MissingParameter", `The input parameter "RegionId" that is mandatory for processing this request is not supplied.`}},
		{"CreateVpc", "RegionId=r", fmt.Errorf("create: %w", fault.New(fault.QuotaVPC, "10 VPCs")), Error{400, "QuotaExceeded.Vpc", "VPC quota exceeded."}},
		{"CreateVpc", "RegionId=r", &Error{418, "Own", "words"}, Error{418, "Own", "words"}},
		{"CreateVpc", "RegionId=r", errors.New("disk full at /secret"), Error{500, "InternalError", "The request processing has failed due to some unknown error, exception or failure."}},
		{"CreateVpc", "RegionId=r", fault.New("no such reason", ""), Error{500, "InternalError", "The request processing has failed due to some unknown error, exception or failure."}},
		{"CreateVpc", "RegionId=r", fmt.Errorf("commit: %w", context.DeadlineExceeded), Error{500, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."}},
	} {
		r, e := Dispatch(context.Background(), &fakeActions{err: c.err}, identity.Caller{}, c.action, query(c.query))
		if r != nil || e == nil || *e != c.want {
			t.Errorf("%s %s: %v %v, want %v", c.action, c.query, r, e, c.want)
		}
	}
}

func TestActionTable(t *testing.T) {
	for name, want := range map[string]action{
		"CreateVpc":               {writes: true, token: true},
		"DescribeVpcs":            {},
		"DeleteVpc":               {writes: true},
		"CreateForwardEntry":      {writes: true, token: true},
		"AssociateEipAddress":     {writes: true, token: true},
		"ListNatGatewayEcsMetric": {},
	} {
		got := actions[name]
		if got.writes != want.writes || got.token != want.token {
			t.Errorf("%s: writes %v, token %v", name, got.writes, got.token)
		}
	}
	catalog, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	if all := len(catalog.Family(spec.Aliyun).Actions()); len(actions)+len(unsupportedActions) != all {
		t.Errorf("%d actions and %d unsupported ones; the family has %d", len(actions), len(unsupportedActions), all)
	}
	if len(emptyAnswers()) != len(actions) || reflect.TypeFor[Actions]().NumMethod() != len(actions) {
		t.Errorf("%d methods for %d actions", len(emptyAnswers()), len(actions))
	}
}

// TestUnserved: what an action does not do is refused under its name as it came, and that
// of what is below it; a value that asks for nothing else than what is done passes.
func TestUnserved(t *testing.T) {
	refused := 0
	for name, a := range actions {
		for _, u := range a.unserved {
			for _, spelling := range []string{u.name, strings.ToUpper(u.name), u.name + ".1", u.name + ".1.Key"} {
				_, e := Dispatch(context.Background(), &fakeActions{}, identity.Caller{}, name, NewParams(spelling, "anything-else"))
				if e == nil || e.Code != "UnsupportedParameter" || !strings.Contains(e.Message, `"`+spelling+`"`) || !strings.Contains(e.Message, u.why) {
					t.Errorf("%s with %s: %v", name, spelling, e)
				}
				refused++
			}
			for _, v := range append([]string{""}, u.served...) {
				if e := a.refuse(NewParams(u.name, strings.ToUpper(v))); e != nil {
					t.Errorf("%s with %s=%s: %v", name, u.name, v, e)
				}
			}
			if e := a.refuse(NewParams(u.name+"x", "y")); e != nil {
				t.Errorf("%s: %sx was taken for %s: %v", name, u.name, u.name, e)
			}
		}
	}
	if refused == 0 {
		t.Error("no action refuses anything")
	}
}
