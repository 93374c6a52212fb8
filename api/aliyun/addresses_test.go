package aliyun

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/api/spec"
)

// TestAddressesAreParsedByTheDecoder: every parameter of a supported action that
// is an address or a block of addresses comes to the handler as one, and what is
// none is refused with the error that the action has for it.
func TestAddressesAreParsedByTheDecoder(t *testing.T) {
	catalog, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	fields := 0
	for _, a := range catalog.Family(spec.Aliyun).Actions() {
		if !a.Supported() {
			continue
		}
		for _, f := range a.Request {
			if isAddress(f) {
				fields++
				checkAddress(t, a, f, nil)
			}
			for _, m := range f.Members {
				if isAddress(m) {
					fields++
					checkAddress(t, a, m, f)
				}
			}
		}
	}
	if fields < 30 {
		t.Errorf("only %d such parameters were found", fields)
	}
}

func isAddress(f *spec.Field) bool {
	return slices.Contains([]string{"ipv4", "cidr", "ip-list", "cidr-list"}, f.Format)
}

// spellings are texts that stand for an address or a block, and texts that do not.
var spellings = []string{
	"0.0.0.0", "10.1.2.3", "255.255.255.255", "10.1.2", "10.1.2.3.4", "10.1.2.256", "010.1.2.3", "10.1.2.03", "10.1.2.3 ", " 10.1.2.3", "0x0a.1.2.3", "167838211",
	"::", "::1", "fd00::1", "::ffff:10.1.2.3", "fe80::1%eth0", "10.1.2.3%eth0",
	"0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32", "10.1.2.0/31", "10.1.2.3/8", "10.1.2.1/31", "10.0.0.0/08", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/", "/8", "10.0.0/8",
	"10.0.0.0/255.0.0.0", "10.00.0.0/8", "fd00::/8", "::ffff:10.0.0.0/104", "10.0.0.0/8/8", "10.0.0.0 /8",
	"10.0.0.0/8,192.168.0.0/16", "10.1.2.3,10.1.2.4", "10.1.2.3, 10.1.2.4", "10.0.0.0/8 ,192.168.0.0/16", "10.1.2.3,", ",10.0.0.0/8", ",", "10.0.0.0/8;10.0.0.0/8",
	"10.0.0.0/8,10.0.0.1/8", "10.1.2.3,::1", "-1", " -1", "-1,10.0.0.0/8", "Any", "x", " ", "0",
}

// checkAddress tries all spellings of a parameter, or of a member of one.
func checkAddress(t *testing.T, a *spec.Action, f, in *spec.Field) {
	t.Helper()
	for _, v := range spellings {
		p, name := request(a, first(f.Name), v), first(f.Name)
		if in != nil {
			text, err := json.Marshal(map[string]string{f.Name: v})
			if err != nil {
				t.Fatal(err)
			}
			p, name = request(a, in.Name, string(text)), in.Name+"."+f.Name
		}
		where := fmt.Sprintf("%s %s=%q", a.Key(), name, v)
		got, refusal := actions[a.Key()].decode(p)
		want, ok := expected(f, v)
		switch {
		case ok && refusal != nil:
			t.Errorf("%s: %v", where, refusal)
		case ok:
			value := reflect.ValueOf(got).Elem()
			if in != nil {
				value = value.FieldByName(upper(in.Name)).Elem()
			}
			value = value.FieldByName(upper(strings.TrimSuffix(f.Name, ".N")))
			if strings.HasSuffix(f.Name, ".N") {
				value = value.Index(0)
			}
			if value.Kind() == reflect.Pointer {
				value = value.Elem()
			}
			if !reflect.DeepEqual(value.Interface(), want) {
				t.Errorf("%s: %T %v, want %T %v", where, value.Interface(), value, want, want)
			}
		case refusal == nil:
			t.Errorf("%s is accepted", where)
		default:
			code, message := "InvalidParameter", fmt.Sprintf("The specified parameter %q is not valid.", name)
			if f.Malformed != "" {
				code, message = f.Malformed, f.MalformedMessage
			}
			if refusal.HTTP != 400 || refusal.Code != code || !strings.Contains(refusal.Message, message) {
				t.Errorf("%s: %v, want %s %s", where, refusal, code, message)
			}
		}
	}
}

func upper(wire string) string { return strings.ToUpper(wire[:1]) + wire[1:] }

// request sets a parameter, and what else the action requires.
func request(a *spec.Action, name, value string) *Params {
	p := NewParams(name, value) // of a name that comes twice the first counts
	for _, f := range a.Request {
		if !f.Required {
			continue
		}
		v := "x1"
		switch {
		case len(f.Enum) > 0:
			v = fmt.Sprint(f.Enum[0])
		case f.Format == "ipv4", f.Format == "ip-list":
			v = "192.0.2.1"
		case f.Format == "cidr", f.Format == "cidr-list":
			v = "192.0.2.0/24"
		case f.Format == "port":
			v = "80"
		case f.Min != nil:
			v = strconv.FormatInt(*f.Min, 10)
		case f.Type == "Integer", f.Type == "Long":
			v = "1"
		case f.Type == "Boolean":
			v = "true"
		}
		p.Add(first(f.Name), v)
	}
	return p
}

// first is the name of the first item of a list, and of another parameter its own.
func first(name string) string { return strings.ReplaceAll(name, ".N", ".1") }

const octet = `(?:0|[1-9]\d?|1\d\d|2[0-4]\d|25[0-5])`

var (
	quad   = regexp.MustCompile(`^` + octet + `(?:\.` + octet + `){3}$`)
	masked = regexp.MustCompile(`^(\S+)/(\d|[12]\d|3[0-2])$`)
)

// expected is what a spelling stands for, by rules of its own.
func expected(f *spec.Field, v string) (value any, ok bool) {
	switch f.Format {
	case "ipv4":
		return expectedAddr(v)
	case "cidr":
		if a, ok := expectedAddr(v); ok && f.BareAddress {
			return netip.PrefixFrom(a, 32), true
		}
		return expectedBlock(v)
	case "ip-list":
		return expectedList(f, v, expectedAddr)
	}
	return expectedList(f, v, expectedBlock)
}

func expectedAddr(v string) (a netip.Addr, ok bool) {
	if !quad.MatchString(v) {
		return a, false
	}
	return netip.MustParseAddr(v), true
}

func expectedBlock(v string) (p netip.Prefix, ok bool) {
	m := masked.FindStringSubmatch(v)
	if m == nil {
		return p, false
	}
	a, ok := expectedAddr(m[1])
	if !ok {
		return p, false
	}
	bits, _ := strconv.Atoi(m[2])
	b := a.As4()
	host := uint64(b[0])<<24 | uint64(b[1])<<16 | uint64(b[2])<<8 | uint64(b[3])
	if host%(1<<(32-bits)) != 0 {
		return p, false
	}
	return netip.PrefixFrom(a, bits), true
}

func expectedList[T any](f *spec.Field, v string, each func(string) (T, bool)) (any, bool) {
	if slices.Contains(f.Literals, v) {
		return []T{}, true
	}
	var list []T
	for item := range strings.SplitSeq(v, ",") {
		x, ok := each(strings.TrimSpace(item))
		if !ok {
			return nil, false
		}
		list = append(list, x)
	}
	return list, true
}
