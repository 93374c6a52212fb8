package aliyun

import (
	"bytes"
	"context"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"sluice/api/edge"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
)

func sortedKeys(v url.Values) []string { return slices.Sorted(maps.Keys(v)) }

// keyTable is a fixed set of access keys.
type keyTable map[string]identity.Key

func (k keyTable) Key(id string) (identity.Key, bool) { key, ok := k[id]; return key, ok }

var testKeys = keyTable{
	"id":       {Account: "1001", AccountName: "alice", Secret: "secret"},
	"other":    {Account: "1002", AccountName: "bob", Secret: "secret2"},
	"reader":   {Account: "1001", AccountName: "alice", Secret: "secret3", DescribeOnly: true},
	"disabled": {Account: "1001", AccountName: "alice", Secret: "secret4", Disabled: true},
}

// edgeActions answers the few actions that the tests of the edge call.
type edgeActions struct {
	Actions
	regions func(context.Context, identity.Caller) error
	callers []identity.Caller
}

func (a *edgeActions) DescribeRegions(ctx context.Context, c identity.Caller, _ *DescribeRegionsRequest) (*DescribeRegionsResponse, error) {
	a.callers = append(a.callers, c)
	if a.regions != nil {
		if err := a.regions(ctx, c); err != nil {
			return nil, err
		}
	}
	return &DescribeRegionsResponse{}, nil
}

func (a *edgeActions) DeleteVpc(_ context.Context, c identity.Caller, _ *DeleteVpcRequest) (*DeleteVpcResponse, error) {
	a.callers = append(a.callers, c)
	return &DeleteVpcResponse{}, nil
}

func (a *edgeActions) CreateVpc(_ context.Context, c identity.Caller, _ *CreateVpcRequest) (*CreateVpcResponse, error) {
	a.callers = append(a.callers, c)
	return nil, fault.New(fault.TokenMismatch, "another request")
}

func realServer(actions Actions) *edge.Server {
	return edge.NewServer(edge.Config{Families: []edge.Family{NewFamily(actions, nil)}, Keys: testKeys, Log: slog.New(slog.DiscardHandler)})
}

// site is a server under test with a clock that stands still.
type site struct {
	*edge.Server
	actions *edgeActions
	now     time.Time
	log     bytes.Buffer
	ids     int
	mu      sync.Mutex // of ids
}

func newSite(t testing.TB, change func(*edge.Config)) *site {
	t.Helper()
	s := &site{actions: &edgeActions{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	c := edge.Config{
		Families:     []edge.Family{NewFamily(s.actions, nil)},
		Keys:         testKeys,
		Log:          slog.New(slog.NewJSONHandler(&s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:          func() time.Time { return s.now },
		NewRequestID: s.newID,
	}
	if change != nil {
		change(&c)
	}
	s.Server = edge.NewServer(c)
	return s
}

func (s *site) newID() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.ids++
	return fmt.Sprintf("REQUEST-%d", s.ids)
}

// client returns a client whose clock is the site's.
func (s *site) client(id string) *Client {
	n := 0
	return &Client{Endpoint: "http://sluice.test", AccessKeyID: id, AccessKeySecret: testKeys[id].Secret,
		Now: func() time.Time { return s.now }, NewNonce: func() string { n++; return fmt.Sprintf("%s-%d", id, n) },
		HTTP: &http.Client{Transport: s}}
}

// RoundTrip hands a client's request to the server without a network.
func (s *site) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Host = "sluice.test"
	r.RequestURI = r.URL.RequestURI()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result(), nil
}

func TestSignedCalls(t *testing.T) {
	s := newSite(t, nil)
	for _, method := range []string{"GET", "POST"} {
		for _, algorithm := range []Algorithm{HMACSHA1, HMACSHA256} {
			c := s.client("id")
			c.Method, c.Algorithm = method, algorithm
			c.NewNonce = func() string { return method + string(algorithm) }
			body, err := c.Call(t.Context(), "DescribeRegions", map[string]string{"Note": "a b+*~/网&="})
			if err != nil {
				t.Fatalf("%s %s: %v", method, algorithm, err)
			}
			if want := fmt.Sprintf(`{"RequestId":"REQUEST-%d","Regions":{"Region":[]}}`, s.ids); !sameJSON(t, string(body), want) {
				t.Errorf("answer %s, want %s", body, want)
			}
			got := s.actions.callers[len(s.actions.callers)-1]
			if got.DescribeOnly || got.Account != "1001" || got.AccessKeyID != "id" || got.Action != "DescribeRegions" || got.Nonce != method+string(algorithm) || got.RequestID != fmt.Sprintf("REQUEST-%d", s.ids) {
				t.Errorf("caller %+v", got)
			}
		}
	}
}

// Who is called knows that a key may only describe.
func TestDescribeOnlyCaller(t *testing.T) {
	s := newSite(t, nil)
	if _, err := s.client("reader").Call(t.Context(), "DescribeRegions", nil); err != nil {
		t.Fatal(err)
	}
	if got := s.actions.callers[0]; !got.DescribeOnly {
		t.Errorf("caller %+v", got)
	}
}

func sameJSON(t *testing.T, a, b string) bool {
	t.Helper()
	var x, y any
	if err := errors.Join(json.Unmarshal([]byte(a), &x), json.Unmarshal([]byte(b), &y)); err != nil {
		t.Fatal(err)
	}
	return fmt.Sprint(x) == fmt.Sprint(y)
}

func TestQueryAndBodyAreSignedTogether(t *testing.T) {
	s := newSite(t, nil)
	p := s.client("id").Sign("DescribeRegions", map[string]string{"X": "1", "Format": "xml"})
	query, form := &Params{}, &Params{}
	for name, value := range p.All() {
		if strings.HasPrefix(name, "S") {
			form.Add(name, value)
		} else {
			query.Add(name, value)
		}
	}
	r := httptest.NewRequest("POST", "/?"+string(query.Encode()), bytes.NewReader(form.Encode()))
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded; charset=UTF-8")
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	want := `<?xml version='1.0' encoding='UTF-8'?><DescribeRegionsResponse><Regions></Regions><RequestId>REQUEST-1</RequestId></DescribeRegionsResponse>`
	if w.Code != 200 || w.Body.String() != want {
		t.Errorf("%d %s, want %s", w.Code, w.Body, want)
	}
	if got := w.Header().Get("Content-Type"); got != "text/xml;charset=utf-8" {
		t.Errorf("Content-Type %s", got)
	}
}

func TestNamesWithoutRegardToCase(t *testing.T) {
	s := newSite(t, nil)
	p := &Params{}
	for name, value := range s.client("id").Sign("describeregions", map[string]string{"Signature": ""}).All() {
		switch name {
		case "Timestamp":
			name = "TimeStamp"
		default:
			name = strings.ToLower(name)
		}
		p.Add(name, value)
	}
	signature, err := Sign("POST", p, "secret", HMACSHA1)
	if err != nil {
		t.Fatal(err)
	}
	p.Add("Signature", signature)
	if status, body, err := s.client("id").Send(t.Context(), p); err != nil || status != 200 {
		t.Errorf("%d %s %v", status, body, err)
	}
}

// Whoever reorders a signed request chooses nothing.
func TestNamesOfTwoCases(t *testing.T) {
	s := newSite(t, nil)
	for _, names := range [][2]string{{"VpcId", "vpcid"}, {"vpcid", "VpcId"}, {"VPCID", "vpcId"}} {
		p := s.client("id").Sign("DeleteVpc", map[string]string{names[0]: "vpc-a", names[1]: "vpc-b"})
		var pairs [][2]string
		for name, value := range p.All() {
			pairs = append(pairs, [2]string{name, value})
		}
		for range 2 {
			slices.Reverse(pairs)
			p := &Params{}
			for _, x := range pairs {
				p.Add(x[0], x[1])
			}
			status, body, err := s.client("id").Send(t.Context(), p)
			if err != nil || status != 400 || refusalOf(t, FormatJSON, body).Code != "InvalidParameter" {
				t.Errorf("%v: %d %s %v", names, status, body, err)
			}
		}
	}
	if len(s.actions.callers) > 0 {
		t.Errorf("called: %+v", s.actions.callers)
	}
}

// refusalOf reads a refusal in either form.
func refusalOf(t *testing.T, f Format, body []byte) errorBody {
	t.Helper()
	var e errorBody
	var err error
	if f == FormatJSON {
		err = json.Unmarshal(body, &e)
	} else {
		err = xml.Unmarshal(body, &e)
	}
	if err != nil {
		t.Fatalf("%v in %q", err, body)
	}
	return e
}

func TestRestOfTheSite(t *testing.T) {
	s := newSite(t, nil)
	form := "application/x-www-form-urlencoded"
	for _, c := range []struct {
		name         string
		method, path string
		contentType  string
		body         string
		status       int
		code         string
		format       Format
	}{
		{"another path", "GET", "/favicon.ico", "", "", 404, "InvalidAction.NotFound", FormatXML},
		{"PUT", "PUT", "/", form, "Format=JSON", 403, "UnsupportedHTTPMethod", FormatXML},
		{"OPTIONS", "OPTIONS", "/", "", "", 403, "UnsupportedHTTPMethod", FormatXML},
		{"nothing at all", "GET", "/", "", "", 400, "MissingParameter", FormatXML},
		{"JSON asked for", "GET", "/?format=json", "", "", 400, "MissingParameter", FormatJSON},
		{"unknown format", "GET", "/?Format=YAML", "", "", 400, "InvalidParameter", FormatXML},
		{"malformed query", "GET", "/?Format=JSON&a=%zz", "", "", 400, "InvalidParameter", FormatXML},
		{"malformed body", "POST", "/?Format=JSON", form, "a=%", 400, "InvalidParameter", FormatXML},
		{"semicolon", "GET", "/?a=1;b=2", "", "", 400, "InvalidParameter", FormatXML},
		{"too many parameters", "GET", "/?" + strings.Repeat("a&", maxParameters), "", "", 400, "InvalidParameter", FormatXML},
		{"body of another type", "POST", "/?Format=JSON", "application/json", "{}", 415, "UnsupportedMediaType", FormatJSON},
		{"body of no type", "POST", "/", "", "a=1", 415, "UnsupportedMediaType", FormatXML},
		{"type without a body", "POST", "/", "application/octet-stream", "", 400, "MissingParameter", FormatXML},
		{"body of 1 MiB", "POST", "/", form, "Format=JSON&a=" + strings.Repeat("x", edge.MaxBody-14), 400, "MissingParameter", FormatJSON},
		{"body over 1 MiB", "POST", "/?Format=JSON", form, strings.Repeat("x", edge.MaxBody+1), 413, "RequestTooLarge", FormatJSON},
	} {
		t.Run(c.name, func(t *testing.T) {
			for _, chunked := range []bool{false, true} {
				r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
				if c.contentType != "" {
					r.Header.Set("Content-Type", c.contentType)
				}
				if chunked {
					r.ContentLength = -1
				}
				w := httptest.NewRecorder()
				s.ServeHTTP(w, r)
				e := refusalOf(t, c.format, w.Body.Bytes())
				if w.Code != c.status || e.Code != c.code || e.Message == "" || e.HostID != "example.com" || e.RequestID != fmt.Sprintf("REQUEST-%d", s.ids) {
					t.Errorf("HTTP %d, %+v; want %d %s", w.Code, e, c.status, c.code)
				}
				if got := w.Header().Get("Content-Type"); got != c.format.ContentType() {
					t.Errorf("Content-Type %s", got)
				}
			}
		})
	}
	if len(s.actions.callers) != 0 {
		t.Error("an action was called")
	}
}

// slowBody is a body of which so many bytes come, and the end not before it is let.
type slowBody struct {
	bytes int
	asked func() // for what has not come
	let   <-chan struct{}
}

func (b *slowBody) Read(p []byte) (int, error) {
	if n := min(len(p), b.bytes); n > 0 {
		b.bytes -= n
		return n, nil
	}
	b.asked()
	<-b.let
	return 0, io.EOF
}

// TestRoomForBodies: while large bodies take the room that there is, another one of the
// same source is refused, and not one of another source; and all the room is free again
// after them. Bodies that are announced and do not come take none.
func TestRoomForBodies(t *testing.T) {
	s := newSite(t, nil)
	post := func(source int, size int64, body io.Reader) *httptest.ResponseRecorder {
		r := httptest.NewRequest("POST", "/", body)
		r.RemoteAddr, r.ContentLength = fmt.Sprintf("192.0.2.%d:1", source), size
		w := httptest.NewRecorder()
		s.ServeHTTP(w, r)
		return w
	}
	for _, c := range []struct {
		come int
		size int64 // as announced; -1: chunked
		busy bool
	}{{edge.MaxBody - 1, edge.MaxBody, true}, {10, edge.MaxBody, false}, {edge.MaxBody - 1, -1, true}, {0, -1, false}} {
		if testing.Short() && c.size < 0 {
			continue
		}
		let := make(chan struct{})
		var asked, answered sync.WaitGroup
		for i := range 61 {
			asked.Add(1)
			answered.Go(func() {
				w := post(i, c.size, &slowBody{bytes: c.come, asked: sync.OnceFunc(asked.Done), let: let})
				if e := refusalOf(t, FormatXML, w.Body.Bytes()); e.Code == "ServiceUnavailable" {
					t.Errorf("a body that was given room: %+v", e)
				}
			})
		}
		asked.Wait()
		large := func(source int) (e errorBody, status int, again string) {
			w := post(source, -1, strings.NewReader(strings.Repeat("x", edge.MaxBody)))
			return refusalOf(t, FormatXML, w.Body.Bytes()), w.Code, w.Header().Get("Retry-After")
		}
		e, status, again := large(1)
		if busy := e.Code == "ServiceUnavailable"; busy != c.busy || busy && (status != 503 || again == "") {
			t.Errorf("%+v: large body of the same source: HTTP %d %+v, again after %q", c, status, e, again)
		}
		if e, _, _ := large(100); e.Code == "ServiceUnavailable" {
			t.Errorf("%+v: large body of another source: %+v", c, e)
		}
		close(let)
		answered.Wait()
	}
}

// TestEveryReasonIsAnswered: only what went wrong inside is an internal error.
func TestEveryReasonIsAnswered(t *testing.T) {
	for _, r := range edge.Reasons() {
		e := (&Family{}).Refuse(r)
		if internal := e.Code == "InternalError"; internal != (r == edge.Internal) || e.HTTP < 400 || e.Message == e.Code {
			t.Errorf("reason %d: %v", r, e)
		}
	}
}

func TestPanicIsAnInternalError(t *testing.T) {
	s := newSite(t, nil)
	s.actions.regions = func(context.Context, identity.Caller) error { panic("a mistake & a secret") }
	_, err := s.client("id").Call(t.Context(), "DescribeRegions", nil)
	e, ok := errors.AsType[*Error](err)
	if !ok || e.HTTP != 500 || e.Code != "InternalError" || strings.Contains(e.Message, "secret") {
		t.Errorf("got %v", err)
	}
	if !strings.Contains(s.log.String(), "a mistake") || !strings.Contains(s.log.String(), "REQUEST-1") {
		t.Errorf("the log does not tell: %s", s.log.String())
	}
	s.actions.regions = nil
	if _, err := s.client("reader").Call(t.Context(), "DescribeRegions", nil); err != nil {
		t.Errorf("the next call: %v", err)
	}
}

func TestCallsEnd(t *testing.T) {
	s := newSite(t, func(c *edge.Config) { c.Timeout = time.Millisecond })
	s.actions.regions = func(ctx context.Context, _ identity.Caller) error { <-ctx.Done(); return ctx.Err() }
	_, err := s.client("id").Call(t.Context(), "DescribeRegions", nil)
	if e, ok := errors.AsType[*Error](err); !ok || e.Code != "ServiceUnavailable" {
		t.Errorf("got %v, want ServiceUnavailable", err)
	}
}

func TestThrottling(t *testing.T) {
	s := newSite(t, func(c *edge.Config) { c.PerKey = edge.Rate{PerSecond: 1, Burst: 2} })
	a, b := s.client("id"), s.client("other")
	call := func(c *Client) string {
		_, err := c.Call(t.Context(), "DescribeRegions", nil)
		if e, ok := errors.AsType[*Error](err); ok {
			return e.Code
		}
		if err != nil {
			t.Fatal(err)
		}
		return "OK"
	}
	got := []string{call(a), call(a), call(a), call(b)}
	if want := []string{"OK", "OK", "Throttling", "OK"}; !slices.Equal(got, want) {
		t.Errorf("calls: %v, want %v", got, want)
	}
	// What is not signed with the key's secret does not use up its quota.
	s.now = s.now.Add(time.Second)
	forger := s.client("id")
	forger.AccessKeySecret, forger.NewNonce = "guess", func() string { return "forged" }
	for range 5 {
		if got := call(forger); got != "IncompleteSignature" {
			t.Errorf("forged call: %s", got)
		}
	}
	if got := call(a); got != "OK" {
		t.Errorf("after forged calls: %s", got)
	}
}

func TestAccessLog(t *testing.T) {
	s := newSite(t, nil)
	c := s.client("id")
	lines := func() (out []map[string]any) {
		for line := range strings.Lines(s.log.String()) {
			var m map[string]any
			if err := json.Unmarshal([]byte(line), &m); err != nil {
				t.Fatal(err)
			}
			out = append(out, m)
		}
		s.log.Reset()
		return out
	}
	for _, x := range []struct {
		action, level, code string
		params              map[string]string
	}{
		{"DescribeRegions", "DEBUG", "OK", nil},
		{"DeleteVpc", "INFO", "OK", map[string]string{"VpcId": "vpc-1", "RegionId": "r"}},
		{"CreateVpc", "INFO", "MissingParameter", nil},
	} {
		_, _ = c.Call(t.Context(), x.action, x.params)
		got := lines()
		if len(got) != 1 {
			t.Errorf("%s: %d lines, want 1", x.action, len(got))
			continue
		}
		for name, want := range map[string]any{"level": x.level, "action": x.action, "code": x.code, "account": "1001", "access_key": "id", "request": fmt.Sprintf("REQUEST-%d", s.ids)} {
			if got[0][name] != want {
				t.Errorf("%s: %s=%v, want %v", x.action, name, got[0][name], want)
			}
		}
	}
	s.client("disabled").Call(t.Context(), "DeleteVpc", nil)
	if got := lines(); len(got) != 1 || got[0]["level"] != "DEBUG" {
		t.Errorf("a write by nobody known: %v, want one line at debug", got)
	}
}
