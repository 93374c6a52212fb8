package policy

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math/big"
	"net/netip"
	"slices"
	"strings"
	"time"
)

// condition is an operator with a key and its values: it is met if one of the values is,
// a negated one if none of them is.
type condition struct {
	key     string // in lower case
	negated bool
	// test says whether a value of the request meets the condition; known is false for a
	// value that the operator cannot compare.
	test func(value string) (met, known bool)
}

// kind is what values of a key are.
type kind int

const (
	textual kind = iota // anything: compared as texts alone
	boolean
	moment
	address
	number
)

func (k kind) String() string {
	return [...]string{"a text", "a truth value", "a time", "an IP address", "a number"}[k]
}

// keys are the condition keys of which requests have values here. The services' own are
// those of the documents' table.
var keys = map[string]struct {
	kind    kind
	written string
}{
	"acs:sourceip":        {address, "acs:SourceIp"},
	"acs:securetransport": {boolean, "acs:SecureTransport"},
	"acs:currenttime":     {moment, "acs:CurrentTime"},
	"acs:mfapresent":      {boolean, "acs:MFAPresent"},
	"vpc:vpc":             {textual, "vpc:Vpc"},
	"vpc:vrouter":         {textual, "vpc:VRouter"},
}

// served are the services of which there is something here.
var served = []string{"acs", "vpc", "ram", "ecs", "sts"}

// Keys returns the condition keys that documents may have, as they are written.
func Keys() (list []string) {
	for _, k := range keys {
		list = append(list, k.written)
	}
	slices.Sort(list)
	return list
}

// operator is a condition operator.
type operator struct {
	of      kind // of what it compares; a text may be compared with any key's
	negated bool
	// compile reads one value of a document and returns what compares with it.
	compile func(json.RawMessage) (func(value string) (met, known bool), error)
}

// operators are they by name. Source: RAM documentation, "Conditional operators".
var operators = map[string]operator{
	"StringEquals":              {textual, false, texts(func(want, have string) bool { return want == have })},
	"StringNotEquals":           {textual, true, texts(func(want, have string) bool { return want == have })},
	"StringEqualsIgnoreCase":    {textual, false, texts(strings.EqualFold)},
	"StringNotEqualsIgnoreCase": {textual, true, texts(strings.EqualFold)},
	"StringLike":                {textual, false, likes},
	"StringNotLike":             {textual, true, likes},
	"NumericEquals":             {number, false, numbers(func(c int) bool { return c == 0 })},
	"NumericNotEquals":          {number, true, numbers(func(c int) bool { return c == 0 })},
	"NumericLessThan":           {number, false, numbers(func(c int) bool { return c < 0 })},
	"NumericLessThanEquals":     {number, false, numbers(func(c int) bool { return c <= 0 })},
	"NumericGreaterThan":        {number, false, numbers(func(c int) bool { return c > 0 })},
	"NumericGreaterThanEquals":  {number, false, numbers(func(c int) bool { return c >= 0 })},
	"DateEquals":                {moment, false, moments(func(c int) bool { return c == 0 })},
	"DateNotEquals":             {moment, true, moments(func(c int) bool { return c == 0 })},
	"DateLessThan":              {moment, false, moments(func(c int) bool { return c < 0 })},
	"DateLessThanEquals":        {moment, false, moments(func(c int) bool { return c <= 0 })},
	"DateGreaterThan":           {moment, false, moments(func(c int) bool { return c > 0 })},
	"DateGreaterThanEquals":     {moment, false, moments(func(c int) bool { return c >= 0 })},
	"Bool":                      {boolean, false, truths},
	"IpAddress":                 {address, false, addresses},
	"NotIpAddress":              {address, true, addresses},
}

// parseConditions reads a Condition. foreign says that the statement is about other
// services alone, whose keys are not known here and decide nothing.
func parseConditions(text json.RawMessage, foreign bool) (list []condition, err error) {
	byOperator, err := object(text)
	if err != nil {
		return nil, err
	}
	if len(byOperator) == 0 {
		return nil, errors.New("it is empty; leave it out if there is no condition")
	}
	for _, o := range byOperator {
		op, ok := operators[o.name]
		if !ok {
			return nil, fmt.Errorf("%s: there is no such operator%s", o.name, similar(o.name, slices.Sorted(maps.Keys(operators))))
		}
		byKey, err := object(o.value)
		if err == nil && len(byKey) == 0 {
			err = errors.New("it has no condition key; leave the operator out, or name one")
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", o.name, err)
		}
		seen := map[string]bool{}
		for _, k := range byKey {
			c, err := parseCondition(op, k, foreign)
			if err == nil && seen[c.key] {
				err = errors.New("it stands twice; case makes no difference")
			}
			if err != nil {
				return nil, fmt.Errorf("%s.%s: %w", o.name, k.name, err)
			}
			seen[c.key] = true
			list = append(list, c)
		}
	}
	return list, nil
}

func parseCondition(op operator, k member, foreign bool) (condition, error) {
	c := condition{key: lower(k.name), negated: op.negated}
	known, ok := keys[c.key]
	switch {
	case !ok && !(foreign && isForeign(c.key)):
		return c, fmt.Errorf("no request has a value of this key here%s", similar(k.name, Keys()))
	case ok && op.of != textual && op.of != known.kind:
		return c, fmt.Errorf("the operator compares with %s, and the key's value is %s", op.of, known.kind)
	}
	values, err := list(k.value)
	if err != nil {
		return c, err
	}
	tests := make([]func(string) (bool, bool), 0, len(values))
	for i, v := range values {
		test, err := op.compile(v)
		if err != nil {
			if len(values) > 1 {
				err = fmt.Errorf("value %d: %w", i+1, err)
			}
			return c, err
		}
		tests = append(tests, test)
	}
	c.test = func(value string) (met, known bool) {
		for _, t := range tests {
			var m bool
			if m, known = t(value); m || !known {
				return m != op.negated, known
			}
		}
		return op.negated, known
	}
	return c, nil
}

// isForeign says whether a key or an action, in lower case, is of a service of which
// there is nothing here.
func isForeign(name string) bool {
	service, _, ok := strings.Cut(name, ":")
	return ok && service != "" && !strings.Contains(service, "*") && !slices.Contains(served, service)
}

func texts(equal func(want, have string) bool) func(json.RawMessage) (func(string) (bool, bool), error) {
	return func(text json.RawMessage) (func(string) (bool, bool), error) {
		want, err := text1(text)
		return func(v string) (bool, bool) { return equal(want, v), true }, err
	}
}

func likes(text json.RawMessage) (func(string) (bool, bool), error) {
	want, err := text1(text)
	p := newLike(want)
	return func(v string) (bool, bool) { return p.match(v), true }, err
}

func numbers(holds func(int) bool) func(json.RawMessage) (func(string) (bool, bool), error) {
	return func(text json.RawMessage) (func(string) (bool, bool), error) {
		want, err := parseNumber(bare(text))
		return func(v string) (bool, bool) {
			have, err := parseNumber(v)
			if err != nil {
				return false, false
			}
			return holds(have.Cmp(want)), true
		}, err
	}
}

// parseNumber reads a decimal number exactly.
func parseNumber(text string) (*big.Rat, error) {
	n, ok := new(big.Rat), len(text) <= 40 && text != "" && strings.Trim(text, "+-.0123456789") == ""
	if ok {
		n, ok = n.SetString(text)
	}
	if !ok {
		return nil, fmt.Errorf("%s is no decimal number", text)
	}
	return n, nil
}

func moments(holds func(int) bool) func(json.RawMessage) (func(string) (bool, bool), error) {
	return func(text json.RawMessage) (func(string) (bool, bool), error) {
		s, err := text1(text)
		if err != nil {
			return nil, err
		}
		want, err := parseTime(s)
		return func(v string) (bool, bool) {
			have, err := parseTime(v)
			if err != nil {
				return false, false
			}
			return holds(have.Compare(want)), true
		}, err
	}
}

func parseTime(text string) (time.Time, error) {
	for _, layout := range []string{time.RFC3339Nano, "2006-01-02T15:04Z07:00"} {
		if t, err := time.Parse(layout, text); err == nil {
			return t, nil
		}
	}
	return time.Time{}, fmt.Errorf("%q is no time; write it as 2026-11-29T17:00:00+08:00, with its time zone", text)
}

func truths(text json.RawMessage) (func(string) (bool, bool), error) {
	want := lower(bare(text))
	if want != "true" && want != "false" {
		return nil, fmt.Errorf(`%s is no truth value; write "true" or "false"`, text)
	}
	return func(v string) (bool, bool) {
		v = lower(v)
		return v == want, v == "true" || v == "false"
	}, nil
}

// addresses reads an address or a CIDR block, of which only the bits before the mask
// count.
func addresses(text json.RawMessage) (func(string) (bool, bool), error) {
	s, err := text1(text)
	if err != nil {
		return nil, err
	}
	block, err := netip.ParsePrefix(s)
	if err != nil {
		var a netip.Addr
		if a, err = netip.ParseAddr(s); err == nil && a.Zone() == "" {
			a = a.Unmap()
			block = netip.PrefixFrom(a, a.BitLen())
		} else {
			return nil, fmt.Errorf("%q is no IP address and no CIDR block; write 203.0.113.7 or 203.0.113.0/24", s)
		}
	}
	if block.Addr().Is4In6() {
		return nil, fmt.Errorf("%q is an IPv4 block written as IPv6; write it as IPv4", s)
	}
	block = block.Masked()
	return func(v string) (bool, bool) {
		a, err := netip.ParseAddr(v)
		if err != nil {
			return false, false
		}
		return block.Contains(a.WithZone("").Unmap()), true
	}, nil
}

// similar names what was meant, or what there is.
func similar(name string, among []string) string {
	for _, x := range among {
		if strings.EqualFold(x, name) || strings.EqualFold(strings.TrimSuffix(x, "s"), strings.TrimSuffix(name, "s")) {
			return "; write " + x
		}
	}
	return "; there are " + strings.Join(among, ", ")
}
