package policy

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"unicode/utf8"
)

// MaxDocument is how many bytes a document may have. Source: RAM documentation, "Limits".
const MaxDocument = 6144

// Document is a compiled policy document. It is never changed.
type Document struct{ statements []statement }

// Statements is how many there are.
func (d *Document) Statements() int { return len(d.statements) }

// Parse compiles a document. Its error is one line that says where something is wrong, and
// what would be right: "Statement[1].Action: ...".
func Parse(text string) (*Document, error) {
	if len(text) > MaxDocument {
		return nil, fmt.Errorf("the document has %d bytes; up to %d are allowed", len(text), MaxDocument)
	}
	if !utf8.ValidString(text) {
		return nil, errors.New("the document is not UTF-8")
	}
	d := &Document{}
	members, err := object(json.RawMessage(text))
	if err != nil {
		return nil, fmt.Errorf("the document: %w", err)
	}
	var have []string
	for _, m := range members {
		have = append(have, m.name)
		switch m.name {
		case "Version":
			if v, err := text1(m.value); err != nil || v != "1" {
				return nil, fmt.Errorf(`the Version is %s; write "1"`, short(m.value))
			}
		case "Statement":
			if err := d.parseStatements(m.value); err != nil {
				return nil, err
			}
		default:
			return nil, fmt.Errorf("%s: a document has Version and Statement alone", m.name)
		}
	}
	for _, name := range []string{"Version", "Statement"} {
		if !slices.Contains(have, name) {
			return nil, fmt.Errorf("%s: it is missing", name)
		}
	}
	return d, nil
}

// parseStatements reads a list of statements, or one that stands alone.
func (d *Document) parseStatements(text json.RawMessage) error {
	values, err := list(text)
	if err != nil {
		return fmt.Errorf("the Statement: %w", err)
	}
	for i, v := range values {
		s, err := parseStatement(v)
		if err != nil {
			return fmt.Errorf("Statement[%d]%w", i, err)
		}
		d.statements = append(d.statements, s)
	}
	return nil
}

// parseStatement reads one statement. Its error begins with ": " or with the element in
// which it is.
func parseStatement(text json.RawMessage) (s statement, err error) {
	members, err := object(text)
	if err != nil {
		return s, fmt.Errorf(": %w", err)
	}
	element := map[string]json.RawMessage{}
	for _, m := range members {
		switch m.name {
		case "Effect", "Action", "NotAction", "Resource", "NotResource", "Condition":
			element[m.name] = m.value
		default:
			return s, fmt.Errorf(".%s: a statement has Effect, Action or NotAction, Resource or NotResource, and Condition alone", m.name)
		}
	}
	var effect string
	if effect, err = text1(element["Effect"]); err != nil || effect != "Allow" && effect != "Deny" {
		return s, fmt.Errorf(`.Effect: it is %s; write "Allow" or "Deny"`, short(element["Effect"]))
	}
	s.effect = Allow
	if effect == "Deny" {
		s.effect = Deny
	}
	actions, not, err := either(element, "Action")
	if err != nil {
		return s, err
	}
	name, foreign := "Action", not == ""
	s.notAction = not != ""
	for i, text := range actions {
		a, err := parseAction(text)
		if err != nil {
			return s, fmt.Errorf(".%s%s[%d]: %w", not, name, i, err)
		}
		foreign = foreign && isForeign(lower(text))
		s.actions = append(s.actions, a)
	}
	resources, not, err := either(element, "Resource")
	if err != nil {
		return s, err
	}
	s.notRes = not != ""
	for i, text := range resources {
		r, err := parseResource(text)
		if err != nil {
			return s, fmt.Errorf(".%sResource[%d]: %w", not, i, err)
		}
		s.resources = append(s.resources, r)
	}
	if text, ok := element["Condition"]; ok {
		if s.conditions, err = parseConditions(text, foreign); err != nil {
			return s, fmt.Errorf(".Condition: %w", err)
		}
	}
	return s, nil
}

// either returns the texts of an element or of its negation, of which a statement has
// one; not is "Not" for the latter.
func either(element map[string]json.RawMessage, name string) (values []string, not string, err error) {
	text, ok := element[name]
	negated, alsoNot := element["Not"+name]
	switch {
	case ok && alsoNot:
		return nil, "", fmt.Errorf(".%s: there is Not%s, too; write one of them", name, name)
	case !ok && !alsoNot:
		return nil, "", fmt.Errorf(".%s: it is missing", name)
	case alsoNot:
		text, not = negated, "Not"
	}
	raw, err := list(text)
	if err != nil {
		return nil, not, fmt.Errorf(".%s%s: %w", not, name, err)
	}
	for i, v := range raw {
		s, err := text1(v)
		if err != nil {
			return nil, not, fmt.Errorf(".%s%s[%d]: %w", not, name, i, err)
		}
		values = append(values, s)
	}
	return values, not, nil
}

// member is a member of an object.
type member struct {
	name  string
	value json.RawMessage
}

// object reads an object and refuses one in which a name stands twice, of which readers
// would take one or the other.
func object(text json.RawMessage) (list []member, err error) {
	d := json.NewDecoder(bytes.NewReader(text))
	t, err := d.Token()
	if err != nil {
		return nil, badJSON(err)
	}
	if t != json.Delim('{') {
		return nil, fmt.Errorf("it is %s; write an object in braces", short(text))
	}
	for d.More() {
		t, err := d.Token()
		if err != nil {
			return nil, badJSON(err)
		}
		m := member{name: t.(string)} // a decoder takes nothing else for a name
		if slices.ContainsFunc(list, func(x member) bool { return x.name == m.name }) {
			return nil, fmt.Errorf("%s: it stands twice", m.name)
		}
		if err := d.Decode(&m.value); err != nil {
			return nil, badJSON(err)
		}
		list = append(list, m)
	}
	if _, err := d.Token(); err != nil {
		return nil, badJSON(err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return nil, errors.New("something follows the closing brace; leave it out")
	}
	return list, nil
}

// list reads a list, or what stands alone as a list of one.
func list(text json.RawMessage) (values []json.RawMessage, err error) {
	if len(text) == 0 || text[0] != '[' {
		return []json.RawMessage{text}, nil
	}
	if err := json.Unmarshal(text, &values); err != nil {
		return nil, badJSON(err)
	}
	if len(values) == 0 {
		return nil, errors.New("the list is empty, and would mean nothing; leave it out, or name something")
	}
	return values, nil
}

// text1 reads a text.
func text1(text json.RawMessage) (s string, err error) {
	if len(text) == 0 || text[0] != '"' || json.Unmarshal(text, &s) != nil {
		return "", fmt.Errorf("it is %s; write a text in quotation marks", short(text))
	}
	return s, nil
}

// bare returns a value without quotation marks: numbers and truth values may stand with
// them or without.
func bare(text json.RawMessage) string {
	if s, err := text1(text); err == nil {
		return s
	}
	return string(text)
}

// short shows what is there instead of what should be.
func short(text json.RawMessage) string {
	switch s := strings.Join(strings.Fields(string(text)), " "); {
	case s == "":
		return "missing"
	case len(s) > 60:
		return strings.ToValidUTF8(s[:60], "") + "…"
	default:
		return s
	}
}

func badJSON(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errors.New("it is no JSON: it ends too early")
	}
	return fmt.Errorf("it is no JSON: %s", strings.TrimPrefix(err.Error(), "json: "))
}
