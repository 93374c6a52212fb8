package edge

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/identity"
)

// keyTable is a fixed set of access keys.
type keyTable map[string]identity.Key

func (k keyTable) Key(id string) (identity.Key, bool) { key, ok := k[id]; return key, ok }

var testKeys = keyTable{
	"id":       {Account: "1001", Secret: "secret"},
	"other":    {Account: "1002", Secret: "secret2"},
	"reader":   {Account: "1001", Secret: "secret3", DescribeOnly: true},
	"disabled": {Account: "1001", Secret: "secret4", Disabled: true},
}

// world is a server of both families with a clock that stands still.
type world struct {
	*Server
	actions *actions
	now     time.Time
	log     bytes.Buffer
	ids     int
}

func newWorld(change func(*Config)) *world {
	w := &world{actions: &actions{}, now: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)}
	c := Config{
		Families:     []Family{jsonFamily{w.actions}, textFamily{w.actions}},
		Keys:         testKeys,
		Log:          slog.New(slog.NewJSONHandler(&w.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
		Now:          func() time.Time { return w.now },
		NewRequestID: func() string { w.ids++; return fmt.Sprint(w.ids) },
	}
	if change != nil {
		change(&c)
	}
	w.Server = NewServer(c)
	return w
}

// request is what a client of either family has to say.
type request struct {
	action, thing, key, nonce, secret string
	signed                            time.Time
	owner                             string
}

func (w *world) request(action, key, nonce string) request {
	return request{action: action, key: key, nonce: nonce, secret: testKeys[key].Secret, signed: w.now}
}

// text calls by the one family and returns the code of the refusal, or OK.
func (w *world) text(t *testing.T, r request) string {
	t.Helper()
	q := url.Values{"action": {r.action}, "thing": {r.thing}, "key": {r.key}, "nonce": {r.nonce}, "time": {fmt.Sprint(r.signed.Unix())},
		"owner": {r.owner}, "signature": {signature(r.secret, r.action+r.nonce)}}
	out := httptest.NewRecorder()
	w.ServeHTTP(out, httptest.NewRequest("GET", "/?"+q.Encode(), nil))
	id, rest, _ := strings.Cut(strings.TrimSpace(out.Body.String()), " ")
	code, refused := strings.CutPrefix(rest, "refused ")
	if out.Header().Get("Content-Type") != "text/plain" || id != fmt.Sprint(w.ids) || refused == (out.Code == 200) || !refused && rest != "done" {
		t.Errorf("answer %d %s %q", out.Code, out.Header().Get("Content-Type"), out.Body)
	}
	if !refused {
		return "OK"
	}
	return code
}

// json calls by the other.
func (w *world) json(t *testing.T, r request) string {
	t.Helper()
	body, err := json.Marshal(map[string]string{"Thing": r.thing})
	if err != nil {
		t.Fatal(err)
	}
	return w.jsonBody(t, r, bytes.NewReader(body), string(body))
}

func (w *world) jsonBody(t *testing.T, r request, body io.Reader, signed string) string {
	t.Helper()
	in := httptest.NewRequest("POST", "/", body)
	in.Header.Set("X-Action", r.action)
	in.Header.Set("Authorization", fmt.Sprintf("%s %d %s %s", r.key, r.signed.Unix(), r.nonce, signature(r.secret, r.action+r.nonce+signed)))
	out := httptest.NewRecorder()
	w.ServeHTTP(out, in)
	var answer struct{ Id, Error string }
	if err := json.Unmarshal(out.Body.Bytes(), &answer); err != nil {
		t.Fatal(err)
	}
	if out.Code != 200 || out.Header().Get("Content-Type") != "application/json" || answer.Id != fmt.Sprint(w.ids) {
		t.Errorf("answer %d %s %q", out.Code, out.Header().Get("Content-Type"), out.Body)
	}
	if answer.Error == "" {
		return "OK"
	}
	return answer.Error
}

func textCode(r Reason) string { return textFamily{}.Refuse(r).Code }
func jsonCode(r Reason) string { return jsonFamily{}.Refuse(r).Code }

func expect(t *testing.T, what, got, want string) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %s, want %s", what, got, want)
	}
}

func TestEachFamilyAnswersItsOwn(t *testing.T) {
	w := newWorld(nil)
	expect(t, "text", w.text(t, w.request("read", "id", "1")), "OK")
	expect(t, "JSON", w.json(t, w.request("write", "other", "1")), "OK")
	want := []identity.Caller{
		{Account: "1001", KeyAccount: "1001", AccessKeyID: "id", RequestID: "1", Action: "read", Nonce: "1", Signed: time.Unix(w.now.Unix(), 0)},
		{Account: "1002", KeyAccount: "1002", AccessKeyID: "other", RequestID: "2", Action: "write", Nonce: "1", Signed: time.Unix(w.now.Unix(), 0)},
	}
	if !slices.Equal(w.actions.callers, want) {
		t.Errorf("callers %+v, want %+v", w.actions.callers, want)
	}
	// What no family recognises is the last one's.
	out := httptest.NewRecorder()
	w.ServeHTTP(out, httptest.NewRequest("PUT", "/elsewhere", nil))
	expect(t, "anything else", out.Body.String(), "3 refused TextNoAction\n")
}

// TestNonceOfAKeyIsOneForAllFamilies: a signature that was used in one family
// is not accepted in another.
func TestNonceOfAKeyIsOneForAllFamilies(t *testing.T) {
	w := newWorld(nil)
	expect(t, "text", w.text(t, w.request("read", "id", "n")), "OK")
	expect(t, "replay by JSON", w.json(t, w.request("read", "id", "n")), jsonCode(NonceUsed))
	expect(t, "another key's nonce", w.json(t, w.request("read", "other", "n")), "OK")
	expect(t, "that by text", w.text(t, w.request("read", "other", "n")), textCode(NonceUsed))
	expect(t, "JSON without a nonce", w.json(t, w.request("read", "id", "")), "OK")
	expect(t, "and again", w.json(t, w.request("read", "id", "")), "OK")
}

// TestOnly: what answers one family alone refuses all others in its words, and shares nonces
// and limits with the server.
func TestOnly(t *testing.T) {
	w := newWorld(func(c *Config) { c.PerKey = Rate{PerSecond: 1, Burst: 1} })
	all := w.Server
	alone := func(f Family) { w.Server = all.Only(f) }
	alone(all.Families[0])
	expect(t, "its own", w.json(t, w.request("read", "id", "n")), "OK")
	out := httptest.NewRecorder()
	w.ServeHTTP(out, httptest.NewRequest("GET", "/?action=read&key=id", nil))
	if !strings.Contains(out.Body.String(), `"Error":"`) {
		t.Errorf("a request of another family is answered %q", out.Body)
	}
	alone(all.Families[1])
	expect(t, "a nonce of the other", w.text(t, w.request("read", "id", "n")), textCode(NonceUsed))
	w.Server = all
	expect(t, "a nonce of the one alone", w.text(t, w.request("read", "id", "n")), textCode(NonceUsed))
	expect(t, "calls of all", w.text(t, w.request("read", "id", "m")), textCode(Throttled))
}

// TestThrottleOfAKeyIsOneForAllFamilies, and so is that of all keys.
func TestThrottleOfAKeyIsOneForAllFamilies(t *testing.T) {
	w := newWorld(func(c *Config) { c.PerKey = Rate{PerSecond: 1, Burst: 2} })
	expect(t, "text", w.text(t, w.request("read", "id", "1")), "OK")
	expect(t, "JSON", w.json(t, w.request("read", "id", "2")), "OK")
	expect(t, "third call, by JSON", w.json(t, w.request("read", "id", "3")), jsonCode(Throttled))
	expect(t, "third call, by JSON without a nonce", w.json(t, w.request("read", "id", "")), jsonCode(Throttled))
	expect(t, "third call, by text", w.text(t, w.request("read", "id", "3")), textCode(Throttled))
	expect(t, "another key", w.text(t, w.request("read", "other", "1")), "OK")
	w.now = w.now.Add(time.Second)
	expect(t, "a second later", w.text(t, w.request("read", "id", "3")), "OK")
	expect(t, "which was the one", w.json(t, w.request("read", "id", "4")), jsonCode(Throttled))

	w = newWorld(func(c *Config) { c.Total = Rate{PerSecond: 1, Burst: 1} })
	expect(t, "first call of all", w.json(t, w.request("read", "id", "1")), "OK")
	expect(t, "second call of all", w.text(t, w.request("read", "other", "1")), textCode(Throttled))
}

// TestRefusals: what the kit refuses, it refuses in whichever family, in this order.
func TestRefusals(t *testing.T) {
	w := newWorld(nil)
	for _, c := range []struct {
		name   string
		change func(*request)
		want   Reason
	}{
		{"signed long ago", func(r *request) { r.signed = w.now.Add(-MaxSkew - time.Second); r.key = "nobody" }, NotInTime},
		{"signed in the future", func(r *request) { r.signed = w.now.Add(MaxSkew + time.Second) }, NotInTime},
		{"long nonce", func(r *request) { r.nonce = strings.Repeat("n", MaxNonce+1); r.key = "nobody" }, NonceTooLong},
		{"unknown key", func(r *request) { r.key = "nobody" }, KeyNotFound},
		{"disabled key", func(r *request) { r.key = "disabled"; r.secret = "guess" }, KeyDisabled},
		{"wrong signature", func(r *request) { r.secret = "guess" }, SignatureWrong},
		{"key that only describes", func(r *request) { r.key, r.secret, r.action = "reader", testKeys["reader"].Secret, "write" }, KeyDescribeOnly},
	} {
		r := w.request("read", "id", c.name)
		c.change(&r)
		expect(t, c.name+", text", w.text(t, r), textCode(c.want))
		if r.nonce == c.name {
			r.nonce += " again"
		}
		r.nonce = strings.ReplaceAll(r.nonce, " ", "-")
		expect(t, c.name+", JSON", w.json(t, r), jsonCode(c.want))
	}
	if len(w.actions.callers) != 0 {
		t.Errorf("an action was called: %+v", w.actions.callers)
	}
	// A family may want less skew than there is, and not more.
	r := w.request("read", "id", "skew")
	r.signed = w.now.Add(-6 * time.Minute)
	expect(t, "6 minutes ago, JSON", w.json(t, r), jsonCode(NotInTime))
	expect(t, "6 minutes ago, text", w.text(t, r), "OK")
	// The account is compared before anything is said of the key's rights.
	r = w.request("write", "reader", "owner")
	r.owner = "1002"
	expect(t, "another's", w.text(t, r), "TextOwner")
}

func TestClaimSkew(t *testing.T) {
	for given, want := range map[time.Duration]time.Duration{0: MaxSkew, -1: MaxSkew, time.Minute: time.Minute, 2 * MaxSkew: MaxSkew} {
		if got := (Claim{Skew: given}).skew(); got != want {
			t.Errorf("skew of %v: %v, want %v", given, got, want)
		}
	}
}

func TestBodies(t *testing.T) {
	w := newWorld(nil)
	r := w.request("read", "id", "1")
	whole := `{"Thing":"` + strings.Repeat("x", MaxBody-12) + `"}`
	expect(t, "MaxBody", w.jsonBody(t, r, strings.NewReader(whole), whole), "OK")
	for _, chunked := range []bool{false, true} {
		var body io.Reader = strings.NewReader(whole + " ")
		if chunked {
			body = io.MultiReader(body)
		}
		expect(t, "more than MaxBody", w.jsonBody(t, r, body, whole), jsonCode(BodyTooLarge))
	}
	expect(t, "cut short", w.jsonBody(t, r, io.MultiReader(strings.NewReader("{"), cut{}), "{"), jsonCode(BodyUnreadable))
	// All that was reserved for bodies is free again.
	if w.bodies.free != maxBodies || len(w.bodies.held) != 0 {
		t.Error("room for bodies is still taken")
	}
	for i := range 64 {
		if !w.bodies.take(netip.AddrFrom4([4]byte{10, 0, 0, byte(i)}), w.bodies.free/2) {
			t.Fatal("a source does not get what it leaves free")
		}
	}
	expect(t, "while all room is taken", w.jsonBody(t, r, strings.NewReader(whole), whole), jsonCode(Busy))
	small := `{"Thing":"x"}`
	r.nonce = "2"
	expect(t, "a small body meanwhile", w.jsonBody(t, r, strings.NewReader(small), small), "OK")
}

type cut struct{}

func (cut) Read([]byte) (int, error) { return 0, errors.New("connection reset") }

// TestMistakes: a panic, and an answer that cannot be written, are answered in
// the family's words, and the log tells.
func TestMistakes(t *testing.T) {
	w := newWorld(nil)
	w.actions.do = func(context.Context, identity.Caller, string, string) error { panic("a mistake & a secret") }
	expect(t, "panic in an action", w.json(t, w.request("read", "id", "1")), jsonCode(Internal))
	if text := w.log.String(); !strings.Contains(text, "a mistake") || !strings.Contains(text, `"request":"1"`) {
		t.Errorf("the log does not tell: %s", text)
	}
	w.actions.do = nil
	expect(t, "panic while decoding", w.text(t, w.request("breakDecode", "id", "2")), textCode(Internal))
	r := w.request("read", "id", "3")
	r.thing = "unspeakable"
	expect(t, "answer without words", w.text(t, r), textCode(Internal))
	if !strings.Contains(w.log.String(), "there are no words") {
		t.Errorf("the log does not tell: %s", w.log.String())
	}
	expect(t, "the next call", w.text(t, w.request("read", "id", "4")), "OK")
}

func TestCallsEnd(t *testing.T) {
	w := newWorld(func(c *Config) { c.Timeout = time.Millisecond })
	w.actions.do = func(ctx context.Context, _ identity.Caller, _, _ string) error { <-ctx.Done(); return ctx.Err() }
	expect(t, "call without an end", w.text(t, w.request("read", "id", "1")), "TextFailed")
}

// meter notes what it is told.
type meter []string

func (m *meter) Answered(family, action, code string, writes bool, took time.Duration) {
	*m = append(*m, fmt.Sprint(family, " ", action, " ", code, " ", writes, " ", took))
}

func TestMeter(t *testing.T) {
	var m meter
	w := newWorld(func(c *Config) { c.Meter = &m })
	w.actions.do = func(context.Context, identity.Caller, string, string) error {
		w.now = w.now.Add(time.Second)
		return nil
	}
	w.text(t, w.request("read", "id", "1"))
	w.json(t, w.request("write", "id", "2"))
	w.text(t, w.request("write", "disabled", "3"))
	w.text(t, w.request("", "id", "4"))
	want := meter{"text read OK false 1s", "json write OK true 1s", "text write " + textCode(KeyDisabled) + " true 0s", "text  TextNoAction false 0s"}
	if !slices.Equal(m, want) {
		t.Errorf("told %q, want %q", m, want)
	}
}

func TestAccessLog(t *testing.T) {
	w := newWorld(nil)
	for _, c := range []struct {
		call         func()
		level        string
		family, code string
	}{
		{func() { w.text(t, w.request("read", "id", "1")) }, "DEBUG", "text", "OK"},
		{func() { w.json(t, w.request("write", "id", "2")) }, "INFO", "json", "OK"},
		{func() { w.text(t, w.request("write", "disabled", "3")) }, "DEBUG", "text", textCode(KeyDisabled)},
	} {
		w.log.Reset()
		c.call()
		var line map[string]any
		if err := json.Unmarshal(w.log.Bytes(), &line); err != nil {
			t.Fatalf("not one line: %v: %s", err, w.log.String())
		}
		for name, want := range map[string]any{"level": c.level, "family": c.family, "code": c.code, "request": fmt.Sprint(w.ids)} {
			if line[name] != want {
				t.Errorf("%s=%v, want %v", name, line[name], want)
			}
		}
	}
}

var _ http.Handler = (*Server)(nil)
