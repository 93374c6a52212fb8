package aliyun

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"testing"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
)

// publicACS3 is what the public SDK writes into Authorization of a request. It encodes no
// names of parameters, so that these are to be plain; of several headers of a name it
// knows one.
func publicACS3(method string, p *Params, h http.Header, host, bodyHash, keyID, secret string) string {
	query, headers := map[string]*string{}, map[string]*string{"host": &host}
	for name, value := range p.All() {
		query[name] = &value
	}
	for name := range h {
		headers[name] = dara.String(h.Get(name))
	}
	return dara.StringValue(openapi.GetAuthorization(&dara.Request{Method: &method, Pathname: dara.String("/"), Query: query, Headers: headers},
		dara.String(string(ACS3)), &bodyHash, &keyID, &secret))
}

// FuzzACS3: whatever is sent, the signature is that of the public SDK; the request passes
// with it, in whatever spelling its query is sent, and fails with one bit of it changed.
func FuzzACS3(f *testing.F) {
	f.Add("POST", "Action=A&a=%20+b&a=2&%E7%BD%91=*~&=&&x", "", "secret", uint(0))
	f.Add("GET", "a=%25&b=%26%3D&A=%00%ff", "", "s&", uint(7))
	f.Add("POST", "VpcId=%7e%2a!'()", "Tag.1.Key=a+b", "", uint(77))
	f.Fuzz(func(t *testing.T, method, query, body, secret string, bit uint) {
		p, err := ParseParams(query)
		if err != nil || method != "GET" && method != "POST" {
			return
		}
		s := newSite(t, nil)
		s.Server.Keys = keyTable{"id": {Account: "1001", Secret: secret}}
		newRequest := func(query string) *http.Request {
			r := acs3Request(s, "DescribeRegions", "/", body)
			r.Method, r.URL.RawQuery = method, query
			SignACS3(r, p, []byte(body), "id", secret)
			return r
		}
		r := newRequest(query)
		plain := true
		for name := range p.All() {
			plain = plain && name != "" && strings.Trim(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-_~") == ""
		}
		if got, want := r.Header.Get("Authorization"), publicACS3(method, p, r.Header, r.Host, contentHash([]byte(body)), "id", secret); plain && got != want {
			t.Errorf("%s\nthe public SDK writes\n%s", got, want)
		}

		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		verified := len(s.actions.callers) == 1
		if !verified && bytes.Contains(w.Body.Bytes(), []byte("does not conform to Aliyun standards.\"")) {
			t.Errorf("its own signature does not verify: %s", w.Body)
		}
		if !verified {
			return // something else is wrong with it
		}
		again := newRequest(string(p.Encode()))
		again.Header.Set(headerNonce, "again")
		SignACS3(again, p, []byte(body), "id", secret)
		w = httptest.NewRecorder()
		s.ServeHTTP(w, again)
		if len(s.actions.callers) != 2 {
			t.Errorf("in another spelling it is refused: %s", w.Body)
		}

		// One bit of what is signed, or of the signature.
		changed := newRequest(query)
		changed.Header.Set(headerNonce, "changed")
		SignACS3(changed, p, []byte(body), "id", secret)
		parts := []string{headerAction, headerVersion, headerDate, headerNonce, headerContentHash, "Authorization"}
		name := parts[bit%uint(len(parts))]
		value := []byte(changed.Header.Get(name))
		at := bit / uint(len(parts)) % uint(8*len(value))
		value[at/8] ^= 1 << (at % 8)
		changed.Header.Set(name, string(value))
		w = httptest.NewRecorder()
		s.ServeHTTP(w, changed)
		if len(s.actions.callers) != 2 {
			t.Errorf("with bit %d of %s changed it passes", at, name)
		}
	})
}

// FuzzACS3Headers: nothing passes that was not signed with the secret, whatever
// Authorization, SignedHeaders and parameters are made of.
func FuzzACS3Headers(f *testing.F) {
	f.Add("ACS3-HMAC-SHA256 Credential=id,SignedHeaders=host,Signature=00", "x-acs-date", "2026-03-01T12:00:00Z", "Signature=x", "")
	f.Add("ACS3-HMAC-SHA256 Credential=id,SignedHeaders=;;,Signature=", "x-acs-content-sha256", "", "AccessKeyId=id&SignatureMethod=HMAC-SHA1", "a=b")
	f.Add("ACS3-", "authorization", "ACS3-HMAC-SHA256 ", "Action=DescribeRegions&Version=2016-04-28", "Format=XML")
	s := newSite(f, nil)
	f.Fuzz(func(t *testing.T, authorization, name, value, query, body string) {
		if _, err := url.ParseQuery(query); err != nil {
			return
		}
		r := acs3Request(s, "DescribeRegions", "/", body)
		r.URL.RawQuery = query
		r.Header.Set(headerContentHash, contentHash([]byte(body)))
		r.Header.Set("Authorization", authorization)
		r.Header.Add(name, value)
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		if w.Code < 400 || len(s.actions.callers) > 0 {
			t.Errorf("HTTP %d: %s", w.Code, w.Body)
		}
		s.log.Reset()
	})
}
