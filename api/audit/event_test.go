package audit

import (
	"bytes"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
	"unicode"
	"unicode/utf8"
)

// randomText returns bytes of a kind that a client may send.
func randomText(r *rand.Rand, most int) string {
	pieces := []string{"\n", "\r\n", `"`, `\`, `"}` + "\n{", "\x00", "\x1b[31m", "\x7f", "\u0085", "\u2028", "\u202e", "é", "名", "😀", "\xff", "\xed\xa0\x80", "a", "vpc-1", " "}
	var b strings.Builder
	for n := r.IntN(most + 1); b.Len() < n; {
		b.WriteString(pieces[r.IntN(len(pieces))])
	}
	return b.String()
}

func randomMembers(r *rand.Rand, depth int) (list []Member) {
	for range r.IntN(12) {
		m := Member{Name: randomText(r, 40), Value: randomText(r, 1<<r.IntN(13))}
		if depth > 0 && r.IntN(4) == 0 {
			m.Members = randomMembers(r, depth-1)
		}
		list = append(list, m)
	}
	return list
}

func randomEvent(r *rand.Rand) Event {
	text := func() string { return randomText(r, 1<<r.IntN(13)) }
	return Event{
		Time: time.Unix(r.Int64N(4e9), 0), Name: text(), Writes: r.IntN(2) == 0, Source: text(), RequestID: text(),
		SourceAddress: text(), UserAgent: text(),
		Identity:   Identity{Type: text(), PrincipalID: text(), AccountID: text(), AccessKeyID: text(), UserName: text()},
		Parameters: randomMembers(r, 2), Elements: randomMembers(r, 1), ErrorCode: text(), ErrorMessage: text(),
	}
}

// Whatever stands in an event is one line of JSON, of bounded length, of characters that
// can be printed; and what is short is read back as it was.
func TestLines(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	events := 200
	if testing.Short() {
		events = 50
	}
	for range events {
		e := randomEvent(r)
		line := e.appendTo(nil, r.Uint64N(2))
		if len(line) > 24<<10 || bytes.Count(line, []byte("\n")) != 1 || line[len(line)-1] != '\n' || !utf8.Valid(line) {
			t.Fatalf("%d bytes: %q", len(line), line)
		}
		for _, c := range string(line[:len(line)-1]) {
			if !unicode.IsPrint(c) {
				t.Fatalf("%U stands in %q", c, line)
			}
		}
		var got map[string]any
		if err := json.Unmarshal(line, &got); err != nil {
			t.Fatalf("%v: %s", err, line)
		}
		if want := string([]rune(e.Name)); want != "" && len(e.Name) < 40 && got["eventName"] != want { // U+FFFD for what is no UTF-8
			t.Errorf("%q is read back as %q", want, got["eventName"])
		}
	}
}

func TestFields(t *testing.T) {
	e := Event{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 5, time.UTC), Name: "CreateVpc", Writes: true, Source: "gateway:8680", RequestID: "R-1",
		SourceAddress: "192.0.2.1", UserAgent: "sdk/1",
		Identity:   Identity{Type: User, PrincipalID: "2001", AccountID: "1001", AccessKeyID: "K", UserName: "alice"},
		Parameters: []Member{{Name: "CidrBlock", Value: "10.0.0.0/8"}, {Name: "Config", Members: []Member{{Name: "A", Value: "b"}}}},
		Elements:   []Member{{Name: "VpcId", Value: "vpc-1"}},
		ErrorCode:  "C", ErrorMessage: "m",
	}
	line := string(e.appendTo(nil, 3))
	id, rest, _ := strings.Cut(strings.TrimPrefix(line, `{"eventId":"`), `"`)
	want := `,"eventVersion":1,"eventTime":"2026-03-01T12:00:00Z","eventName":"CreateVpc","eventRW":"Write","eventSource":"gateway:8680",` +
		`"requestId":"R-1","sourceIpAddress":"192.0.2.1","userAgent":"sdk/1",` +
		`"userIdentity":{"type":"ram-user","principalId":"2001","accountId":"1001","accessKeyId":"K","userName":"alice"},` +
		`"requestParameters":{"CidrBlock":"10.0.0.0/8","Config":{"A":"b"}},"responseElements":{"VpcId":"vpc-1"},` +
		`"errorCode":"C","errorMessage":"m","additionalEventData":{"callsNotRecorded":3}}` + "\n"
	if rest != want || len(id) != 36 || id[14] != '4' {
		t.Errorf("%s, want %s", line, want)
	}
}

// What is cut says so, and how much there was.
func TestCut(t *testing.T) {
	e := Event{UserAgent: strings.Repeat("x", 10_000)}
	for range 100 {
		e.Parameters = append(e.Parameters, Member{Name: "P", Value: strings.Repeat("\x00", 300)})
	}
	line := string(e.appendTo(nil, 0))
	if !strings.Contains(line, "…(10000 bytes)\"") || !strings.Contains(line, `"…":"94 more"}`) {
		t.Error(line)
	}
}

func TestFilter(t *testing.T) {
	e := Event{
		Time: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC), Identity: Identity{PrincipalID: "2001", AccountID: "1001", AccessKeyID: "K", UserName: "alice"},
		Parameters: []Member{{Name: "IpAddress", Value: "192.0.2.1,192.0.2.2"}, {Name: "Ids", Value: `["vpc-2", "vpc-3"]`}, {Name: "C", Members: []Member{{Name: "A", Value: "vpc-4"}}}},
		Elements:   []Member{{Name: "VpcId", Value: "vpc-1"}},
	}
	line := bytes.TrimSpace(e.appendTo(nil, 0))
	for _, f := range []Filter{
		{}, {User: "alice"}, {User: "1001"}, {User: "K"}, {User: "2001"}, {Since: e.Time}, {Since: e.Time.Add(time.Millisecond)},
		{Resource: "vpc-1"}, {Resource: "vpc-3"}, {Resource: "vpc-4"}, {Resource: "192.0.2.2"}, {Resource: "vpc-1", User: "K"},
	} {
		if !f.matches(line) {
			t.Errorf("%+v leaves it out", f)
		}
	}
	for _, f := range []Filter{{User: "bob"}, {Resource: "vpc"}, {Resource: "192.0.2"}, {Since: e.Time.Add(time.Second)}, {Resource: "vpc-1", User: "bob"}} {
		if f.matches(line) {
			t.Errorf("%+v lets it through", f)
		}
	}
	for _, text := range []string{"", "{", "{}", `{"eventTime":"yesterday"}`, "null"} {
		if (Filter{}).matches([]byte(text)) {
			t.Errorf("%q is an event", text)
		}
	}
}
