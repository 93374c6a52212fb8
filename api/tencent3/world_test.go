package tencent3

import (
	"bytes"
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/api/edge"
	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
)

var ctx = context.Background()

func ptr[T any](v T) *T { return &v }

// keyTable is a fixed set of access keys.
type keyTable map[string]identity.Key

func (k keyTable) Key(id string) (identity.Key, bool) { key, ok := k[id]; return key, ok }

var testKeys = keyTable{
	"AKIDalice":    {Account: planetest.Alice.Account, Secret: "secret"},
	"AKIDbob":      {Account: planetest.Bob.Account, Secret: "secret2"},
	"AKIDreader":   {Account: planetest.Alice.Account, Secret: "secret3", DescribeOnly: true},
	"AKIDdisabled": {Account: planetest.Alice.Account, Secret: "secret4", Disabled: true},
	"AKIDuser":     {Account: planetest.Alice.Account, User: "u-1", UserName: "carol", Secret: "secret5"},
}

// world is a control plane behind the family's wire.
type world struct {
	*planetest.Plane
	t    *testing.T
	site *httptest.Server
	log  bytes.Buffer
}

func newWorld(t *testing.T) *world {
	w := &world{Plane: planetest.New(t), t: t}
	w.site = httptest.NewServer(edge.NewServer(edge.Config{
		Families: []edge.Family{NewFamily(NewService(w.Network, w.VPN, w.Templates, w.SecurityGroups, w.EIP, w.Interfaces, w.Classic), w.RAM)}, Keys: testKeys, Log: slog.New(slog.NewTextHandler(&w.log, nil)),
	}))
	t.Cleanup(w.site.Close)
	return w
}

// client is the public client with a key and a way to sign.
func (w *world) client(key, method, signature string) *vpcsdk.Client {
	p := profile.NewClientProfile()
	p.HttpProfile.Endpoint, p.HttpProfile.Scheme, p.HttpProfile.ReqMethod = strings.TrimPrefix(w.site.URL, "http://"), "HTTP", method
	p.SignMethod = signature
	c, err := vpcsdk.NewClient(common.NewCredential(key, testKeys[key].Secret), planetest.Region, p)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// call makes a call of parameters, a list of names and values as in a form, as Alice's, and
// returns the code of the answer, or OK.
func (w *world) call(action string, params ...string) (code, message string, answer json.RawMessage) {
	w.t.Helper()
	list := []pair{{"Action", action}, {"Version", Version}, {"Region", planetest.Region}, {"SecretId", "AKIDalice"}, {"Nonce", nonce()}, {"Timestamp", seconds10(time.Now())}}
	for i := 0; i < len(params); i += 2 {
		set := false
		for j := range list {
			if list[j].name == params[i] {
				list[j].value, set = params[i+1], true
			}
		}
		if !set {
			list = append(list, pair{params[i], params[i+1]})
		}
	}
	return w.send(signed(http.MethodPost, w.host(), list))
}

func (w *world) host() string { return strings.TrimPrefix(w.site.URL, "http://") }

// send posts a form.
func (w *world) send(form string) (code, message string, answer json.RawMessage) {
	w.t.Helper()
	r, err := http.Post(w.site.URL, "application/x-www-form-urlencoded", strings.NewReader(form))
	if err != nil {
		w.t.Fatal(err)
	}
	return w.read(r)
}

// read reads an answer.
func (w *world) read(r *http.Response) (code, message string, answer json.RawMessage) {
	w.t.Helper()
	defer r.Body.Close()
	var out struct{ Response json.RawMessage }
	var refused struct {
		Error     *struct{ Code, Message string }
		RequestId string
	}
	if err := json.NewDecoder(r.Body).Decode(&out); err != nil {
		w.t.Fatal(err)
	}
	if err := json.Unmarshal(out.Response, &refused); err != nil {
		w.t.Fatal(err)
	}
	if r.StatusCode != http.StatusOK || refused.RequestId == "" {
		w.t.Errorf("HTTP status %d, request id %q", r.StatusCode, refused.RequestId)
	}
	if refused.Error != nil {
		return refused.Error.Code, refused.Error.Message, nil
	}
	return "OK", "", out.Response
}
