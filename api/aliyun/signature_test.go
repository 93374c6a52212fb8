package aliyun

import (
	"encoding/json"
	"net/url"
	"os"
	"strings"
	"testing"
)

type signatureExample struct {
	Method     string            `json:"http_method"`
	Secret     string            `json:"access_key_secret"`
	Parameters map[string]string `json:"parameters"`
	Text       string            `json:"string_to_sign"`
	Signature  string            `json:"signature"`
	Printed    string            `json:"signature_printed"`
}

// signatureExamples returns the documents' worked examples.
func signatureExamples(t testing.TB) []signatureExample {
	t.Helper()
	data, err := os.ReadFile("../spec/catalog/aliyun/common.json")
	if err != nil {
		t.Fatal(err)
	}
	var file struct {
		Signature struct {
			Examples []signatureExample `json:"examples"`
		} `json:"signature"`
	}
	if err := json.Unmarshal(data, &file); err != nil {
		t.Fatal(err)
	}
	if len(file.Signature.Examples) != 2 {
		t.Fatalf("%d examples, want 2", len(file.Signature.Examples))
	}
	return file.Signature.Examples
}

func paramsOf(m map[string]string) *Params {
	p := &Params{}
	for name, value := range m {
		p.Add(name, value)
	}
	return p
}

func TestDocumentedSignatures(t *testing.T) {
	for _, x := range signatureExamples(t) {
		p := paramsOf(x.Parameters)
		if got := StringToSign(x.Method, p); got != x.Text {
			t.Errorf("string to sign\n got %s\nwant %s", got, x.Text)
		}
		if !Verify(x.Method, p, x.Secret, HMACSHA1, x.Signature) {
			t.Errorf("signature %s does not verify", x.Signature)
		}
		// The appendix prints the first example's signature under another Version.
		if x.Printed != "" && Verify(x.Method, p, x.Secret, HMACSHA1, x.Printed) {
			t.Errorf("signature %s verifies, and must not", x.Printed)
		}
		for _, change := range []func() bool{
			func() bool { return Verify("POST", p, x.Secret, HMACSHA1, x.Signature) },
			func() bool { return Verify(x.Method, p, x.Secret+"x", HMACSHA1, x.Signature) },
			func() bool { return Verify(x.Method, p, x.Secret, HMACSHA256, x.Signature) },
			func() bool { return Verify(x.Method, p, x.Secret, "HMAC-MD5", x.Signature) },
			func() bool { return Verify(x.Method, p, x.Secret, HMACSHA1, strings.ToLower(x.Signature)) },
			func() bool { return Verify(x.Method, p, x.Secret, HMACSHA1, x.Signature+" ") },
			func() bool { return Verify(x.Method, p, x.Secret, HMACSHA1, "") },
			func() bool { p.Add("Extra", ""); return Verify(x.Method, p, x.Secret, HMACSHA1, x.Signature) },
		} {
			if change() {
				t.Error("a signature verifies for something else")
			}
		}
	}
}

func TestWorkedExampleAsURL(t *testing.T) {
	// VPC API reference, "Signature mechanism": the request as it is sent.
	p, err := ParseParams("SignatureVersion=1.0&Action=DescribeRegions&Format=XML&SignatureNonce=3ee8c1b8-83d3-44af-a94f-4e0ad82fd6cf&Version=2014-05-26&AccessKeyId=testid&Signature=CT9X0VtwR86fNWSnsc6v8YGOjuE%3D&SignatureMethod=HMAC-SHA1&TimeStamp=2016-02-23T12%3A46%3A24Z")
	if err != nil {
		t.Fatal(err)
	}
	if !Verify("GET", p, "testsecret", HMACSHA1, p.Get("Signature")) {
		t.Error("the documents' request does not verify")
	}
}

func TestStringToSign(t *testing.T) {
	for _, c := range []struct {
		name string
		p    *Params
		want string
	}{
		{"no parameters", NewParams(), "GET&%2F&"},
		{"code-unit order, capitals first", NewParams("b", "1", "a", "2", "B", "3", "a.1", "4"), "GET&%2F&B%3D3%26a%3D2%26a.1%3D4%26b%3D1"},
		{"Signature is left out", NewParams("Signature", "x", "A", "1"), "GET&%2F&A%3D1"},
		{"spelled otherwise it is signed", NewParams("signature", "x"), "GET&%2F&signature%3Dx"},
		{"empty value", NewParams("A", ""), "GET&%2F&A%3D"},
		{"reserved characters", NewParams("k y", "a b+c*d~e/f=g&h%"), "GET&%2F&k%2520y%3Da%2520b%252Bc%252Ad~e%252Ff%253Dg%2526h%2525"},
		{"UTF-8", NewParams("n", "网"), "GET&%2F&n%3D%25E7%25BD%2591"},
		{"the first of two counts", NewParams("A", "1", "A", "2"), "GET&%2F&A%3D1"},
	} {
		if got := StringToSign("GET", c.p); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s", c.name, got, c.want)
		}
	}
}

func TestSHA256(t *testing.T) {
	p := paramsOf(signatureExamples(t)[0].Parameters)
	got, err := Sign("GET", p, "testsecret", HMACSHA256)
	if err != nil {
		t.Fatal(err)
	}
	// printf %s "$STRING_TO_SIGN" | openssl dgst -sha256 -hmac 'testsecret&' -binary | base64
	if want := "p5gv19dtwUKvD83FBJ6fI9jEnIVY5ZzKjh2qn5vtJbQ="; got != want {
		t.Errorf("HMAC-SHA256 signature %s, want %s", got, want)
	}
	if _, err := Sign("GET", p, "testsecret", "HMAC-MD5"); err == nil {
		t.Error("HMAC-MD5 is accepted")
	}
}

// FuzzSignature: whatever is sent, what Encode writes and ParseParams reads
// verifies with the secret that signed it, and with no other; and the text that
// is signed is what a plain reading of the documents gives.
func FuzzSignature(f *testing.F) {
	f.Add("GET", "Action=A&TimeStamp=2016-02-23T12%3A46%3A24Z", "testsecret", true)
	f.Add("POST", "a=%20+b&a=2&%E7%BD%91=*~&Signature=x&=&&x", "", false)
	f.Add("GET", "a=%25&b=%26%3D&A=%00%ff", "s&", true)
	f.Fuzz(func(t *testing.T, method, query, secret string, sha1 bool) {
		p, err := ParseParams(query)
		if err != nil {
			return
		}
		algorithm := HMACSHA256
		if sha1 {
			algorithm = HMACSHA1
		}
		signature, err := Sign(method, p, secret, algorithm)
		if err != nil {
			t.Fatal(err)
		}
		again, err := ParseParams(string(p.Encode()))
		if err != nil {
			t.Fatalf("what Encode writes cannot be read: %v", err)
		}
		if !Verify(method, again, secret, algorithm, signature) {
			t.Errorf("does not verify after a round trip: %q", query)
		}
		if Verify(method, p, secret+"x", algorithm, signature) {
			t.Error("verifies with another secret")
		}
		if got, want := StringToSign(method, p), plainStringToSign(method, p); got != want {
			t.Errorf("string to sign\n got %q\nwant %q", got, want)
		}
	})
}

// plainStringToSign does what the documents say, step by step.
func plainStringToSign(method string, p *Params) string {
	encode := func(s string) string {
		return strings.NewReplacer("+", "%20", "*", "%2A", "%7E", "~").Replace(url.QueryEscape(s))
	}
	values := url.Values{}
	for name, value := range p.All() {
		if name != "Signature" {
			values.Set(name, value)
		}
	}
	var pairs []string
	for _, name := range sortedKeys(values) {
		pairs = append(pairs, encode(name)+"="+encode(values.Get(name)))
	}
	return method + "&" + encode("/") + "&" + encode(strings.Join(pairs, "&"))
}

func BenchmarkVerify(b *testing.B) {
	c := Client{AccessKeyID: "id", AccessKeySecret: "secret", Algorithm: HMACSHA1}
	p := c.Sign("DescribeForwardTableEntries", map[string]string{"RegionId": "cn-hangzhou", "ForwardTableId": "ftb-11tc6xgmv", "PageSize": "50", "PageNumber": "3"})
	signature := p.Get("Signature")
	b.ReportAllocs()
	for b.Loop() {
		if !Verify("POST", p, "secret", HMACSHA1, signature) {
			b.Fatal("does not verify")
		}
	}
}
