package admin

import (
	"context"
	"encoding/json"
	"net/http"
	"os/user"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"sluice/api/audit"
)

// recordable are the names of what may stand in the audit log, in a path, a query, a body
// or an answer. A secret is none of them.
var recordable = map[string]bool{
	"id": true, "name": true, "account": true, "accountName": true, "describeOnly": true,
	"vpc": true, "vswitch": true, "privateIp": true, "mac": true, "kind": true, "state": true,
	"sessions": true, "newPerSecond": true, "path": true, "format": true,
	"since": true, "user": true, "resource": true, "follow": true,
	"policy": true, "to": true, "userName": true, "document": true,
}

// eventKey is the key of a request's *audit.Event in its context.
type eventKey struct{}

// begin returns the request with the event that it will be, and that event.
func begin(r *http.Request) (*http.Request, *audit.Event) {
	e := &audit.Event{
		Time: time.Now(), Name: r.Pattern, Writes: r.Method != http.MethodGet, Source: "admin socket",
		RequestID: strings.ToUpper(uuid.NewString()), SourceAddress: "local", UserAgent: r.UserAgent(),
		Identity: audit.Identity{Type: audit.Unverified},
	}
	if !strings.HasPrefix(e.Name, r.Method+" ") { // no route was found, or looked for
		e.Name = r.Method + " " + r.URL.Path
	}
	if peer, ok := r.Context().Value(peerKey{}).(*unix.Ucred); ok {
		id := strconv.Itoa(int(peer.Uid))
		e.Identity = audit.Identity{Type: audit.System, PrincipalID: id, UserName: id}
		if u, err := user.LookupId(id); err == nil {
			e.Identity.UserName = u.Username
		}
	}
	for _, part := range strings.Split(r.Pattern, "/") {
		if name := strings.Trim(part, "{}"); name != part && recordable[name] {
			e.Parameters = append(e.Parameters, audit.Member{Name: name, Value: r.PathValue(name)})
		}
	}
	q := r.URL.Query()
	for name := range recordable {
		if v := q.Get(name); v != "" {
			e.Parameters = append(e.Parameters, audit.Member{Name: name, Value: v})
		}
	}
	return r.WithContext(context.WithValue(r.Context(), eventKey{}, e)), e
}

// note adds what a body holds to the event of its request.
func note(r *http.Request, body any) {
	if e, ok := r.Context().Value(eventKey{}).(*audit.Event); ok {
		e.Parameters = append(e.Parameters, members(body)...)
	}
}

// end adds the answer.
func end(e *audit.Event, answer any) {
	if refused, ok := answer.(*Error); ok {
		e.ErrorCode, e.ErrorMessage = refused.Reason, refused.Message
		if e.ErrorCode == "" {
			e.ErrorCode = http.StatusText(refused.Status)
		}
	} else if e.Writes {
		e.Elements = members(answer)
	}
	slices.SortStableFunc(e.Parameters, func(a, b audit.Member) int { return strings.Compare(a.Name, b.Name) })
}

// members returns the members of a value's JSON that may be recorded, by name; none of
// what is no object.
func members(of any) (list []audit.Member) {
	var all map[string]any
	if text, err := json.Marshal(of); err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	for name, value := range all {
		if v := audit.Text(value); v != "" && recordable[name] {
			list = append(list, audit.Member{Name: name, Value: v})
		}
	}
	slices.SortFunc(list, func(a, b audit.Member) int { return strings.Compare(a.Name, b.Name) })
	return list
}
