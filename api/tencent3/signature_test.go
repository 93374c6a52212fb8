package tencent3

import (
	"crypto/sha1"
	"crypto/sha256"
	"encoding/base64"
	"hash"
	"testing"
)

// TestSignatureV1 computes the document's worked example, with the parameter's name of its own
// table, and the same with the other method and the other HMAC.
func TestSignatureV1(t *testing.T) {
	const secret = "Gu5t9xGARNpq86cd98joQYCN3EXAMPLE"
	for _, c := range []struct {
		method, more string
		hmac         func() hash.Hash
		text, want   string
	}{
		{"GET", "", sha1.New, "GETcvm.tencentcloudapi.com/?Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&Region=ap-guangzhou&SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&Timestamp=1465185768&Version=2017-03-12",
			"EliP9YW3pW28FpsEdkXt/+WcGeI="},
		{"GET", "&SignatureMethod=HmacSHA256", sha256.New, "GETcvm.tencentcloudapi.com/?Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&Region=ap-guangzhou&SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&SignatureMethod=HmacSHA256&Timestamp=1465185768&Version=2017-03-12",
			"A8uy2/o7WBZXYCTWEFpMrVGhGBVlEGIOioeqRM+fzFs="},
		{"POST", "", sha1.New, "POSTcvm.tencentcloudapi.com/?Action=DescribeInstances&InstanceIds.0=ins-09dx96dg&Limit=20&Nonce=11886&Offset=0&Region=ap-guangzhou&SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&Timestamp=1465185768&Version=2017-03-12",
			"/4JqpPkM1WMS/I5IvWzp5mqoqWY="},
	} {
		list, err := parseForm("Signature=x&Version=2017-03-12&Action=DescribeInstances&Nonce=11886&SecretId=AKIDz8krbsJ5yKBZQpn74WFkmLPx3EXAMPLE&Timestamp=1465185768&Region=ap-guangzhou&Offset=0&Limit=20&InstanceIds.0=ins-09dx96dg" + c.more)
		if err != nil {
			t.Fatal(err)
		}
		text := signedV1(c.method, "cvm.tencentcloudapi.com", list)
		if text != c.text {
			t.Errorf("signed is\n%s, want\n%s", text, c.text)
		}
		if got := base64.StdEncoding.EncodeToString(sum(c.hmac, []byte(secret), text)); got != c.want {
			t.Errorf("%s%s: the signature is %s, want %s", c.method, c.more, got, c.want)
		}
	}
}
