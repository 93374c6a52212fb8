package main

import (
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newAudit() *cobra.Command {
	var f adminFlags
	var filter admin.AuditFilter
	var since string
	var asJSON bool
	c := &cobra.Command{
		Use:   "audit",
		Short: "Show who called what, and how it was answered",
		Long: `Show the audit log, the oldest call first: of the API, refused ones, too, and over
the admin socket. Each is shown on a line: the time (UTC), who called and from
where, the action, its parameters, and OK or the code of the refusal. With --json
it is the line as it stands in the log, with ActionTrail's field names.

--user is the name or id of a user or account, or an access key; --resource a value
of a parameter or of the answer, such as an id or an address; --since a time, or how
long ago.`,
		Example: `  sluicectl audit --since 1h
  sluicectl audit --resource ngw-...          # who has done what to it?
  sluicectl audit --user LTAI... --follow
  sluicectl audit --json | jq -r 'select(.errorCode) | .sourceIpAddress'`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if since != "" {
				at, err := sinceTime(since, time.Now())
				if err != nil {
					return err
				}
				filter.Since = at
			}
			return f.with(func(client *admin.Client) error {
				err := client.AuditLog(c.Context(), filter, func(line json.RawMessage) error {
					return printCall(c.OutOrStdout(), line, asJSON)
				})
				if c.Context().Err() != nil && filter.Follow {
					return nil // an interrupt is the way to end it
				}
				return err
			})
		},
	}
	c.Flags().StringVar(&filter.User, "user", "", "only calls of this user, account or access key")
	c.Flags().StringVar(&filter.Resource, "resource", "", "only calls that name this resource")
	c.Flags().StringVar(&since, "since", "", "only calls since then: 90m, 24h, 2026-01-31, 2026-01-31T12:00:00Z")
	c.Flags().BoolVar(&filter.Follow, "follow", false, "go on with calls as they come, until interrupted")
	c.Flags().BoolVar(&asJSON, "json", false, "print the log's own lines, JSON objects")
	f.register(c)
	return c
}

// sinceTime reads a time, a date, or how long ago something was.
func sinceTime(text string, now time.Time) (time.Time, error) {
	if d, err := time.ParseDuration(text); err == nil && d >= 0 {
		return now.Add(-d), nil
	}
	for _, layout := range []string{time.RFC3339, time.DateOnly} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, usagef("%q is neither a time nor a duration; write for example 90m, 2026-01-31, or 2026-01-31T12:00:00Z", text)
}

// auditedCall is what of a line of the audit log is shown.
type auditedCall struct {
	EventTime       string `json:"eventTime"`
	EventName       string `json:"eventName"`
	SourceIPAddress string `json:"sourceIpAddress"`
	UserIdentity    struct {
		Type        string `json:"type"`
		AccountID   string `json:"accountId"`
		AccessKeyID string `json:"accessKeyId"`
		UserName    string `json:"userName"`
	} `json:"userIdentity"`
	Parameters orderedMembers `json:"requestParameters"`
	ErrorCode  string         `json:"errorCode"`
	Additional struct {
		NotRecorded uint64 `json:"callsNotRecorded"`
	} `json:"additionalEventData"`
}

// printCall prints a line of the audit log. What stands in it is escaped, so that it can
// do nothing to a terminal.
func printCall(w io.Writer, line json.RawMessage, asJSON bool) error {
	if asJSON {
		_, err := fmt.Fprintf(w, "%s\n", line)
		return err
	}
	var c auditedCall
	if err := json.Unmarshal(line, &c); err != nil {
		return err
	}
	u := c.UserIdentity
	who := slices.DeleteFunc([]string{u.Type, u.AccountID, u.UserName, u.AccessKeyID}, func(s string) bool { return s == "" })
	var b strings.Builder
	if n := c.Additional.NotRecorded; n > 0 {
		fmt.Fprintf(&b, "(%d calls before were not recorded)\n", n)
	}
	fmt.Fprintf(&b, "%s %s %s %s", c.EventTime, plain(strings.Join(who, "/")), plain(c.SourceIPAddress), plain(c.EventName))
	for _, m := range c.Parameters {
		fmt.Fprintf(&b, " %s=%s", plain(m.name), plain(m.value))
	}
	result := "OK"
	if c.ErrorCode != "" {
		result = plain(c.ErrorCode)
	}
	_, err := fmt.Fprintf(w, "%s: %s\n", b.String(), result)
	return err
}

// plain returns a text as it stands if it is one word, and quoted otherwise.
func plain(s string) string {
	if q := fmt.Sprintf("%q", s); s == "" || len(q) != len(s)+2 || strings.ContainsAny(s, " =") {
		return q
	}
	return s
}

// orderedMembers are the members of an object, in its order.
type orderedMembers []struct{ name, value string }

// UnmarshalJSON implements json.Unmarshaler.
func (o *orderedMembers) UnmarshalJSON(text []byte) error {
	d := json.NewDecoder(strings.NewReader(string(text)))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return fmt.Errorf("no object: %w", err)
	}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return err
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return err
		}
		m := struct{ name, value string }{name: name.(string)}
		if json.Unmarshal(value, &m.value) != nil {
			m.value = string(value)
		}
		*o = append(*o, m)
	}
	return nil
}
