package tencent3

import (
	"encoding/hex"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTC3Hosts: the host is signed as clients write it, with its port or without, and no other.
func TestTC3Hosts(t *testing.T) {
	w := newWorld(t)
	name, port, _ := strings.Cut(w.host(), ":")
	for host, want := range map[string]string{
		w.host():              "OK",
		name:                  "OK",
		name + ":1":           "AuthFailure.SignatureFailure",
		"vpc.example:" + port: "AuthFailure.SignatureFailure",
		"":                    "AuthFailure.SignatureFailure",
		"LO:1":                "AuthFailure.SignatureFailure",
	} {
		const body, signed = `{}`, "content-type;host"
		at, date := seconds10(time.Now()), time.Now().UTC().Format(time.DateOnly)
		canonical := strings.Join([]string{"POST", "/", "", "content-type:application/json\nhost:" + host + "\n", signed, hashed(body)}, "\n")
		signature := tc3Signature(tc3Key(testKeys["AKIDalice"].Secret, date, "vpc"), date, "vpc", at, canonical)
		r, err := http.NewRequest(http.MethodPost, w.site.URL, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header = http.Header{
			"Content-Type": {"application/json"}, "X-Tc-Action": {"DescribeVpcs"}, "X-Tc-Version": {Version}, "X-Tc-Region": {"cn-hangzhou"}, "X-Tc-Timestamp": {at},
			"Authorization": {fmt.Sprintf("%s Credential=AKIDalice/%s/vpc/tc3_request, SignedHeaders=%s, Signature=%s", tc3, date, signed, hex.EncodeToString(signature))},
		}
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		if code, message, _ := w.read(answer); code != want {
			t.Errorf("host signed as %q: %s %s, want %s", host, code, message, want)
		}
	}
}
