package aliyun

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
)

// jsonMembers reads the value of a JSON-valued parameter, one object, into
// parameters of its members' names. The documents' examples quote numbers and
// truth values in some places and not in others: all are taken by how they are
// written. A null counts as not given. ok is false for what is no such object,
// and for members that are objects or lists themselves.
func jsonMembers(text string) (p *Params, ok bool) {
	d := json.NewDecoder(strings.NewReader(text))
	d.UseNumber()
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, false
	}
	p = &Params{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return nil, false
		}
		value, err := d.Token()
		if err != nil {
			return nil, false
		}
		key, _ := name.(string) // the names of an object's members are strings
		switch v := value.(type) {
		case string:
			p.Add(key, v)
		case json.Number:
			p.Add(key, v.String())
		case bool:
			p.Add(key, map[bool]string{true: "true", false: "false"}[v])
		case nil:
		default:
			return nil, false
		}
	}
	if _, err := d.Token(); err != nil { // the closing brace
		return nil, false
	}
	_, err := d.Token()
	return p, errors.Is(err, io.EOF)
}

// onlyItem returns the only item of a JSON list, as a text; the empty text of anything else.
func onlyItem(text string) string {
	var list []json.RawMessage
	if json.Unmarshal([]byte(text), &list) != nil || len(list) != 1 {
		return ""
	}
	return string(list[0])
}

// unknown returns the first of the members that is none of these names; empty if there is
// none. A member of a JSON value that is not known is not passed over, as a parameter of
// that name would be: it stands inside something that the action takes as a whole.
func (p *Params) unknown(known ...string) string {
	for name := range p.All() {
		if !anyFold(known, name) {
			return name
		}
	}
	return ""
}
