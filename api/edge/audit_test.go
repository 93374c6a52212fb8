package edge

import (
	"slices"
	"testing"

	"sluice/api/audit"
)

// events keeps what it is given.
type events struct{ list []audit.Event }

func (e *events) Record(x *audit.Event) { e.list = append(e.list, *x) }

// TestAuditEveryCall: whatever becomes of a call, it is recorded once, by whom as far as
// that was found out, and as it was answered.
func TestAuditEveryCall(t *testing.T) {
	var e events
	w := newWorld(func(c *Config) {
		c.Audit = &e
		c.PerKey = Rate{PerSecond: 1, Burst: 4}
	})
	last := func() audit.Event {
		t.Helper()
		if len(e.list) != 1 {
			t.Fatalf("%d events", len(e.list))
		}
		x := e.list[0]
		e.list = nil
		return x
	}
	root := audit.Identity{Type: audit.Root, PrincipalID: "1002", AccountID: "1002", AccessKeyID: "other"}
	nobody := audit.Identity{Type: audit.Unverified, AccessKeyID: "other"}
	request := func(action, nonce string) request {
		r := w.request(action, "other", nonce)
		r.thing = "thing-1"
		return r
	}
	for i, c := range []struct {
		what string
		code string
		want audit.Identity
		name string
	}{
		{"read", w.text(t, request("read", "1")), root, "read"},
		{"write", w.text(t, request("write", "2")), root, "write"},
		{"replay", w.text(t, request("write", "2")), root, "write"},
		{"another family", w.json(t, request("write", "3")), root, "write"},
		{"a mistake of ours", w.text(t, request("breakAudit", "4")), root, "breakAudit"},
		{"too many", w.text(t, request("read", "5")), root, "read"},
		{"forged", func() string { r := request("write", "6"); r.secret = "?"; return w.text(t, r) }(), nobody, "write"},
	} {
		if i == 0 && len(e.list) != 7 {
			t.Fatalf("%d events", len(e.list))
		}
		x := e.list[i]
		code := x.ErrorCode
		if code == "" {
			code = "OK"
		}
		if x.Identity != c.want || x.Name != c.name || code != c.code || x.Writes != (c.name == "write") || x.SourceAddress != "192.0.2.1" || x.Source != "example.com" || !x.Time.Equal(w.now) {
			t.Errorf("%s: %+v, answered %s", c.what, x, c.code)
		}
		if !slices.ContainsFunc(x.Parameters, func(m audit.Member) bool { return m.Value == "thing-1" }) {
			t.Errorf("%s: parameters %v", c.what, x.Parameters)
		}
	}
	e.list = nil
	w.text(t, request("breakDecode", "7"))
	if x := last(); x.Identity.Type != audit.Unverified || x.ErrorCode != textCode(Internal) {
		t.Errorf("a panic: %+v", x)
	}
}
