package tencent3

import (
	"fmt"
	"maps"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// kind is what a value holds.
type kind int

const (
	text kind = iota
	number
	truth
	address // an IPv4 address
	block   // an IPv4 CIDR block, without a bit behind its mask
)

// field is what a parameter, or a member of one, has to be. It stands at the place of its
// member in the Go type of the request.
type field struct {
	name     string
	list     bool
	kind     kind   // of the value, or of each of a list's
	members  fields // of an object, or of each of a list's
	required bool
	secret   bool
	form     string // id, name, description (which may be empty where it is required); empty: any text
	enum     []string
	min, max int // of a number; max 0: no limit
	longest  int // of a text, in characters, or in bytes; 0: no limit
	bytes    bool
	most     int    // items of a list; 0: no limit
	initial  string // value if it is not given
}

type fields []field

// Limits on filters that hold for all listings (document, DescribeVpcs and others: "at most
// 10 filters, of at most 5 values each").
const maxFilters, maxFilterValues = 10, 5

// Filter narrows a listing: what it names has one of the values.
type Filter struct {
	Name   string
	Values []string
}

// filterFields are the members of a filter of one of the names.
func filterFields(names ...string) fields {
	return fields{
		{name: "Name", required: true, enum: names},
		{name: "Values", list: true, required: true, most: maxFilterValues},
	}
}

// decode checks an object's members against what they have to be, and puts them into a
// structure. at is the name of the object, with a dot behind it. It refuses, for the first
// reason of these: UnknownParameter, MissingParameter, and what the action documents for a
// value, or the common code.
func (fs fields) decode(action string, in object, into reflect.Value, at string) *Error {
	for _, name := range slices.Sorted(maps.Keys(in)) {
		if !slices.ContainsFunc(fs, func(f field) bool { return f.name == name }) {
			return unknownParameter(at + name)
		}
	}
	for i, f := range fs {
		v, given := in[f.name]
		name := at + f.name
		if l, ok := v.([]any); ok && len(l) == 0 || v == "" && f.form != "description" && (f.required || f.form != "name" && f.kind != text) {
			given = false // as if it were not given
		}
		switch {
		case !given && f.required:
			return missingParameter(name)
		case !given && f.initial == "":
			continue
		case !given:
			v = f.initial
		}
		if refusal := f.put(action, v, into.Field(i), name); refusal != nil {
			return refusal
		}
	}
	return nil
}

// put checks a value, and puts it where it belongs.
func (f *field) put(action string, v any, into reflect.Value, name string) *Error {
	if !f.list {
		return f.putOne(action, v, into, name)
	}
	list, ok := v.([]any)
	if !ok {
		return wrongType(name, "a list")
	}
	if f.most > 0 && len(list) > f.most {
		return refuse(action, []string{"InvalidParameterValue.Range", "InvalidParameterValue"}, name, fmt.Sprintf("%d items are the most", f.most))
	}
	made := reflect.MakeSlice(into.Type(), len(list), len(list))
	for i, item := range list {
		if refusal := f.putOne(action, item, made.Index(i), name+"."+strconv.Itoa(i)); refusal != nil {
			return refusal
		}
	}
	into.Set(made)
	return nil
}

func (f *field) putOne(action string, v any, into reflect.Value, name string) *Error {
	if into.Kind() == reflect.Pointer {
		into.Set(reflect.New(into.Type().Elem()))
		into = into.Elem()
	}
	if f.members != nil {
		o, ok := v.(object)
		if !ok {
			return wrongType(name, "an object")
		}
		return f.members.decode(action, o, into, name+".")
	}
	s, ok := v.(string)
	if !ok {
		return wrongType(name, "a value")
	}
	return f.putText(action, s, into, name)
}

func (f *field) putText(action, s string, into reflect.Value, name string) *Error {
	malformed := func(want string) *Error {
		return refuse(action, []string{"InvalidParameterValue.Malformed", "InvalidParameterValue"}, name, want)
	}
	switch f.kind {
	case number:
		n, err := strconv.Atoi(s)
		if err != nil {
			return wrongType(name, "a whole number")
		}
		if n < f.min || f.max > 0 && n > f.max {
			want := fmt.Sprintf("it is to be %d or more", f.min)
			if f.max > 0 {
				want = fmt.Sprintf("it is to be %d to %d", f.min, f.max)
			}
			return refuse(action, []string{"InvalidParameterValue.Range", "InvalidParameterValue"}, name, want)
		}
		if len(f.enum) > 0 && !slices.Contains(f.enum, strconv.Itoa(n)) {
			return refuse(action, []string{"InvalidParameterValue"}, name, "it is to be one of "+strings.Join(f.enum, ", "))
		}
		into.SetInt(int64(n))
	case truth:
		b, err := strconv.ParseBool(strings.ToLower(s))
		if err != nil || len(s) == 1 && s != "0" && s != "1" {
			return wrongType(name, "true or false")
		}
		into.SetBool(b)
	case address:
		a, err := netip.ParseAddr(s)
		if err != nil || !a.Is4() {
			return malformed("it is to be an IPv4 address")
		}
		into.Set(reflect.ValueOf(a))
	case block:
		p, err := netip.ParsePrefix(s)
		if err != nil || !p.Addr().Is4() || p != p.Masked() {
			return malformed("it is to be an IPv4 CIDR block without a bit behind its mask, as 10.8.0.0/16")
		}
		into.Set(reflect.ValueOf(p))
	default:
		if refusal := f.checkText(action, s, name); refusal != nil {
			return refusal
		}
		into.SetString(s)
	}
	return nil
}

// checkText checks what a text has to be: printable in any case.
func (f *field) checkText(action, s, name string) *Error {
	length, unit := utf8.RuneCountInString(s), "characters"
	if f.bytes {
		length, unit = len(s), "bytes"
	}
	switch {
	case !utf8.ValidString(s) || strings.ContainsFunc(s, unicode.IsControl):
		return refuse(action, []string{"InvalidParameterValue"}, name, "it is to be UTF-8 without control characters")
	case len(f.enum) > 0 && !slices.Contains(f.enum, s):
		return refuse(action, []string{"InvalidParameterValue"}, name, "it is to be one of "+strings.Join(f.enum, ", "))
	case f.longest > 0 && length > f.longest:
		return refuse(action, []string{"InvalidParameterValue.TooLong", "InvalidParameterValue"}, name, fmt.Sprintf("%d %s are the most", f.longest, unit))
	case f.form == "id" && (strings.HasSuffix(name, "InstanceId") || strings.HasPrefix(name, "InstanceIds.")):
		if !instanceID.MatchString(s) {
			return refuse(action, []string{"InvalidInstanceId.Malformed", "InvalidParameterValue.Malformed", "InvalidParameterValue"}, name, "it is to be the id of an instance of the inventory")
		}
	case f.form == "id" && !isID(s):
		kind, _, _ := strings.Cut(name, ".")
		return refuse(action, []string{"Invalid" + strings.TrimSuffix(kind, "s") + ".Malformed", "InvalidSecurityGroupID.Malformed", "InvalidParameterValue.Malformed", "InvalidParameterValue"}, name, "it is to be an id, as vpc-4tboefn3")
	}
	return nil
}

// instanceID is the form of the ids that operators give instances.
var instanceID = regexp.MustCompile(`^[A-Za-z][A-Za-z0-9._-]{1,63}$`)

// isID says whether a text has the form of an id of any family: letters, a hyphen, and
// letters and digits.
func isID(s string) bool {
	prefix, rest, ok := strings.Cut(s, "-")
	letters := func(c rune) bool { return c < 'a' || c > 'z' }
	word := func(c rune) bool { return letters(c) && (c < '0' || c > '9') }
	return ok && prefix != "" && len(prefix) <= 12 && !strings.ContainsFunc(prefix, letters) &&
		rest != "" && len(rest) <= 32 && !strings.ContainsFunc(rest, word)
}
