package aliyun

import (
	"context"
	"errors"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/api/edge"
	"sluice/controlplane/identity"
)

// provoked are the common errors that this service can answer with, each with
// a request that provokes it: who calls, what, and what differs from a request
// that would pass.
var provoked = []struct {
	name   string
	key    string
	action string
	params map[string]string // an empty value leaves a parameter out
	method string
	before func(t *testing.T, s *site) // what has happened before
	change func(*edge.Config)
	want   Error
}{
	{name: "no Action", params: map[string]string{"Action": ""}, want: Error{400, "MissingParameter", `The input parameter "Action" that is mandatory for processing this request is not supplied`}},
	{name: "no AccessKeyId", params: map[string]string{"AccessKeyId": ""}, want: Error{400, "MissingParameter", `The input parameter "AccessKeyId" that is mandatory for processing this request is not supplied`}},
	{name: "no Signature", params: map[string]string{"Signature": ""}, want: Error{400, "MissingParameter", `An input parameter "Signature" that is mandatory for processing the request is not supplied.`}},
	{name: "no Timestamp", params: map[string]string{"Timestamp": ""}, want: Error{400, "MissingParameter", `The input parameter "TimeStamp" that is mandatory for processing this request is not supplied`}},
	{name: "no Version", params: map[string]string{"Version": ""}, want: Error{400, "MissingParameter", `The input parameter "Version" that is mandatory for processing this request is not supplied`}},
	{name: "no SignatureMethod", params: map[string]string{"SignatureMethod": ""}, want: Error{400, "MissingParameter", `The input parameter "SignatureMethod" that is mandatory for processing this request is not supplied.`}},
	{name: "no SignatureVersion", params: map[string]string{"SignatureVersion": ""}, want: Error{400, "MissingParameter", `The input parameter "SignatureVersion" that is mandatory for processing this request is not supplied.`}},
	{name: "no SignatureNonce", params: map[string]string{"SignatureNonce": ""}, want: Error{400, "MissingParameter", `The input parameter "SignatureNonce" that is mandatory for processing this request is not supplied.`}},
	{name: "unknown Action", action: "NoSuchAction", want: Error{400, "InvalidParameter", `The specified parameter "Action or Version" is not valid.`}},
	{name: "unsupported Action", action: "CreateGroup", params: map[string]string{"Version": "2015-05-01"}, want: Error{400, "UnsupportedOperation", "The specified action is not supported."}},
	{name: "other Version", params: map[string]string{"Version": "2014-05-15"}, want: Error{400, "InvalidParameter", `The specified parameter "Action or Version" is not valid.`}},
	{name: "unknown key", key: "nobody", want: Error{400, "InvalidAccessKeyId.NotFound", "The Access Key ID provided does not exist in our records."}},
	{name: "disabled key", key: "disabled", want: Error{403, "Forbidden.AccessKeyDisabled", "The Access Key is disabled."}},
	{name: "wrong Signature", params: map[string]string{"Signature": "CT9X0VtwR86fNWSnsc6v8YGOjuE="}, want: Error{400, "IncompleteSignature", "The request signature does not conform to Aliyun standards."}},
	{name: "SignatureMethod", params: map[string]string{"SignatureMethod": "HMAC-MD5"}, want: Error{400, "InvalidParamater", `The specified parameter "SignatureMethod" is not valid.`}},
	{name: "SignatureVersion", params: map[string]string{"SignatureVersion": "2.0"}, want: Error{400, "InvalidParamater", `The specified parameter "SignatureVersion" is not valid.`}},
	{name: "Timestamp too old", params: map[string]string{"Timestamp": "2026-03-01T10:59:59Z"}, want: illegalTimestamp},
	{name: "Timestamp too new", params: map[string]string{"TimeStamp": "2026-03-01T13:00:01Z"}, want: illegalTimestamp},
	{name: "Timestamp with a zone", params: map[string]string{"Timestamp": "2026-03-01T20:00:00+08:00"}, want: illegalTimestamp},
	{name: "Timestamp that is none", params: map[string]string{"Timestamp": "now"}, want: illegalTimestamp},
	{name: "Nonce too long", params: map[string]string{"SignatureNonce": strings.Repeat("n", edge.MaxNonce+1)}, want: Error{400, "InvalidParameter", `The specified parameter "SignatureNonce" is not valid.`}},
	{name: "Nonce used", params: map[string]string{"SignatureNonce": "once"}, before: once("id"), want: Error{400, "SignatureNonceUsed", "The request signature nonce has been used."}},
	{name: "OwnerId", params: map[string]string{"OwnerId": "1002"}, want: Error{400, "InvalidOwnerId", "The specified OwnerId is not valid."}},
	{name: "ResourceOwnerId", params: map[string]string{"ResourceOwnerId": "1002"}, want: Error{400, "InvalidOwnerId", "The specified OwnerId is not valid."}},
	{name: "OwnerAccount", params: map[string]string{"OwnerAccount": "bob"}, want: Error{400, "InvalidOwnerAccount", "The specified OwnerAccount is not valid."}},
	{name: "ResourceOwnerAccount", params: map[string]string{"ResourceOwnerAccount": "bob"}, want: Error{400, "InvalidOwnerAccount", "The specified OwnerAccount is not valid."}},
	{name: "both owners", params: map[string]string{"OwnerId": "1001", "OwnerAccount": "alice"}, want: Error{400, "InvalidOwner", "OwnerId and OwnerAccount can't be used at one API access."}},
	{name: "throttled key", change: func(c *edge.Config) { c.PerKey = edge.Rate{PerSecond: 0.001, Burst: 1} }, before: once("id"), want: Error{400, "Throttling", "Request was denied due to request throttling."}},
	{name: "throttled service", change: func(c *edge.Config) { c.Total = edge.Rate{PerSecond: 0.001, Burst: 1} }, before: once("other"), want: Error{400, "Throttling", "Request was denied due to request throttling."}},
	{name: "key that only describes", key: "reader", action: "DeleteVpc", want: Error{403, "InvalidAction", "Specified action is not valid."}},
	{name: "HTTP method", method: "DELETE", want: Error{403, "UnsupportedHTTPMethod", "This http method is not supported."}},
	{name: "unavailable", before: failing(context.DeadlineExceeded), want: Error{500, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."}},
	{name: "parameter that does not apply", params: map[string]string{"DryRun": "true"}, want: Error{400, "UnsupportedParameter", `The parameter "DryRun" is not supported.` + whyNoDryRun}},
	{name: "any other failure", before: failing(errors.New("disk full")), want: Error{500, "InternalError", "The request processing has failed due to some unknown error, exception or failure."}},
	{name: "token of another request", action: "CreateVpc", params: map[string]string{"RegionId": "cn-hangzhou", "ClientToken": "t"}, want: Error{400, "IdempotentParameterMismatch", "Request uses a client token in a previous request but is not identical to that request."}},
	{name: "form of the request", params: map[string]string{"a": "%zz"}, method: "GET raw", want: Error{400, "InvalidParameter", "The specified parameter is not valid"}},
}

// whyNoDryRun stands behind the document's message.
const whyNoDryRun = " Reason: it would do for real what was only to be tried. Leave it out, or give it as false."

var illegalTimestamp = Error{400, "IllegalTimestamp", `The input parameter "Timestamp" that is mandatory for processing this request is not supplied.`}

// notProvoked are the common errors that this service never answers with.
var notProvoked = map[string]string{
	`MissingParameter The input parameter OwnerId,OwnerAccount that is mandatory for processing this request is not supplied.`: "no operation needs an owner: the access key tells it",
	"Forbidden.SubUser":                    "provoked by TestForbidden",
	"Forbidden.InstanceNotFound":           "provoked by TestForbidden",
	"Forbidden.DiskNotFound":               "there are no disks",
	"Forbidden.SecurityGroupNotFound":      "no action here works on a security group: another cloud's make those that there are",
	"Forbidden.SnapshotNotFound":           "there are no snapshots",
	"Forbidden.ImageNotFound":              "there are no images",
	"Forbidden.RAM":                        "provoked by TestForbidden",
	"Forbidden.NotSupportRAM":              "provoked by TestForbidden",
	"InsufficientBalance":                  "nothing is charged",
	"RealNameAuthenticationError":          "accounts are made by the operator and have no real-name check",
	"InvalidIdempotenceParameter.Mismatch": "IdempotentParameterMismatch is the answer of the idempotence appendix; one case has one answer",
	"LastTokenProcessing":                  "requests with the same token are carried out one after the other: the second gets the first one's answer",
}

// once sends a call with the nonce "once" and expects it to pass.
func once(key string) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		if _, err := s.client(key).Call(t.Context(), "DescribeRegions", map[string]string{"SignatureNonce": "once"}); err != nil {
			t.Fatal(err)
		}
	}
}

func failing(err error) func(*testing.T, *site) {
	return func(_ *testing.T, s *site) {
		s.actions.regions = func(context.Context, identity.Caller) error { return err }
	}
}

func TestCommonErrors(t *testing.T) {
	for _, c := range provoked {
		for format, name := range map[Format]string{FormatXML: "XML", FormatJSON: "JSON"} {
			t.Run(c.name+" "+name, func(t *testing.T) {
				s := newSite(t, c.change)
				if c.before != nil {
					c.before(t, s)
				}
				called := len(s.actions.callers)
				status, body := provoke(t, s, c.key, c.action, c.method, name, c.params)
				if c.name == "form of the request" {
					format = FormatXML // what cannot be read does not say how to answer
				}
				if c.method != "" && c.method != "GET raw" {
					format = FormatXML
				}
				e := refusalOf(t, format, body)
				if got := documentedWords(t, Error{status, e.Code, e.Message}, c.want); got != c.want {
					t.Errorf("got %+v\nwant %+v", got, c.want)
				}
				if e.RequestID == "" || e.HostID != "sluice.test" {
					t.Errorf("RequestId %q, HostId %q", e.RequestID, e.HostID)
				}
				if c.before == nil && c.action != "CreateVpc" && len(s.actions.callers) != called {
					t.Error("the action was called all the same")
				}
			})
		}
	}
}

func provoke(t *testing.T, s *site, key, action, method, format string, params map[string]string) (int, []byte) {
	t.Helper()
	if key == "" {
		key = "id"
	}
	if action == "" {
		action = "DescribeRegions"
	}
	if method == "GET raw" {
		r, err := http.NewRequest("GET", "http://sluice.test/?Format="+format+"&a="+params["a"], nil)
		if err != nil {
			t.Fatal(err)
		}
		// The percent sign has to stand as it is.
		r.URL.RawQuery = "Format=" + format + "&a=" + params["a"]
		w, err := s.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		var b strings.Builder
		if err := w.Write(&b); err != nil {
			t.Fatal(err)
		}
		_, body, _ := strings.Cut(b.String(), "\r\n\r\n")
		return w.StatusCode, []byte(body)
	}
	all := map[string]string{"Format": format}
	for name, value := range params {
		all[name] = value
	}
	c := s.client(key)
	c.Method = method
	status, body, err := c.Send(t.Context(), c.Sign(action, all))
	if err != nil {
		t.Fatal(err)
	}
	return status, body
}

func TestEveryCommonErrorIsProvokedOrExplained(t *testing.T) {
	seen := map[Error]bool{}
	for _, c := range provoked {
		seen[c.want] = true
	}
	for _, e := range commonErrors {
		if e.Code == "UnsupportedParameter" {
			e.Message = strings.Replace(e.Message, "<parameter name>", "DryRun", 1) + whyNoDryRun
		}
		why, explained := notProvoked[e.Code]
		if !explained {
			why, explained = notProvoked[e.Code+" "+e.Message]
		}
		switch {
		case seen[e] && explained:
			t.Errorf("%s is provoked, and said not to be", e.Code)
		case !seen[e] && (!explained || why == ""):
			t.Errorf("%s (%s) is neither provoked nor explained", e.Code, e.Message)
		}
	}
}

func TestOwnAccountIsAccepted(t *testing.T) {
	s := newSite(t, nil)
	c := s.client("id")
	for _, params := range []map[string]string{
		{"OwnerId": "1001"}, {"OwnerAccount": "alice"}, {"OwnerAccount": "1001"},
		{"ResourceOwnerId": "1001", "ResourceOwnerAccount": "alice"},
		{"Timestamp": s.now.Add(-time.Hour).Format(timestampLayout)},
		{"Timestamp": s.now.Add(time.Hour).Format(timestampLayout)},
		{"DryRun": "false"},
	} {
		if _, err := c.Call(t.Context(), "DescribeRegions", params); err != nil {
			t.Errorf("%v: %v", params, err)
		}
	}
	if _, err := s.client("reader").Call(t.Context(), "DescribeRegions", nil); err != nil {
		t.Errorf("a key that only describes, describing: %v", err)
	}
}
