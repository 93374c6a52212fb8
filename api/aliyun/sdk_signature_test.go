package aliyun

import (
	"errors"
	"net/http/httptest"
	"testing"

	sdk "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

// TestPublicClientSigns: the unmodified public client's signature verifies,
// with GET and with POST, for the answer in JSON and in XML; and it understands
// a refusal.
func TestPublicClientSigns(t *testing.T) {
	actions := &edgeActions{}
	site := httptest.NewServer(realServer(actions))
	defer site.Close()
	client, err := vpc.NewClientWithAccessKey("cn-hangzhou", "id", "secret")
	if err != nil {
		t.Fatal(err)
	}
	for _, method := range []string{"GET", "POST"} {
		for _, format := range []string{"JSON", "XML"} {
			r := vpc.CreateDescribeRegionsRequest()
			r.Scheme, r.Domain, r.Method, r.AcceptFormat = "http", site.Listener.Addr().String(), method, format
			r.QueryParams["Note"] = "a b+*~/网&="
			if method == "POST" {
				r.FormParams["InTheBody"] = "a b+*~/网&="
			}
			answer, err := client.DescribeRegions(r)
			if err != nil || answer.RequestId == "" {
				t.Errorf("%s %s: %v, %+v", method, format, err, answer)
			}
		}
	}
	if len(actions.callers) != 4 {
		t.Errorf("%d calls arrived, want 4", len(actions.callers))
	}

	stranger, err := vpc.NewClientWithAccessKey("cn-hangzhou", "nobody", "secret")
	if err != nil {
		t.Fatal(err)
	}
	r := vpc.CreateDescribeRegionsRequest()
	r.Scheme, r.Domain = "http", site.Listener.Addr().String()
	_, err = stranger.DescribeRegions(r)
	var refused *sdk.ServerError
	if !errors.As(err, &refused) || refused.ErrorCode() != "InvalidAccessKeyId.NotFound" || refused.HttpStatus() != 400 || refused.RequestId() == "" {
		t.Errorf("a stranger: %v", err)
	}
}
