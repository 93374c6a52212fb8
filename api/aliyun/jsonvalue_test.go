package aliyun

import (
	"maps"
	"testing"
)

func TestJSONMembers(t *testing.T) {
	for text, want := range map[string]map[string]string{
		`{}`:                                     {},
		` {"a":"x","b":5, "c":true,"d":false} `:  {"a": "x", "b": "5", "c": "true", "d": "false"},
		`{"a":null,"b":""}`:                      {"b": ""},
		`{"a":"first","a":"second"}`:             {"a": "first"},
		`{"quote\u0022d":"line\nbreak","n":1e3}`: {"quote\"d": "line\nbreak", "n": "1e3"},
		``:                                       nil,
		`5`:                                      nil,
		`[]`:                                     nil,
		`"x"`:                                    nil,
		`null`:                                   nil,
		`{"a":{}}`:                               nil,
		`{"a":[1]}`:                              nil,
		`{"a":1`:                                 nil,
		`{"a":1,}`:                               nil,
		`{"a" 1}`:                                nil,
		`{a:1}`:                                  nil,
		`{"a":1} x`:                              nil,
		`{"a":1}{}`:                              nil,
		`{'a':'1'}`:                              nil,
		"{\"a\":\"\n\"}":                         nil, // a line break has to be escaped
	} {
		p, ok := jsonMembers(text)
		if ok != (want != nil) {
			t.Errorf("%s: ok is %t", text, ok)
			continue
		}
		if ok && !maps.Equal(maps.Collect(p.All()), want) {
			t.Errorf("%s: %v, want %v", text, maps.Collect(p.All()), want)
		}
	}
}

func FuzzJSONMembers(f *testing.F) {
	f.Add(`{"IkeVersion":"ikev1","IkeLifetime":86400,"x":null}`)
	f.Fuzz(func(t *testing.T, text string) {
		if p, ok := jsonMembers(text); ok != (p != nil) && ok {
			t.Errorf("%q: ok without members", text)
		}
	})
}

func TestIKEIdentity(t *testing.T) {
	for v, want := range map[string]bool{
		"203.0.113.1": true, "vpn.example.com": true, "branch_1": true, "@branch": true, "a": true,
		"": false, "@": false, "a b": false, "a..b": false, ".a": false, "-a": false, "a-": false, "%any": false, "a\nb": false, `a"`: false, "ü": false, "a@b": false,
	} {
		if isIKEIdentity(v, 20) != want {
			t.Errorf("%q: want %t", v, want)
		}
	}
	if isIKEIdentity("123456789.123456789.1", 20) {
		t.Error("21 characters pass for 20")
	}
}
