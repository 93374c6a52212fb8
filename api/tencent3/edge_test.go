package tencent3

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/api/edge"
	"sluice/controlplane/planetest"
)

// posted is a request that is signed by TC3-HMAC-SHA256, as the public clients send it.
func (w *world) posted(key, action, body string, at time.Time) *http.Request {
	w.t.Helper()
	r, err := http.NewRequest(http.MethodPost, w.site.URL+"/", strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	stamp, day := seconds10(at), at.UTC().Format(time.DateOnly)
	for name, value := range map[string]string{"Content-Type": "application/json", "X-TC-Action": action, "X-TC-Version": Version, "X-TC-Region": planetest.Region, "X-TC-Timestamp": stamp} {
		r.Header.Set(name, value)
	}
	canonical := "POST\n/\n\ncontent-type:application/json\nhost:" + w.host() + "\n\ncontent-type;host\n" + hashed(body)
	scope := day + "/vpc/tc3_request"
	mac := []byte("TC3" + testKeys[key].Secret)
	for _, part := range []string{day, "vpc", "tc3_request"} {
		mac = sum(sha256.New, mac, part)
	}
	signature := hex.EncodeToString(sum(sha256.New, mac, tc3+"\n"+stamp+"\n"+scope+"\n"+hashed(canonical)))
	r.Header.Set("Authorization", tc3+" Credential="+key+"/"+scope+", SignedHeaders=content-type;host, Signature="+signature)
	return r
}

func (w *world) do(r *http.Request) (code, message string) {
	w.t.Helper()
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	code, message, _ = w.read(answer)
	return code, message
}

// TestAuthentication: what is wrong about who asks, by the documented codes, for both ways to
// sign.
func TestAuthentication(t *testing.T) {
	w := newWorld(t)
	now := time.Now()
	for _, c := range []struct {
		name, code string
		key        string
		at         time.Time
		change     func(*http.Request)
	}{
		{"good", "OK", "AKIDalice", now, nil},
		{"unknown key", "AuthFailure.SecretIdNotFound", "AKIDnobody", now, nil},
		{"disabled key", "AuthFailure.InvalidSecretId", "AKIDdisabled", now, nil},
		{"a user without rights", "UnauthorizedOperation", "AKIDuser", now, nil},
		{"late", "AuthFailure.SignatureExpire", "AKIDalice", now.Add(-6 * time.Minute), nil},
		{"early", "AuthFailure.SignatureExpire", "AKIDalice", now.Add(6 * time.Minute), nil},
		{"another body", "AuthFailure.SignatureFailure", "AKIDalice", now, func(r *http.Request) {
			body := `{"Limit": "2"}`
			r.Body, r.ContentLength = io.NopCloser(strings.NewReader(body)), int64(len(body))
		}},
		{"another time", "AuthFailure.SignatureFailure", "AKIDalice", now, func(r *http.Request) { r.Header.Set("X-TC-Timestamp", seconds10(now.Add(time.Second))) }},
		{"another day", "AuthFailure.SignatureFailure", "AKIDalice", now, func(r *http.Request) {
			r.Header.Set("Authorization", strings.ReplaceAll(r.Header.Get("Authorization"), now.UTC().Format(time.DateOnly), "2020-01-01"))
		}},
		{"another query", "InvalidParameter", "AKIDalice", now, func(r *http.Request) { r.URL.RawQuery = "Limit=1" }},
		{"host not signed", "AuthFailure.SignatureFailure", "AKIDalice", now, func(r *http.Request) {
			r.Header.Set("Authorization", strings.Replace(r.Header.Get("Authorization"), "content-type;host", "content-type", 1))
		}},
		{"no credential", "AuthFailure.SignatureFailure", "AKIDalice", now, func(r *http.Request) { r.Header.Set("Authorization", tc3) }},
		{"no time", "MissingParameter", "AKIDalice", now, func(r *http.Request) { r.Header.Del("X-TC-Timestamp") }},
		{"no time that is one", "InvalidParameter", "AKIDalice", now, func(r *http.Request) { r.Header.Set("X-TC-Timestamp", "soon") }},
		{"a temporary key", "AuthFailure.TokenFailure", "AKIDalice", now, func(r *http.Request) { r.Header.Set("X-TC-Token", "t") }},
		{"another version", "NoSuchVersion", "AKIDalice", now, func(r *http.Request) { r.Header.Set("X-TC-Version", "2020-01-01") }},
		{"no version", "MissingParameter", "AKIDalice", now, func(r *http.Request) { r.Header.Del("X-TC-Version") }},
		{"no region", "MissingParameter", "AKIDalice", now, func(r *http.Request) { r.Header.Del("X-TC-Region") }},
		{"no action", "MissingParameter", "AKIDalice", now, func(r *http.Request) { r.Header.Del("X-TC-Action") }},
		{"unknown action", "InvalidAction", "AKIDalice", now, func(r *http.Request) { r.Header.Set("X-TC-Action", "DescribeVpces") }},
		{"another path", "InvalidParameter", "AKIDalice", now, func(r *http.Request) { r.URL.Path = "/v2/index.php" }},
		{"another method", "InvalidParameter", "AKIDalice", now, func(r *http.Request) { r.Method = http.MethodPut }},
		{"no JSON", "InvalidParameter", "AKIDalice", now, func(r *http.Request) { r.Body, r.ContentLength = io.NopCloser(strings.NewReader("{")), 1 }},
	} {
		r := w.posted(c.key, "DescribeVpcs", `{"Limit": "1"}`, c.at)
		if c.change != nil {
			c.change(r)
		}
		if code, message := w.do(r); code != c.code || strings.Contains(message, "secret") {
			t.Errorf("%s: %s %q, want %s", c.name, code, message, c.code)
		}
	}

	// What may only be read, by a key that describes.
	if code, _ := w.do(w.posted("AKIDreader", "DescribeVpcs", `{}`, now)); code != "OK" {
		t.Errorf("a key that describes: %s", code)
	}
	if code, _ := w.do(w.posted("AKIDreader", "CreateVpc", `{"VpcName": "x", "CidrBlock": "10.8.0.0/16"}`, now)); code != "AuthFailure.UnauthorizedOperation" {
		t.Errorf("a key that describes writes: %s", code)
	}

	for _, c := range []struct {
		name, code string
		change     []string
	}{
		{"unknown key", "AuthFailure.SecretIdNotFound", []string{"SecretId", "AKIDnobody"}},
		{"late", "AuthFailure.SignatureExpire", []string{"Timestamp", seconds10(now.Add(-2 * time.Hour))}},
		{"no nonce", "InvalidParameter", []string{"Nonce", "0"}},
		{"no nonce that is one", "InvalidParameter", []string{"Nonce", "-1"}},
		{"another version", "NoSuchVersion", []string{"Version", "2017-03-13"}},
		{"a temporary key", "AuthFailure.TokenFailure", []string{"Token", "t"}},
		{"unknown parameter", "UnknownParameter", []string{"VpcId", "vpc-1"}},
	} {
		if code, message, _ := w.call("DescribeVpcs", c.change...); code != c.code {
			t.Errorf("%s: %s %q, want %s", c.name, code, message, c.code)
		}
	}
	for _, missing := range []string{"SecretId", "Timestamp", "Nonce", "Action", "Version", "Region"} {
		if code, message, _ := w.call("DescribeVpcs", missing, ""); code != "MissingParameter" || !strings.Contains(message, missing) {
			t.Errorf("without %s: %s %q", missing, code, message)
		}
	}
}

// TestReplayAndTampering: a signed form is answered once, and not at all where a value, a name
// or the order of a list is another than the one that was signed.
func TestReplayAndTampering(t *testing.T) {
	w := newWorld(t)
	form := signed(http.MethodPost, w.host(), []pair{
		{"Action", "CreateVpc"}, {"Version", Version}, {"Region", planetest.Region}, {"SecretId", "AKIDalice"}, {"Nonce", "7"}, {"Timestamp", seconds10(time.Now())},
		{"VpcName", "net"}, {"CidrBlock", "10.8.0.0/16"}, {"DnsServers.0", "1.1.1.1"}, {"DnsServers.1", "8.8.8.8"}})
	for _, change := range [][2]string{{"10.8", "10.9"}, {"VpcName", "VPCName"}, {"=1.1.1.1", "=8.8.8.8"}, {"CreateVpc", "CreateVpcs"}, {"net", "n%65t&DomainName=x"}} {
		if code, _, _ := w.send(strings.Replace(form, change[0], change[1], 1)); code == "OK" {
			t.Errorf("with %q for %q it is answered", change[1], change[0])
		}
	}
	if code, message, _ := w.send(form); code != "OK" {
		t.Errorf("the signed one: %s %s", code, message)
	}
	if code, _, _ := w.send(form); code != "AuthFailure.SignatureFailure" {
		t.Errorf("again: %s", code)
	}
	if n := w.DB.View().VPCs.Len(); n != 1 {
		t.Errorf("there are %d VPCs", n)
	}
}

// TestRecognises: of all that comes, what is written in this format.
func TestRecognises(t *testing.T) {
	const form = "application/x-www-form-urlencoded"
	for _, c := range []struct {
		method, url, contentType, authorization, body string
		want                                          bool
	}{
		{"GET", "/?Action=DescribeVpcs&SecretId=x", "", "", "", true},
		{"GET", "/?SecretId=x", "", "", "", true},
		{"GET", "/?Action=DescribeVpcs&AccessKeyId=x", "", "", "", false},
		{"GET", "/?Name=%26SecretId=x", "", "", "", false},
		{"POST", "/", form, "", "Action=DescribeVpcs&SecretId=x", true},
		{"POST", "/", form + "; charset=utf-8", "", "SecretId=x", true},
		{"POST", "/", form, "", "Action=DescribeVpcs&AccessKeyId=x", false},
		{"POST", "/", "application/json", "", `{"SecretId": "x"}`, false},
		{"POST", "/", "application/json", tc3 + " Credential=x", `{}`, true},
		{"POST", "/", form, "ACS3-HMAC-SHA256 Credential=x", "", false},
	} {
		var got bool
		server := edge.NewServer(edge.Config{Families: []edge.Family{recogniser{&got}, NewFamily(nil, nil)}, Keys: keyTable{}})
		r, _ := http.NewRequest(c.method, c.url, bytes.NewReader([]byte(c.body)))
		r.RemoteAddr = "203.0.113.1:1"
		if c.contentType != "" {
			r.Header.Set("Content-Type", c.contentType)
		}
		if c.authorization != "" {
			r.Header.Set("Authorization", c.authorization)
		}
		server.ServeHTTP(discard{}, r)
		if got != c.want {
			t.Errorf("%s %s %s %s: recognised %v", c.method, c.url, c.authorization, c.body, got)
		}
	}
}

// recogniser notes what the family says of a request, and leaves the request to others.
type recogniser struct{ said *bool }

func (recogniser) Name() string { return "none" }
func (r recogniser) Recognises(in *edge.Request) bool {
	*r.said = (*Family)(nil).Recognises(in)
	return false
}
func (recogniser) Begin(*edge.Request) edge.Call  { return nil }
func (recogniser) Refuse(edge.Reason) *edge.Error { return nil }

type discard struct{}

func (discard) Header() http.Header         { return http.Header{} }
func (discard) Write(b []byte) (int, error) { return len(b), nil }
func (discard) WriteHeader(int)             {}

// TestReasons: there is an answer to each reason of the kit, by a code of the document.
func TestReasons(t *testing.T) {
	for _, r := range edge.Reasons() {
		e := reasonError(r)
		if e.Message == "" || !isCommon(e.Code) {
			t.Errorf("reason %d: %v", r, e)
		}
	}
	for reason, code := range faults {
		if !isCommon(code) && !documentedSomewhere(code) {
			t.Errorf("%s is answered by %s, which no document has", reason, code)
		}
	}
}

func isCommon(code string) bool {
	for _, c := range commonErrors {
		if c == code {
			return true
		}
	}
	return false
}

func documentedSomewhere(code string) bool {
	for _, list := range documentedErrors {
		for _, c := range list {
			if c == code {
				return true
			}
		}
	}
	return false
}

// TestLists: a list in an answer is [] where it is empty, as the public clients read it.
func TestLists(t *testing.T) {
	w := newWorld(t)
	_, _, answer := w.call("DescribeVpcs")
	var got map[string]json.RawMessage
	if err := json.Unmarshal(answer, &got); err != nil || string(got["VpcSet"]) != "[]" {
		t.Errorf("%s %v", answer, err)
	}
}
