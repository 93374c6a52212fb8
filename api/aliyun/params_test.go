package aliyun

import (
	"net/url"
	"strings"
	"testing"
)

func TestParamsLookup(t *testing.T) {
	p := NewParams("regionid", "low", "RegionID", "id", "VpcName", "first", "VpcName", "second", "Empty", "")
	for name, want := range map[string]string{
		"RegionID": "id",  // exact
		"regionid": "low", // exact
		"RegionId": "low", // folded: the first of both spellings
		"VpcName":  "first",
		"VPCNAME":  "first",
		"Empty":    "",
		"Absent":   "",
	} {
		if got := p.Get(name); got != want {
			t.Errorf("Get(%s) = %q, want %q", name, got, want)
		}
	}
	if _, ok := p.Lookup("empty"); !ok {
		t.Error("a parameter without a value counts as absent")
	}
	if _, ok := p.Lookup("Absent"); ok {
		t.Error("an absent parameter is found")
	}
	var all []string
	for name, value := range p.All() {
		all = append(all, name+"="+value)
	}
	if got, want := strings.Join(all, "&"), "regionid=low&RegionID=id&VpcName=first&Empty="; got != want {
		t.Errorf("All gives %s, want %s", got, want)
	}
	if p.Len() != 5 {
		t.Errorf("Len = %d, want 5", p.Len())
	}
}

// A request whose order would decide which of two values counts is refused.
func TestParamsAmbiguous(t *testing.T) {
	for query, want := range map[string]string{
		"VpcId=a&RegionId=r":                  "",
		"VpcId=a&VpcId=b":                     "", // the first one, which the signature covers
		"VpcId=a&vpcid=a":                     "",
		"VpcId=a&X=1&vpcid=b":                 "vpcid",
		"vpcid=b&X=1&VpcId=a":                 "VpcId",
		"VpcId=a&vpcid=a&VPCID=b":             "VPCID",
		"Tag.1.Key=a&tag.1.key=b&TAG.1.KEY=c": "tag.1.key",
	} {
		p, err := ParseParams(query)
		if err != nil {
			t.Fatal(err)
		}
		if got := p.Ambiguous(); got != want {
			t.Errorf("%s: %q, want %q", query, got, want)
		}
	}
}

func TestZeroParams(t *testing.T) {
	var p Params
	if p.Get("X") != "" || p.Len() != 0 || p.Fingerprint() == "" {
		t.Error("the zero Params cannot be used")
	}
}

func TestParseParams(t *testing.T) {
	p, err := ParseParams("Action=CreateVpc&&VpcName=a+b%20%E4%B8%AD&Flag&X=1=2")
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"Action": "CreateVpc", "VpcName": "a b 中", "Flag": "", "X": "1=2"} {
		if got, ok := p.Lookup(name); !ok || got != want {
			t.Errorf("%s = %q %v, want %q", name, got, ok, want)
		}
	}
	for _, bad := range []string{"a=%", "%zz=1", "a=1;b=2"} {
		if _, err := ParseParams(bad); err == nil {
			t.Errorf("%q is accepted", bad)
		}
	}
}

func TestFingerprint(t *testing.T) {
	base := []string{"Action", "CreateVpc", "RegionId", "r", "AccessKeyId", "k", "ClientToken", "t",
		"SignatureNonce", "1", "Timestamp", "2016-01-01T00:00:00Z", "Signature", "s"}
	want := NewParams(base...).Fingerprint()
	same := NewParams("TimeStamp", "2020-01-01T00:00:00Z", "signaturenonce", "2", "Signature", "x",
		"ClientToken", "t", "AccessKeyId", "k", "RegionId", "r", "Action", "CreateVpc")
	if got := same.Fingerprint(); got != want {
		t.Error("order, nonce, time or signature change the fingerprint")
	}
	for i := 0; i < 8; i += 2 {
		changed := append([]string{}, base...)
		changed[i+1] += "x"
		if NewParams(changed...).Fingerprint() == want {
			t.Errorf("another %s leaves the fingerprint as it was", base[i])
		}
	}
	if NewParams(append(base, "VpcName", "n")...).Fingerprint() == want {
		t.Error("a further parameter leaves the fingerprint as it was")
	}
	if NewParams("a", "bc").Fingerprint() == NewParams("ab", "c").Fingerprint() {
		t.Error("names and values run together")
	}
}

func TestIndexes(t *testing.T) {
	for _, c := range []struct {
		names string
		n     int
		ok    bool
	}{
		{"", 0, true},
		{"L.1.A L.1.B L.2.A", 2, true},
		{"l.1.a L.2.A", 2, true},
		{"L.2.A", 2, false},        // gap
		{"L.1.A L.3.A", 3, false},  // gap
		{"L.0.A", 0, false},        // counts from 1
		{"L.01.A", 0, false},       // one spelling only
		{"L.x.A", 0, false},        // no number
		{"L.-1.A", 0, false},       // no number
		{"L.1.Unknown", 0, true},   // not ours
		{"L.99999999.A", 0, false}, // beyond reason
		{"Other.1.A LL.1.A", 0, true},
	} {
		p := &Params{}
		for _, name := range strings.Fields(c.names) {
			p.Add(name, "v")
		}
		n, ok := p.indexes("L", "A", "B")
		if ok != c.ok || ok && n != c.n {
			t.Errorf("%q: %d %v, want %d %v", c.names, n, ok, c.n, c.ok)
		}
	}
}

// FuzzParams: whatever is parsed can be looked up, written and parsed again to
// the same parameters and the same fingerprint.
func FuzzParams(f *testing.F) {
	for _, s := range []string{"", "a=1&a=2&A=3", "Action=CreateVpc&VpcName=%E4%B8%AD+x", "%00=%ff", "L.1.A=x&L.2.A=y", "=&=v&&"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, query string) {
		p, err := ParseParams(query)
		if err != nil {
			return
		}
		var again []string
		for name, value := range p.All() {
			if got, ok := p.Lookup(name); !ok || got != value {
				t.Fatalf("Lookup(%q) = %q %v, All has %q", name, got, ok, value)
			}
			again = append(again, url.QueryEscape(name)+"="+url.QueryEscape(value))
		}
		q, err := ParseParams(strings.Join(again, "&"))
		if err != nil {
			t.Fatalf("what was written does not parse: %v", err)
		}
		if p.Fingerprint() != q.Fingerprint() {
			t.Fatalf("%q: another fingerprint after a round trip", query)
		}
		if n, ok := p.indexes("L", "A"); ok && n > p.Len() {
			t.Fatalf("%d items of %d parameters", n, p.Len())
		}
	})
}
