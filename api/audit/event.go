package audit

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"strconv"
	"time"
	"unicode"
	"unicode/utf8"
)

// Kinds of callers, as userIdentity.type has them.
const (
	Root       = "root-account" // an account, by a key of its own
	User       = "ram-user"     // a RAM user of an account
	System     = "system"       // a user of this machine, over the admin socket
	Unverified = "unverified"   // nobody who is known: the signature is missing or wrong
)

// Event is one call and its answer. What a client has sent may stand in any text as it
// came: it is cut and escaped when the event is written.
type Event struct {
	Time          time.Time // when the request came
	Name          string    // of the action
	Writes        bool      // the action may change something
	Source        string    // where the client has called: the host of its request
	RequestID     string
	SourceAddress string // of the client
	UserAgent     string
	Identity      Identity
	Parameters    []Member // of the request, those that may be recorded
	Elements      []Member // of the answer, likewise
	ErrorCode     string   // empty: the call was not refused
	ErrorMessage  string
}

// Identity is who called. Of an Unverified caller AccessKeyID is what it said.
type Identity struct {
	Type        string
	PrincipalID string // id of the account or user; of a user of this machine the uid
	AccountID   string
	AccessKeyID string
	UserName    string
}

// Member is a parameter, or a part of an answer: a text, or an object of further members
// if there are any.
type Member struct {
	Name, Value string
	Members     []Member
}

// Text returns a value of decoded JSON as it stands in a Member; empty for what is no
// value, or an empty one.
func Text(value any) string {
	switch v := value.(type) {
	case string:
		return v
	case bool, float64:
		text, _ := json.Marshal(v) // which always has a text
		return string(text)
	}
	return ""
}

// Most bytes of an event's texts as they are written, with what escapes need. The fixed
// ones and both lists together are a line of 24 KiB at most.
const (
	maxWord       = 256
	maxAgent      = 512
	maxMessage    = 2 << 10
	maxValue      = 4 << 10
	maxParameters = 12 << 10
	maxElements   = 4 << 10
)

// appendTo appends the event as a line. missed is how many calls before this one are not
// in the log.
func (e *Event) appendTo(b []byte, missed uint64) []byte {
	b = append(b, `{"eventId":"`...)
	b = appendUUID(b)
	b = append(b, `","eventVersion":1,"eventTime":"`...)
	b = e.Time.UTC().AppendFormat(b, timeLayout)
	b = append(b, '"')
	b = appendField(b, "eventName", e.Name, maxWord)
	if e.Writes {
		b = append(b, `,"eventRW":"Write"`...)
	} else {
		b = append(b, `,"eventRW":"Read"`...)
	}
	b = appendField(b, "eventSource", e.Source, maxWord)
	b = appendField(b, "requestId", e.RequestID, maxWord)
	b = appendField(b, "sourceIpAddress", e.SourceAddress, maxWord)
	b = appendField(b, "userAgent", e.UserAgent, maxAgent)
	b = append(b, `,"userIdentity":{"type":`...)
	b = appendText(b, e.Identity.Type, maxWord)
	b = appendField(b, "principalId", e.Identity.PrincipalID, maxWord)
	b = appendField(b, "accountId", e.Identity.AccountID, maxWord)
	b = appendField(b, "accessKeyId", e.Identity.AccessKeyID, maxWord)
	b = appendField(b, "userName", e.Identity.UserName, maxWord)
	b = append(b, '}')
	b = append(b, `,"requestParameters":`...)
	b = appendMembers(b, e.Parameters, maxParameters)
	if len(e.Elements) > 0 {
		b = append(b, `,"responseElements":`...)
		b = appendMembers(b, e.Elements, maxElements)
	}
	if e.ErrorCode != "" {
		b = appendField(b, "errorCode", e.ErrorCode, maxWord)
		b = appendField(b, "errorMessage", e.ErrorMessage, maxMessage)
	}
	if missed > 0 {
		b = append(b, `,"additionalEventData":{"callsNotRecorded":`...)
		b = append(strconv.AppendUint(b, missed, 10), '}')
	}
	return append(b, '}', '\n')
}

const timeLayout = "2006-01-02T15:04:05Z"

// appendField appends a member that follows another; none if it is empty.
func appendField(b []byte, name, value string, most int) []byte {
	if value == "" {
		return b
	}
	b = append(b, ',', '"')
	b = append(b, name...) // of ours: nothing to escape
	b = append(b, '"', ':')
	return appendText(b, value, most)
}

// appendMembers appends an object of at most so many bytes, and some for what says how
// many members did not fit.
func appendMembers(b []byte, list []Member, most int) []byte {
	b = append(b, '{')
	begin, first := len(b), true
	for i, m := range list {
		at := len(b)
		if !first {
			b = append(b, ',')
		}
		b = appendText(b, m.Name, maxWord)
		b = append(b, ':')
		if len(m.Members) > 0 {
			b = appendMembers(b, m.Members, most-(len(b)-begin))
		} else {
			b = appendText(b, m.Value, maxValue)
		}
		if len(b)-begin > most {
			b = b[:at]
			if !first {
				b = append(b, ',')
			}
			b = fmt.Appendf(b, `"…":"%d more"`, len(list)-i)
			break
		}
		first = false
	}
	return append(b, '}')
}

const hexDigits = "0123456789abcdef"

// appendText appends a JSON string of at most so many bytes between its quotes, and some
// for what says that the text was longer. Whatever could end the string or the line, or
// mean something to a terminal, is escaped; what is no UTF-8 becomes U+FFFD.
func appendText(b []byte, s string, most int) []byte {
	b = append(b, '"')
	begin := len(b)
	for i := 0; i < len(s); {
		c, at := s[i], len(b)
		size := 1
		switch {
		case c == '"' || c == '\\':
			b = append(b, '\\', c)
		case c >= ' ' && c < 0x7f:
			b = append(b, c)
		case c < utf8.RuneSelf:
			b = append(b, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		default:
			var r rune
			r, size = utf8.DecodeRuneInString(s[i:])
			switch {
			case unicode.IsPrint(r): // U+FFFD is
				b = utf8.AppendRune(b, r)
			case r < 0x10000:
				b = fmt.Appendf(b, `\u%04x`, r)
			default:
				r -= 0x10000
				b = fmt.Appendf(b, `\u%04x\u%04x`, 0xd800+r>>10, 0xdc00+r&0x3ff)
			}
		}
		if len(b)-begin > most {
			b = fmt.Appendf(b[:at], "…(%d bytes)", len(s))
			break
		}
		i += size
	}
	return append(b, '"')
}

// appendUUID appends a random UUID (RFC 9562, version 4).
func appendUUID(b []byte) []byte {
	var id [16]byte
	for i := range 2 {
		for j, r := 0, rand.Uint64(); j < 8; j, r = j+1, r>>8 {
			id[i*8+j] = byte(r)
		}
	}
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	for i, x := range id {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			b = append(b, '-')
		}
		b = append(b, "0123456789ABCDEF"[x>>4], "0123456789ABCDEF"[x&15])
	}
	return b
}
