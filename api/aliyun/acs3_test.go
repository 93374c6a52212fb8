package aliyun

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/api/edge"
)

// TestACS3Documented: the example with fixed values of "Request syntax and signature
// method V3".
func TestACS3Documented(t *testing.T) {
	h := http.Header{}
	for name, value := range map[string]string{
		headerAction: "RunInstances", headerVersion: "2014-05-26", headerDate: "2023-10-26T10:22:32Z",
		headerNonce: "3156853299f313e23d1673dc12e1703d", headerContentHash: contentHash(nil),
	} {
		h.Set(name, value)
	}
	p := NewParams("RegionId", "cn-shanghai", "ImageId", "win2019_1809_x64_dtc_zh-cn_40G_alibase_20230811.vhd")
	signed := []string{"host", "x-acs-action", "x-acs-content-sha256", "x-acs-date", "x-acs-signature-nonce", "x-acs-version"}
	got := signACS3("YourAccessKeySecret", "POST", p, p.Len(), h, "ecs.cn-shanghai.aliyuncs.com", signed, contentHash(nil))
	if want := "06563a9e1b43f5dfe96b81484da74bceab24a1d853912eee15083a6f0f3283c0"; got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

// acs3Request returns a request of DescribeRegions or another action, of which nothing
// is signed yet.
func acs3Request(s *site, action, target, body string) *http.Request {
	r := httptest.NewRequest("POST", target, strings.NewReader(body))
	r.Host = "sluice.test"
	if body == "" {
		r.Body = http.NoBody
	} else {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for name, value := range map[string]string{
		headerAction: action, headerVersion: Version, headerDate: s.now.Format(timestampLayout), headerNonce: fmt.Sprintf("acs3-%d", s.ids),
	} {
		r.Header.Set(name, value)
	}
	return r
}

// acs3Sign signs a request over what is in it now.
func acs3Sign(t testing.TB, r *http.Request, id, secret string) {
	t.Helper()
	p, err := ParseParams(r.URL.RawQuery)
	if err != nil {
		t.Fatal(err)
	}
	body, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	r.Body = io.NopCloser(bytes.NewReader(body))
	SignACS3(r, p, body, id, secret)
}

// acs3Over signs a request over the headers that are named, in whatever order.
func acs3Over(r *http.Request, signed ...string) {
	p, _ := ParseParams(r.URL.RawQuery)
	signature := signACS3("secret", r.Method, p, p.Len(), r.Header, r.Host, signed, r.Header.Get(headerContentHash))
	r.Header.Set("Authorization", string(ACS3)+" Credential=id,SignedHeaders="+strings.Join(signed, ";")+",Signature="+signature)
}

func set(name, value string) func(*http.Request) {
	return func(r *http.Request) { r.Header.Set(name, value) }
}

func del(name string) func(*http.Request) { return func(r *http.Request) { r.Header.Del(name) } }

func target(method, query string) func(*http.Request) {
	return func(r *http.Request) { r.Method, r.URL.RawQuery = method, query }
}

// rewrite replaces something in Authorization.
func rewrite(old, by string) func(*http.Request) {
	return func(r *http.Request) {
		v := r.Header.Get("Authorization")
		if !strings.Contains(v, old) {
			panic(v + " has no " + old)
		}
		r.Header.Set("Authorization", strings.Replace(v, old, by, 1))
	}
}

// over signs over all headers but those named.
func over(without ...string) func(*http.Request) {
	return func(r *http.Request) {
		var signed []string
		_, names, _ := strings.Cut(r.Header.Get("Authorization"), "SignedHeaders=")
		names, _, _ = strings.Cut(names, ",")
		for name := range strings.SplitSeq(names, ";") {
			if !slices.Contains(without, name) {
				signed = append(signed, name)
			}
		}
		acs3Over(r, signed...)
	}
}

// nonceUsed has a nonce used, by the newer signature or the older.
func nonceUsed(a Algorithm) func(*testing.T, *site) {
	return func(t *testing.T, s *site) {
		c := s.client("id")
		c.Algorithm, c.NewNonce = a, func() string { return "once" }
		if _, err := c.Call(t.Context(), "DescribeRegions", nil); err != nil {
			t.Fatal(err)
		}
	}
}

func incomplete(reason string) Error {
	e := Error{400, "IncompleteSignature", "The request signature does not conform to Aliyun standards."}
	if reason != "" {
		e.Message += " Reason: " + reason
	}
	return e
}

func missing(name string) Error { return *missingParameter(name) }
func invalid(name string) Error { return *invalidParameter(name) }

var (
	missingSignature = Error{400, "MissingParameter", `An input parameter "Signature" that is mandatory for processing the request is not supplied.`}
	missingKeyID     = Error{400, "MissingParameter", `The input parameter "AccessKeyId" that is mandatory for processing this request is not supplied`}
	missingAction    = Error{400, "MissingParameter", `The input parameter "Action" that is mandatory for processing this request is not supplied`}
	missingVersion   = Error{400, "MissingParameter", `The input parameter "Version" that is mandatory for processing this request is not supplied`}
	unknownAction    = Error{400, "InvalidParameter", `The specified parameter "Action or Version" is not valid.`}
	methodInvalid    = Error{400, "InvalidParamater", `The specified parameter "SignatureMethod" is not valid.`}
	nonceUsedError   = Error{400, "SignatureNonceUsed", "The request signature nonce has been used."}
	tokenUnknown     = Error{400, "InvalidSecurityToken.Malformed", "Specified SecurityToken is malformed."}
	throttling       = Error{400, "Throttling", "Request was denied due to request throttling."}
	form             = incomplete("Authorization is ALGORITHM Credential=ID,SignedHeaders=NAME;NAME,Signature=HEX.")
	sorted           = incomplete("SignedHeaders are names in lower case, sorted, each once.")
)

// acs3Refused are requests that are refused: what differs from one that passes before it
// is signed, and after.
var acs3Refused = []struct {
	name          string
	key           string
	action, body  string
	change        func(*edge.Config)
	happened      func(*testing.T, *site)
	before, after func(*http.Request)
	want          Error
}{
	// What is missing.
	{name: "no Authorization", after: del("Authorization"), want: missingSignature},
	{name: "neither Authorization nor hash", after: func(r *http.Request) { r.Header.Del("Authorization"); r.Header.Del(headerContentHash) }, want: missingAction},
	{name: "no Credential", after: rewrite("Credential=id,", ""), want: form},
	{name: "empty Credential", after: rewrite("Credential=id,", "Credential=,"), want: missingKeyID},
	{name: "no SignedHeaders", after: rewrite("SignedHeaders=", "Signed="), want: form},
	{name: "no Signature", after: rewrite("Signature=", "Sign="), want: form},
	{name: "no action", before: del(headerAction), want: missingAction},
	{name: "no version", before: del(headerVersion), want: missingVersion},
	{name: "no date", before: del(headerDate), want: missing(headerDate)},
	{name: "no nonce", before: del(headerNonce), want: missing(headerNonce)},
	{name: "no hash", after: del(headerContentHash), want: missing(headerContentHash)},

	// What has another form.
	{name: "another kind of Authorization", after: set("Authorization", "Basic aWQ6c2VjcmV0"), want: form},
	{name: "no more than the algorithm", after: set("Authorization", string(ACS3)), want: form},
	{name: "a member twice", after: rewrite("Credential=id", "Credential=id,Credential=id"), want: form},
	{name: "a member too many", after: rewrite("Credential=id", "Credential=id,Expires=1"), want: form},
	{name: "algorithm SM3", after: rewrite(string(ACS3), "ACS3-HMAC-SM3"), want: methodInvalid},
	{name: "algorithm RSA", after: rewrite(string(ACS3), "ACS3-RSA-SHA256"), want: methodInvalid},
	{name: "algorithm of the older signature", after: rewrite(string(ACS3), "HMAC-SHA1"), want: methodInvalid},
	{name: "names not sorted", after: func(r *http.Request) {
		acs3Over(r, "x-acs-action", "host", headerContentHash, headerDate, headerNonce, headerVersion)
	}, want: sorted},
	{name: "a name twice", after: func(r *http.Request) {
		acs3Over(r, "host", "host", headerAction, headerContentHash, headerDate, headerNonce, headerVersion)
	}, want: sorted},
	{name: "names with capitals", after: func(r *http.Request) {
		acs3Over(r, "Host", headerAction, headerContentHash, headerDate, headerNonce, headerVersion)
	}, want: sorted},
	{name: "a header that is not there", after: func(r *http.Request) {
		acs3Over(r, "date", "host", headerAction, headerContentHash, headerDate, headerNonce, headerVersion)
	}, want: incomplete(`The header "date" is named in SignedHeaders and does not come once.`)},
	{name: "date with a zone", before: set(headerDate, "2026-03-01T20:00:00+08:00"), want: illegalTimestamp},
	{name: "date that is none", before: set(headerDate, "now"), want: illegalTimestamp},
	{name: "date too old", before: set(headerDate, "2026-03-01T10:59:59Z"), want: illegalTimestamp},
	{name: "date too new", before: set(headerDate, "2026-03-01T13:00:01Z"), want: illegalTimestamp},
	{name: "nonce too long", before: set(headerNonce, strings.Repeat("n", edge.MaxNonce+1)), want: invalid("SignatureNonce")},
	{name: "nonce used", before: set(headerNonce, "once"), happened: nonceUsed(ACS3), want: nonceUsedError},
	{name: "nonce used by the older signature", before: set(headerNonce, "once"), happened: nonceUsed(HMACSHA1), want: nonceUsedError},
	{name: "unknown action", action: "NoSuchAction", want: unknownAction},
	{name: "unsupported action", action: "CreateGroup", before: set(headerVersion, "2015-05-01"), want: *unsupportedOperation()},
	{name: "another version", before: set(headerVersion, "2016-04-29"), want: unknownAction},
	{name: "two actions", before: target("POST", "Action=DeleteVpc&VpcId=v"), want: invalid("Action")},
	{name: "two versions", before: target("POST", "version=2014-05-26"), want: invalid("Version")},
	{name: "two actions, in the body", body: "Action=DeleteVpc", want: invalid("Action")},
	{name: "names of two cases", before: target("POST", "VpcId=a&vpcid=b"), want: invalid("vpcid")},
	{name: "names of two cases, in query and body", before: target("POST", "VpcId=a"), body: "vpcId=b", want: invalid("vpcId")},

	// What is not covered by the signature, or comes twice.
	{name: "host not signed", after: over(headerHost), want: incomplete(`The header "host" is not named in SignedHeaders.`)},
	{name: "action not signed", after: over(headerAction), want: incomplete(`The header "x-acs-action" is not named in SignedHeaders.`)},
	{name: "version not signed", after: over(headerVersion), want: incomplete(`The header "x-acs-version" is not named in SignedHeaders.`)},
	{name: "date not signed", after: over(headerDate), want: incomplete(`The header "x-acs-date" is not named in SignedHeaders.`)},
	{name: "nonce not signed", after: over(headerNonce), want: incomplete(`The header "x-acs-signature-nonce" is not named in SignedHeaders.`)},
	{name: "hash not signed", after: over(headerContentHash), want: incomplete(`The header "x-acs-content-sha256" is not named in SignedHeaders.`)},
	{name: "type of the body not signed", body: "a=1", after: over(headerContentType), want: incomplete(`The header "content-type" is not named in SignedHeaders.`)},
	{name: "a header added", after: set("X-Acs-Anything", "x"), want: incomplete(`The header "x-acs-anything" is not named in SignedHeaders.`)},
	{name: "a token added", after: set(headerToken, "x"), want: incomplete(`The header "x-acs-security-token" is not named in SignedHeaders.`)},
	{name: "nothing signed", after: func(r *http.Request) { acs3Over(r, "host") }, want: incomplete(`The header "x-acs-action" is not named in SignedHeaders.`)},
	{name: "action twice", after: func(r *http.Request) { r.Header.Add(headerAction, "DeleteVpc") }, want: incomplete(`The header "x-acs-action" comes more than once.`)},
	{name: "hash twice", after: func(r *http.Request) { r.Header.Add(headerContentHash, contentHash(nil)) }, want: incomplete(`The header "x-acs-content-sha256" comes more than once.`)},
	{name: "Authorization twice", after: func(r *http.Request) { r.Header.Add("Authorization", r.Header.Get("Authorization")) }, want: incomplete(`The header "authorization" comes more than once.`)},
	{name: "Authorization of two kinds", after: func(r *http.Request) { r.Header.Add("Authorization", "Basic x") }, want: incomplete(`The header "authorization" comes more than once.`)},

	// What does not verify.
	{name: "another's secret", key: "forger", want: incomplete("")},
	{name: "signature cut short", after: func(r *http.Request) {
		v := r.Header.Get("Authorization")
		r.Header.Set("Authorization", v[:len(v)-1])
	}, want: incomplete("")},
	{name: "signature in capitals", after: func(r *http.Request) {
		v := r.Header.Get("Authorization")
		i := strings.LastIndex(v, "=")
		r.Header.Set("Authorization", v[:i]+strings.ToUpper(v[i:]))
	}, want: incomplete("")},
	{name: "no signature", after: func(r *http.Request) {
		v := r.Header.Get("Authorization")
		r.Header.Set("Authorization", v[:strings.LastIndex(v, "=")+1])
	}, want: incomplete("")},
	{name: "another action", after: set(headerAction, "DeleteVpc"), want: incomplete("")},
	{name: "another date", after: set(headerDate, "2026-03-01T12:00:01Z"), want: incomplete("")},
	{name: "another nonce", after: set(headerNonce, "another"), want: incomplete("")},
	// To trim what is signed more than what is used would let a request pass again.
	{name: "another nonce, but for white space", after: func(r *http.Request) { r.Header.Set(headerNonce, r.Header.Get(headerNonce)+"\u00a0") }, want: incomplete("")},
	{name: "another host", after: func(r *http.Request) { r.Host = "another.test" }, want: incomplete("")},
	{name: "another method", after: func(r *http.Request) { r.Method = "GET" }, want: incomplete("")},
	{name: "another value", before: target("POST", "VpcId=a"), after: target("POST", "VpcId=b"), want: incomplete("")},
	{name: "a parameter added", after: target("POST", "VpcId=a"), want: incomplete("")},
	{name: "a parameter before another of its name", before: target("POST", "VpcId=a"), after: target("POST", "VpcId=b&VpcId=a"), want: incomplete("")},
	{name: "a parameter moved to the body", body: "VpcId=a", after: func(r *http.Request) {
		r.URL.RawQuery, r.Body = "VpcId=a", http.NoBody
	}, want: invalid(headerContentHash)},
	{name: "a body added", after: func(r *http.Request) {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		r.Body = io.NopCloser(strings.NewReader("VpcId=a"))
		over()(r)
	}, want: incomplete(`The header "content-type" is not named in SignedHeaders.`)},
	{name: "another body", body: "VpcId=a", after: func(r *http.Request) { r.Body = io.NopCloser(strings.NewReader("VpcId=b")) }, want: invalid(headerContentHash)},
	{name: "another body, and its hash", body: "VpcId=a", after: func(r *http.Request) {
		r.Body = io.NopCloser(strings.NewReader("VpcId=b"))
		r.Header.Set(headerContentHash, contentHash([]byte("VpcId=b")))
	}, want: incomplete("")},
	{name: "a body that is not hashed", body: "VpcId=a", after: func(r *http.Request) {
		r.Header.Set(headerContentHash, "UNSIGNED-PAYLOAD")
		over()(r)
	}, want: invalid(headerContentHash)},
	{name: "hash in capitals", after: func(r *http.Request) {
		r.Header.Set(headerContentHash, strings.ToUpper(contentHash(nil)))
		over()(r)
	}, want: invalid(headerContentHash)},

	// Both signatures.
	{name: "Signature beside", before: target("POST", "Signature=x"), want: incomplete(`The parameter "Signature" is of another signature than the header Authorization; leave it out.`)},
	{name: "signature beside", before: target("POST", "signature=x"), want: incomplete(`The parameter "Signature" is of another signature than the header Authorization; leave it out.`)},
	{name: "Signature beside, not signed", after: target("POST", "Signature=x"), want: incomplete(`The parameter "Signature" is of another signature than the header Authorization; leave it out.`)},
	{name: "AccessKeyId beside", before: target("POST", "AccessKeyId=id"), want: incomplete(`The parameter "AccessKeyId" is of another signature than the header Authorization; leave it out.`)},
	{name: "SignatureNonce in the body", body: "SignatureNonce=1", want: incomplete(`The parameter "SignatureNonce" is of another signature than the header Authorization; leave it out.`)},
	{name: "TimeStamp beside", before: target("POST", "TimeStamp=2026-03-01T12:00:00Z"), want: incomplete(`The parameter "Timestamp" is of another signature than the header Authorization; leave it out.`)},
	{name: "SignatureMethod beside", before: target("POST", "SignatureMethod=HMAC-SHA1"), want: incomplete(`The parameter "SignatureMethod" is of another signature than the header Authorization; leave it out.`)},
	{name: "SignatureVersion beside", before: target("POST", "SignatureVersion=1.0"), want: incomplete(`The parameter "SignatureVersion" is of another signature than the header Authorization; leave it out.`)},

	// Whose key it is.
	{name: "unknown key", key: "nobody", want: Error{400, "InvalidAccessKeyId.NotFound", "The Access Key ID provided does not exist in our records."}},
	{name: "disabled key", key: "disabled", want: Error{403, "Forbidden.AccessKeyDisabled", "The Access Key is disabled."}},
	{name: "key that only describes", key: "reader", action: "DeleteVpc", want: Error{403, "InvalidAction", "Specified action is not valid."}},
	{name: "another account's resources", before: target("POST", "OwnerId=1002"), want: Error{400, "InvalidOwnerId", "The specified OwnerId is not valid."}},
	{name: "a token", before: set(headerToken, "CAIS"), want: tokenUnknown},
	{name: "a token and its key", before: func(r *http.Request) { r.Header.Set(headerToken, "CAIS"); r.Header.Set(headerKeyID, "id") }, want: tokenUnknown},
	{name: "a token among the parameters", before: target("POST", "SecurityToken=CAIS"), want: tokenUnknown},
	{name: "another key beside", before: set(headerKeyID, "other"), want: incomplete("x-acs-accesskey-id is not the Credential of Authorization.")},

	// How often.
	{name: "throttled key", change: func(c *edge.Config) { c.PerKey = edge.Rate{PerSecond: 0.001, Burst: 1} }, happened: nonceUsed(HMACSHA1), want: throttling},
	{name: "throttled service", change: func(c *edge.Config) { c.Total = edge.Rate{PerSecond: 0.001, Burst: 1} }, happened: nonceUsed(HMACSHA1), want: throttling},

	// The rest of the site.
	{name: "HTTP method", before: target("PUT", ""), want: Error{403, "UnsupportedHTTPMethod", "This http method is not supported."}},
	{name: "another path", before: func(r *http.Request) { r.URL.Path = "/vpcs" }, want: *notFound()},
	{name: "a JSON body", body: `{"VpcId":"a"}`, before: set("Content-Type", "application/json"), want: *wrongMediaType()},
	{name: "a malformed body", body: "a=%", want: *malformed()},
	{name: "a body too large", body: strings.Repeat("x", edge.MaxBody+1), want: *tooLarge()},
	{name: "unavailable", happened: failing(context.DeadlineExceeded), want: Error{500, "ServiceUnavailable", "The request has failed due to a temporary failure of the server."}},
}

func TestACS3Refusals(t *testing.T) {
	for _, c := range acs3Refused {
		for _, format := range []Format{FormatJSON, FormatXML} {
			name := map[Format]string{FormatJSON: "JSON", FormatXML: "XML"}[format]
			t.Run(c.name+" "+name, func(t *testing.T) {
				s := newSite(t, c.change)
				if c.happened != nil {
					c.happened(t, s)
				}
				called := len(s.actions.callers)
				key, action := or(c.key, "id"), or(c.action, "DescribeRegions")
				secret := testKeys[key].Secret
				if key == "forger" {
					key = "id"
				}
				r := acs3Request(s, action, "/", c.body)
				if format == FormatXML {
					r.Header.Set("Accept", "text/html, application/xml;q=0.9")
				}
				if c.before != nil {
					c.before(r)
				}
				acs3Sign(t, r, key, secret)
				if c.after != nil {
					c.after(r)
				}
				want := format
				if c.name == "neither Authorization nor hash" {
					want = FormatXML // nothing tells that it was of this scheme
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				e := refusalOf(t, want, w.Body.Bytes())
				if got := documentedWords(t, Error{w.Code, e.Code, e.Message}, c.want); got != c.want {
					t.Errorf("got %+v\nwant %+v", got, c.want)
				}
				if got := w.Header().Get("Content-Type"); got != want.ContentType() || e.RequestID == "" || e.HostID != r.Host {
					t.Errorf("Content-Type %s, RequestId %q, HostId %q", got, e.RequestID, e.HostID)
				}
				if len(s.actions.callers) != called && c.name != "unavailable" {
					t.Error("the action was called all the same")
				}
			})
		}
	}
}

func or(v, usual string) string {
	if v == "" {
		return usual
	}
	return v
}

// TestACS3Calls: the forms in which clients write a call.
func TestACS3Calls(t *testing.T) {
	const text = "Note=a+b%2B%2a%7e%2F%E7%BD%91%26%3D&Empty=&Tag.1.Key=k"
	for name, c := range map[string]struct {
		target, body string
		before       func(*http.Request)
		xml          bool // the answer
	}{
		"query":                             {target: "/?" + text},
		"GET":                               {target: "/?" + text, before: func(r *http.Request) { r.Method = "GET" }},
		"form":                              {target: "/", body: text},
		"both":                              {target: "/?A=1", body: text},
		"action and version in the query":   {target: "/?Action=DescribeRegions&Version=" + Version, before: func(r *http.Request) { r.Header.Del(headerAction); r.Header.Del(headerVersion) }},
		"in both":                           {target: "/?Action=DescribeRegions&Version=" + Version},
		"in the body":                       {target: "/", body: "Action=DescribeRegions&Version=" + Version, before: func(r *http.Request) { r.Header.Del(headerAction); r.Header.Del(headerVersion) }},
		"Format":                            {target: "/?Format=XML", xml: true},
		"Format before Accept":              {target: "/?Format=xml", before: set("Accept", "application/json"), xml: true},
		"Accept":                            {target: "/", before: set("Accept", "text/xml"), xml: true},
		"Accept anything":                   {target: "/", before: set("Accept", "*/*")},
		"further headers":                   {target: "/", before: func(r *http.Request) { r.Header.Set("X-Acs-Credentials-Provider", "static_ak") }},
		"a type without a body":             {target: "/", before: set("Content-Type", "application/json")},
		"date an hour old":                  {target: "/", before: set(headerDate, "2026-03-01T11:00:00Z")},
		"no path":                           {target: "/", before: func(r *http.Request) { r.URL.Path = "" }},
		"own account, and a name repeated":  {target: "/?OwnerId=1001&A=1&A=2"},
		"action in another case":            {target: "/", before: set(headerAction, "describeregions")},
		"a name that comes again in a body": {target: "/?A=1", body: "A=2"},
	} {
		t.Run(name, func(t *testing.T) {
			s := newSite(t, nil)
			r := acs3Request(s, "DescribeRegions", c.target, c.body)
			if c.before != nil {
				c.before(r)
			}
			acs3Sign(t, r, "id", "secret")
			w := httptest.NewRecorder()
			s.ServeHTTP(w, r)
			format := FormatJSON
			if c.xml {
				format = FormatXML
			}
			if w.Code != 200 || w.Header().Get("Content-Type") != format.ContentType() || len(s.actions.callers) != 1 {
				t.Fatalf("HTTP %d, %s: %s", w.Code, w.Header().Get("Content-Type"), w.Body)
			}
			if got := s.actions.callers[0]; got.Account != "1001" || got.AccessKeyID != "id" || got.Action != "DescribeRegions" || got.Nonce != r.Header.Get(headerNonce) || got.Signed.Format(timestampLayout) != r.Header.Get(headerDate) {
				t.Errorf("caller %+v", got)
			}
		})
	}
}

// TestACS3Client: Client signs by it, GET and POST.
func TestACS3Client(t *testing.T) {
	s := newSite(t, nil)
	for _, method := range []string{"GET", "POST", ""} {
		c := s.client("id")
		c.Method, c.Algorithm, c.NewNonce = method, ACS3, func() string { return "client" + method }
		body, err := c.Call(t.Context(), "DescribeRegions", map[string]string{"Note": "a b+*~/网&=", "Empty": ""})
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		if want := fmt.Sprintf(`{"RequestId":"REQUEST-%d","Regions":{"Region":[]}}`, s.ids); !sameJSON(t, string(body), want) {
			t.Errorf("answer %s, want %s", body, want)
		}
	}
	c := s.client("id")
	c.Algorithm, c.AccessKeySecret = ACS3, "guess"
	if _, err := c.Call(t.Context(), "DescribeRegions", nil); err == nil || !strings.Contains(err.Error(), "IncompleteSignature") {
		t.Errorf("with another secret: %v", err)
	}
}

// TestOlderSignatureIgnoresHeaders: clients that make the older signature send headers of
// the newer one, which it does not cover, and which count for nothing.
func TestOlderSignatureIgnoresHeaders(t *testing.T) {
	s := newSite(t, nil)
	c := s.client("id")
	c.HTTP = &http.Client{Transport: headersAdded{s, map[string]string{
		headerAction: "DeleteVpc", headerVersion: "2014-05-26", headerDate: "2001-01-01T00:00:00Z", headerNonce: "n", "Accept": "application/xml", "Authorization": "Basic x",
	}}}
	if _, err := c.Call(t.Context(), "DescribeRegions", nil); err != nil {
		t.Fatal(err)
	}
	if got := s.actions.callers; len(got) != 1 || got[0].Action != "DescribeRegions" || got[0].Nonce != "id-1" || !got[0].Signed.Equal(s.now) {
		t.Errorf("callers %+v", got)
	}
	// One that has anything of the newer signature itself is held to that.
	for _, h := range []map[string]string{{headerContentHash: contentHash(nil)}, {"Authorization": string(ACS3) + " x"}} {
		c.HTTP = &http.Client{Transport: headersAdded{s, h}}
		if _, err := c.Call(t.Context(), "DescribeRegions", nil); err == nil || !strings.Contains(err.Error(), "IncompleteSignature") {
			t.Errorf("with %v: %v", h, err)
		}
	}
	if len(s.actions.callers) != 1 {
		t.Errorf("callers %+v", s.actions.callers)
	}
}

// headersAdded sends requests with more headers than the client knows.
type headersAdded struct {
	*site
	headers map[string]string
}

func (h headersAdded) RoundTrip(r *http.Request) (*http.Response, error) {
	for name, value := range h.headers {
		r.Header.Set(name, value)
	}
	return h.site.RoundTrip(r)
}

// TestTokensAreRefused: by the older signature, too.
func TestTokensAreRefused(t *testing.T) {
	s := newSite(t, nil)
	_, err := s.client("id").Call(t.Context(), "DescribeRegions", map[string]string{"SecurityToken": "CAIS"})
	if err == nil || !strings.Contains(err.Error(), "InvalidSecurityToken.Malformed") || len(s.actions.callers) > 0 {
		t.Errorf("a token: %v", err)
	}
}

// TestACS3Fingerprint: a call is the same one, for its ClientToken, however its common
// parameters are written; and another one with another parameter.
func TestACS3Fingerprint(t *testing.T) {
	prints := func(target, body string, before func(*http.Request)) string {
		s := newSite(t, nil)
		r := acs3Request(s, "DescribeRegions", target, body)
		if before != nil {
			before(r)
		}
		acs3Sign(t, r, "id", "secret")
		s.ServeHTTP(httptest.NewRecorder(), r)
		if len(s.actions.callers) != 1 {
			t.Fatalf("%s: not called", target)
		}
		return s.actions.callers[0].Fingerprint
	}
	one := prints("/?A=1&B=2", "", nil)
	for name, same := range map[string]string{
		"later, with another nonce": prints("/?A=1&B=2", "", func(r *http.Request) {
			r.Header.Set(headerNonce, "another")
			r.Header.Set(headerDate, "2026-03-01T12:30:00Z")
		}),
		"in another order":    prints("/?B=2&A=1", "", nil),
		"in a body":           prints("/?B=2", "A=1", nil),
		"action in the query": prints("/?B=2&A=1&Action=DescribeRegions", "", del(headerAction)),
	} {
		if same != one {
			t.Errorf("%s it is another call", name)
		}
	}
	if prints("/?A=1&B=3", "", nil) == one {
		t.Error("with another parameter it is the same call")
	}
}

// TestACS3Authorization reads what clients write.
func TestACS3Authorization(t *testing.T) {
	for text, want := range map[string]authorization{
		"ACS3-HMAC-SHA256 Credential=a,SignedHeaders=host;x-acs-date,Signature=ff":    {ACS3, "a", []string{"host", "x-acs-date"}, "ff"},
		"ACS3-HMAC-SHA256 Credential=a, SignedHeaders=host, Signature=ff":             {ACS3, "a", []string{"host"}, "ff"},
		"ACS3-HMAC-SHA256 Signature=ff,SignedHeaders=host,Credential=a=b":             {ACS3, "a=b", []string{"host"}, "ff"},
		"ACS3-HMAC-SHA256  Credential=a ,SignedHeaders=host;;x , Signature=ff=  ":     {ACS3, "a", []string{"host", "", "x"}, "ff="},
		"ACS3-RSA-SHA256 Credential=a,SignedHeaders=host,Signature=MIICdg+/==":        {"ACS3-RSA-SHA256", "a", []string{"host"}, "MIICdg+/=="},
		"ACS3-HMAC-SHA256 Credential=,SignedHeaders=,Signature=":                      {ACS3, "", []string{""}, ""},
		"ACS3-HMAC-SHA256 Credential=网,SignedHeaders=x-acs-action,Signature=\x00\xff": {ACS3, "网", []string{"x-acs-action"}, "\x00\xff"},
	} {
		got, ok := parseAuthorization(text)
		if !ok || got.algorithm != want.algorithm || got.keyID != want.keyID || !slices.Equal(got.signed, want.signed) || got.signature != want.signature {
			t.Errorf("%q: %+v, %v", text, got, ok)
		}
	}
	for _, text := range []string{"", "ACS3-HMAC-SHA256", "ACS3-HMAC-SHA256 ", "ACS3-HMAC-SHA256 Credential=a", "ACS3-HMAC-SHA256 Credential=a,SignedHeaders=h",
		"ACS3-HMAC-SHA256 Credential=a,SignedHeaders=h,Signature=s,", "ACS3-HMAC-SHA256 credential=a,SignedHeaders=h,Signature=s"} {
		if a, ok := parseAuthorization(text); ok {
			t.Errorf("%q: %+v", text, a)
		}
	}
}

func BenchmarkACS3Verify(b *testing.B) {
	s := &site{now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	r := acs3Request(s, "DescribeForwardTableEntries", "/?RegionId=cn-hangzhou&ForwardTableId=ftb-11tc6xgmv&PageSize=50&PageNumber=3", "")
	acs3Sign(b, r, "id", "secret")
	f := NewFamily(nil, nil)
	b.ReportAllocs()
	for b.Loop() {
		c := f.Begin(&edge.Request{Request: r, Received: s.now}).(*call)
		if e := c.read(); e != nil {
			b.Fatal(e)
		}
		if _, e := c.claim(); e != nil {
			b.Fatal(e)
		}
		if !c.Verify("secret") {
			b.Fatal("does not verify")
		}
	}
}
