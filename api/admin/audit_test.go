package admin

import (
	"context"
	"encoding/json"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"sluice/api/audit"
	"sluice/controlplane/fault"
)

// recording is an audit log that is written.
func recording(t *testing.T) *audit.Log {
	t.Helper()
	l, err := audit.Open(audit.Config{Dir: t.TempDir(), MaxSize: 1, Files: 1, Keep: 24 * time.Hour, Log: slog.New(slog.DiscardHandler)})
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
	return l
}

type auditLine struct {
	EventName, EventRW, ErrorCode, ErrorMessage string
	UserIdentity                                struct{ Type, PrincipalID, UserName string }
	RequestParameters, ResponseElements         map[string]string
}

// TestAudit: what is called over the socket is recorded, with who it was, without
// secrets, and can be asked for; who follows sees what comes, until the server ends.
func TestAudit(t *testing.T) {
	f := &fake{audit: recording(t)}
	c, _ := start(t, f, nil)
	ctx := t.Context()
	if _, err := c.CreateAccessKey(ctx, NewAccessKey{Account: "alice", ID: "testid", Secret: "testsecret"}); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Instances(ctx, InstanceFilter{VPC: "vpc-1"}); err != nil {
		t.Fatal(err)
	}
	f.err = fault.New(fault.AccessKeyNotFound, "no such key")
	if err := c.DeleteAccessKey(ctx, "k 1"); err == nil {
		t.Error("deleted")
	}
	f.err = nil
	if err := c.call(ctx, "PUT", "/v1/accounts", map[string]string{"secret": "testsecret"}, nil); err == nil {
		t.Error("there is such a route")
	}

	var lines []auditLine
	var all strings.Builder
	read := func(q AuditFilter) []auditLine {
		t.Helper()
		lines = nil
		err := c.AuditLog(ctx, q, func(line json.RawMessage) error {
			all.Write(line)
			var l auditLine
			err := json.Unmarshal(line, &l)
			lines = append(lines, l)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		return lines
	}
	me, err := user.LookupId(strconv.Itoa(os.Getuid()))
	if err != nil {
		t.Skip(err)
	}
	got := read(AuditFilter{User: me.Username})
	var names []string
	for _, l := range got {
		names = append(names, l.EventName)
		if l.UserIdentity.Type != "system" || l.UserIdentity.PrincipalID != me.Uid || l.UserIdentity.UserName != me.Username {
			t.Errorf("who: %+v", l)
		}
	}
	if want := []string{"POST /v1/access-keys", "GET /v1/instances", "DELETE /v1/access-keys/{id}", "PUT /v1/accounts"}; !slices.Equal(names, want) && !slices.Equal(names, append(want, "GET /v1/audit")) {
		t.Fatalf("%q, want %q", names, want)
	}
	if l := got[0]; l.EventRW != "Write" || l.RequestParameters["id"] != "testid" || l.RequestParameters["account"] != "alice" || l.ResponseElements["id"] != "testid" {
		t.Errorf("%+v", l)
	}
	if l := got[1]; l.EventRW != "Read" || l.RequestParameters["vpc"] != "vpc-1" || len(l.ResponseElements) > 0 {
		t.Errorf("%+v", l)
	}
	if l := got[2]; l.RequestParameters["id"] != "k 1" || l.ErrorCode != string(fault.AccessKeyNotFound) || !strings.HasSuffix(l.ErrorMessage, "no such key") {
		t.Errorf("%+v", l)
	}
	if strings.Contains(all.String(), "testsecret") {
		t.Error("a secret is in the log")
	}
	if got := read(AuditFilter{Resource: "k 1", Since: time.Now().Add(-time.Hour)}); len(got) == 0 || got[0].EventName != "DELETE /v1/access-keys/{id}" {
		t.Errorf("by resource: %+v", got)
	}
	if got := read(AuditFilter{Since: time.Now().Add(time.Hour)}); len(got) != 0 {
		t.Errorf("of later: %+v", got)
	}

	over := errors.New("over")
	err = c.AuditLog(ctx, AuditFilter{Resource: "account-1", Follow: true, User: me.Username}, func(line json.RawMessage) error {
		if strings.Contains(string(line), `"POST /v1/accounts"`) {
			return over
		}
		// It follows: its own line names what it looks for.
		_, err := c.CreateAccount(ctx, "account-1")
		return err
	})
	if !errors.Is(err, over) {
		t.Errorf("followed: %v", err)
	}
}

// TestAuditRefusedPeer: who is not let in is recorded.
func TestAuditRefusedPeer(t *testing.T) {
	f := &fake{audit: recording(t)}
	c, _ := start(t, f, func(uint32) bool { return false })
	if err := c.Health(t.Context()); status(err) != 403 {
		t.Fatal(err)
	}
	over := errors.New("over")
	err := f.audit.Read(t.Context(), audit.Filter{}, true, func(text []byte) error {
		if !strings.Contains(string(text), `"errorCode":"Forbidden"`) || !strings.Contains(string(text), `"eventName":"GET /v1/health"`) {
			t.Errorf("%s", text)
		}
		return over
	}, func() error { return nil })
	if !errors.Is(err, over) {
		t.Error(err)
	}
}

// TestAuditFollowEndsWithServer: the server does not wait for who follows.
func TestAuditFollowEndsWithServer(t *testing.T) {
	f := &fake{audit: recording(t)}
	c, _, stop := startStopped(t, f, nil)
	err := c.AuditLog(t.Context(), AuditFilter{Follow: true}, func(json.RawMessage) error { stop(); return nil })
	if err != nil {
		t.Error(err)
	}
}

func TestNoAudit(t *testing.T) {
	c, _ := start(t, &fake{}, nil)
	if err := c.AuditLog(t.Context(), AuditFilter{}, nil); status(err) != 404 {
		t.Error(err)
	}
}

// TestNoAuditLog: where none is kept, the answer names the setting that has one kept.
func TestNoAuditLog(t *testing.T) {
	_, err := auditRoutes(nil)["GET /v1/audit"](httptest.NewRequest(http.MethodGet, "/v1/audit", nil))
	if err == nil || !strings.Contains(err.Error(), "audit_log.events") {
		t.Error(err)
	}
}
