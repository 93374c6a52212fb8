package aliyun

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net/http"
	"strings"
	"testing"
	"time"

	"sluice/api/audit"
	"sluice/api/edge"
	"sluice/api/spec"
)

// auditedSite is a site whose calls are recorded.
func auditedSite(t *testing.T, actions Actions) (*site, *audit.Log) {
	t.Helper()
	l, err := audit.Open(audit.Config{Dir: t.TempDir(), MaxSize: 100, Files: 1, Keep: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- l.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return newSite(t, func(c *edge.Config) {
		c.Audit = l
		c.Log = slog.New(slog.DiscardHandler)
		if actions != nil {
			c.Families = []edge.Family{NewFamily(actions, nil)}
		}
	}), l
}

// auditLine is a line of the log, decoded.
type auditLine struct {
	text                              string
	EventName, EventRW, ErrorCode     string
	ErrorMessage, SourceIPAddress     string
	RequestParameters                 map[string]any
	ResponseElements                  map[string]any
	UserIdentity                      struct{ Type, PrincipalID, AccountID, AccessKeyID, UserName string }
	EventSource, RequestID, UserAgent string
}

// line waits for the line of the call with an id.
func line(t *testing.T, l *audit.Log, requestID string) (found auditLine) {
	t.Helper()
	lines(t, l, func(at auditLine) bool {
		found = at
		return at.RequestID == requestID
	})
	return found
}

// lines gives each line to a function, until that has seen what it waits for.
func lines(t *testing.T, l *audit.Log, each func(auditLine) bool) {
	t.Helper()
	over := errors.New("seen")
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err := l.Read(ctx, audit.Filter{}, true, func(text []byte) error {
		var at auditLine
		if err := json.Unmarshal(text, &at); err != nil {
			return err
		}
		if at.text = string(text); !each(at) {
			return nil
		}
		return over
	}, func() error { return nil })
	if !errors.Is(err, over) {
		t.Fatalf("a line is not there: %v", err)
	}
}

// TestAuditParameters sends every parameter of every action, and every member of a JSON
// value, each with a value of its own. What may be recorded stands in the line under its
// name; what is secret, what belongs to the signature, and what no catalog knows stands
// nowhere, however the call is signed and answered.
func TestAuditParameters(t *testing.T) {
	catalog, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	s, l := auditedSite(t, nil)
	checks := map[string]func(auditLine){} // by request
	for _, a := range catalog.Family(spec.Aliyun).Actions() {
		next := 0
		mark := func() string {
			next++
			return fmt.Sprintf("mark%d.%s", next, strings.ToLower(strings.ReplaceAll(a.Key(), ":", "-")))
		}
		params, token := map[string]string{"Strange": mark(), "Psk": mark()}, mark()
		never := []string{params["Strange"], params["Psk"], token, "nonce-of-it", testKeys["id"].Secret}
		want := map[string]any{}
		for _, f := range a.Request {
			name := strings.TrimSuffix(strings.ReplaceAll(f.Name+".", ".N.", ".7."), ".")
			switch {
			case len(f.Fields) > 0:
				t.Errorf("%s %s: parameters in parameters are not tried", a.Name, f.Name)
			case f.Format == "json":
				sent, kept := map[string]string{}, map[string]any{}
				for _, m := range f.Members {
					sent[m.Name] = mark()
					if m.Secret {
						never = append(never, sent[m.Name])
					} else {
						kept[m.Name] = sent[m.Name]
					}
				}
				sent["Strange"] = mark()
				never = append(never, sent["Strange"])
				text, err := json.Marshal(sent)
				if err != nil {
					t.Fatal(err)
				}
				params[name], want[name] = string(text), kept
			default:
				params[name] = mark()
				want[name] = params[name]
				if f.Secret {
					never = append(never, params[name])
					delete(want, name)
				}
			}
		}
		if !a.Supported() {
			want = map[string]any{}
			for _, p := range recordableAnyway {
				if v, ok := params[p.name]; ok {
					want[p.name] = v
				}
			}
		}
		for _, as := range []struct {
			key       string
			algorithm Algorithm
		}{{"id", HMACSHA1}, {"id", ACS3}, {"wrong", HMACSHA1}} {
			c := s.client(as.key)
			c.Algorithm, c.NewNonce = as.algorithm, func() string { return "nonce-of-it" + a.Key() + as.key + string(as.algorithm) }
			sent := maps.Clone(params)
			if as.key == "wrong" {
				sent["SecurityToken"] = token
			}
			_, err := c.Call(t.Context(), a.Key(), sent)
			checks[fmt.Sprintf("REQUEST-%d", s.ids)] = func(got auditLine) {
				for _, text := range never {
					if strings.Contains(got.text, text) {
						t.Errorf("%s: %s stands in %s", a.Name, text, got.text)
					}
				}
				if diff := fmt.Sprint(got.RequestParameters); diff != fmt.Sprint(want) {
					t.Errorf("%s by %v: %s, want %s", a.Name, as, diff, want)
				}
				if got.EventName != a.Key() || (got.ErrorCode == "") != (err == nil) || a.Supported() && as.key == "id" && (got.EventRW == "Write") != a.Writes() {
					t.Errorf("%s", got.text)
				}
			}
		}
	}
	lines(t, l, func(got auditLine) bool {
		if check := checks[got.RequestID]; check != nil {
			check(got)
			delete(checks, got.RequestID)
		}
		return len(checks) == 0
	})
}

// TestAuditIdentity: who called is said as far as it is known, whatever the answer.
func TestAuditIdentity(t *testing.T) {
	s, l := auditedSite(t, nil)
	call := func(c *Client, action string, params map[string]string) (auditLine, error) {
		t.Helper()
		_, err := c.Call(t.Context(), action, params)
		return line(t, l, fmt.Sprintf("REQUEST-%d", s.ids)), err
	}
	c := s.client("id")
	got, err := call(c, "DeleteVpc", map[string]string{"VpcId": "vpc-1"})
	u := got.UserIdentity
	if err != nil || u.Type != "root-account" || u.AccountID != "1001" || u.PrincipalID != "1001" || u.UserName != "alice" || u.AccessKeyID != "id" ||
		got.EventRW != "Write" || got.ErrorCode != "" || got.EventSource != "sluice.test" || got.UserAgent != "" || got.RequestParameters["VpcId"] != "vpc-1" {
		t.Errorf("%v: %s", err, got.text)
	}
	got, err = call(s.client("other"), "DescribeRegions", map[string]string{"OwnerId": "1001"})
	if err == nil || got.UserIdentity.AccountID != "1002" || got.EventRW != "Read" || got.ErrorCode != "InvalidOwnerId" || got.RequestParameters["OwnerId"] != "1001" {
		t.Errorf("%v: %s", err, got.text)
	}
	c.AccessKeySecret = "guessed"
	got, err = call(c, "DeleteVpc", map[string]string{"VpcId": "vpc-1"})
	u = got.UserIdentity
	if err == nil || u.Type != "unverified" || u.AccountID != "" || u.PrincipalID != "" || u.AccessKeyID != "id" || got.ErrorCode != "IncompleteSignature" || strings.Contains(got.text, "guessed") {
		t.Errorf("%v: %s", err, got.text)
	}
	// Nothing that a client sends begins a line, or ends one.
	c = s.client("id\n{\"eventTime\":\"2026-03-01T12:00:00Z\"}\n")
	got, err = call(c, "Delete\nVpc", map[string]string{"RegionId": "\n{}\n", "X\n\"": "y"})
	if err == nil || got.EventName != "Delete\nVpc" || got.RequestParameters["RegionId"] != "\n{}\n" || strings.Contains(got.text, "\n") {
		t.Errorf("%v: %s", err, got.text)
	}
	// What cannot be read at all is recorded, too.
	if _, err := s.RoundTrip(newRequest(t, "PUT", "/x?Action=DeleteVpc")); err != nil {
		t.Fatal(err)
	}
	if got := line(t, l, fmt.Sprintf("REQUEST-%d", s.ids)); got.UserIdentity.Type != "unverified" || got.ErrorCode != "InvalidAction.NotFound" || got.UserAgent != "sdk" {
		t.Error(got.text)
	}
}

func newRequest(t *testing.T, method, path string) *http.Request {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, "http://sluice.test"+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("User-Agent", "sdk")
	return r
}

// TestAuditElements: what a write has made stands in its line, and the answer of what
// only reads does not.
func TestAuditElements(t *testing.T) {
	w := newVPCWorld(t)
	s, l := auditedSite(t, w.s)
	c := s.client("id")
	body, err := c.Call(t.Context(), "CreateVpc", map[string]string{"RegionId": "cn-hangzhou", "CidrBlock": "10.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	var made struct{ VpcId, VRouterId, RouteTableId string }
	if err := json.Unmarshal(body, &made); err != nil {
		t.Fatal(err)
	}
	got := line(t, l, fmt.Sprintf("REQUEST-%d", s.ids)).ResponseElements
	if made.VpcId == "" || got["VpcId"] != made.VpcId || got["VRouterId"] != made.VRouterId || got["RouteTableId"] != made.RouteTableId {
		t.Errorf("%v, made was %+v", got, made)
	}
	if _, err := c.Call(t.Context(), "DescribeVpcs", map[string]string{"RegionId": "cn-hangzhou"}); err != nil {
		t.Fatal(err)
	}
	if got := line(t, l, fmt.Sprintf("REQUEST-%d", s.ids)); got.ResponseElements != nil {
		t.Error(got.text)
	}
}
