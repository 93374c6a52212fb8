package admin

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"

	"sluice/api/audit"
)

// Audit is the audit log: *audit.Log is one.
type Audit interface {
	Record(e *audit.Event)
	Read(ctx context.Context, f audit.Filter, follow bool, each func(text []byte) error, caught func() error) error
}

// AuditFilter says which lines of the audit log are wanted. What is empty does not count.
type AuditFilter struct {
	Since    time.Time
	User     string // name, account, access key or id of the caller
	Resource string // a value of the request or the answer
	Follow   bool   // go on with what is recorded later
}

func auditRoutes(a Audit) map[string]handler {
	return map[string]handler{
		"GET /v1/audit": func(r *http.Request) (any, error) {
			if a == nil {
				return nil, &Error{Status: http.StatusNotFound, Message: "no audit log is kept; set audit_log.events in the configuration to all or writes"}
			}
			q := r.URL.Query()
			f := audit.Filter{User: q.Get("user"), Resource: q.Get("resource")}
			if since := q.Get("since"); since != "" {
				var err error
				if f.Since, err = time.Parse(time.RFC3339, since); err != nil {
					return nil, &Error{Status: http.StatusBadRequest, Message: fmt.Sprintf("since %q is not a time; write for example 2026-01-31T12:00:00Z", since)}
				}
			}
			return stream(func(ctx context.Context, w io.Writer) error {
				out := bufio.NewWriterSize(w, 64<<10)
				err := a.Read(ctx, f, q.Get("follow") == "true", func(text []byte) error {
					_, err := out.Write(append(text, '\n'))
					return err
				}, out.Flush)
				return errors.Join(err, out.Flush())
			}), nil
		},
	}
}

// AuditLog calls each with every line of the audit log that is wanted, the oldest first.
func (c *Client) AuditLog(ctx context.Context, f AuditFilter, each func(line json.RawMessage) error) error {
	q := url.Values{}
	set := func(name, v string) {
		if v != "" {
			q.Set(name, v)
		}
	}
	set("user", f.User)
	set("resource", f.Resource)
	if !f.Since.IsZero() {
		set("since", f.Since.UTC().Format(time.RFC3339))
	}
	if f.Follow {
		set("follow", "true")
	}
	body, err := c.open(ctx, http.MethodGet, "/v1/audit?"+q.Encode())
	if err != nil {
		return err
	}
	defer body.Close()
	d := json.NewDecoder(body)
	for {
		var line json.RawMessage
		switch err := d.Decode(&line); {
		case errors.Is(err, io.EOF):
			return nil
		case err != nil:
			return c.explain(err)
		}
		if err := each(line); err != nil {
			return err
		}
	}
}
