package aliyun

import (
	"strings"
	"testing"
)

// accepts says whether a parser takes a text.
func accepts[T any](parse func(string) (T, bool)) func(string) bool {
	return func(v string) bool { _, ok := parse(v); return ok }
}

func TestChecks(t *testing.T) {
	name := func(v string) bool { return isName(v, 1, 8) }
	text := func(v string) bool { return isDescription(v, 2, 16) }
	token := func(v string) bool { return isToken(v, 8) }
	number := func(v string) bool { _, ok := parseInt(v, 1, 50); return ok }
	truth := func(v string) bool { _, ok := parseBool(v); return ok }
	identity := func(v string) bool { return isIKEIdentity(v, 100) }
	for _, c := range []struct {
		what      string
		ok        func(string) bool
		good, bad []string
	}{
		{"IPv4", accepts(parseIPv4), []string{"0.0.0.0", "203.0.113.7", "255.255.255.255"},
			[]string{"", "1.2.3", "1.2.3.4.5", "1.2.3.256", "01.2.3.4", "1.2.3.4 ", "::1", "::ffff:1.2.3.4", "a.b.c.d", "1.2.3.4%e"}},
		{"CIDR", accepts(parseCIDR), []string{"0.0.0.0/0", "10.0.0.0/8", "10.1.2.3/32"},
			[]string{"", "10.0.0.0", "10.0.0.1/8", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/08", "10.0.0.0/", "fd00::/8", "/8"}},
		{"CIDR or address", accepts(parseCIDROrIPv4), []string{"0.0.0.0/0", "10.1.2.3/32", "10.1.2.3"},
			[]string{"", "10.0.0.1/8", "10.0.0", "10.0.0.01", "::1", "::ffff:1.2.3.4", "10.1.2.3/", " 10.1.2.3"}},
		{"port", isPort, []string{"1", "80", "65535"},
			[]string{"", "0", "65536", "080", "-1", "+1", "1.0", "Any", " 1", "99999999999999999999"}},
		{"ports", isPorts, []string{"1", "65535", "80/90", "80/80", "1/65535"}, []string{"", "/", "80/", "/80", "90/80", "0/5", "80/65536", "080/90", "80/090", "80-90", "1/2/3", "Any"}},
		{"name", name, []string{"a", "中", "1a", "_a", "a.b", "a b!", " ", "中 (1)", "abcdefgh", strings.Repeat("中", 8), "a http:/"},
			[]string{"", "abcdefghi", "http://", "HTTPS://", "a\x00b", "a\xff", "a\x07b", "a\nb", "a\tb", "a\u2028b"}},
		{"description", text, []string{"12", "any text, 中文", "line\nline"}, []string{"1", "http://x", "hTTps://x", "a\x00b", "a\xff", "a\ufffe", "a\uffff", strings.Repeat("x", 17)}},
		{"IKE identity", identity, []string{"203.0.113.7", "branch", "@branch", "a_b.example", "1-2", "10.0.0.1-a", "@0.0.0.0"},
			[]string{"", "@", "%any", "two words", "user@example", "-x", "a..b", "a*", "10.0.0.0/8", "0.0.0.0", "10.0.0.1-10.0.0.9"}},
		{"token", token, []string{"a", "A-1_ ~", "12345678"}, []string{"", "123456789", "中", "a\n"}},
		{"number", number, []string{"1", "50", "007"}, []string{"", "0", "51", "-1", "+1", "1.5", "0x1", "1e1", " 1", "1_0"}},
		{"boolean", truth, []string{"true", "TRUE", "False"}, []string{"", "1", "yes", "t", " true"}},
	} {
		for _, v := range c.good {
			if !c.ok(v) {
				t.Errorf("%s: %q is refused", c.what, v)
			}
		}
		for _, v := range c.bad {
			if c.ok(v) {
				t.Errorf("%s: %q is accepted", c.what, v)
			}
		}
	}
}
