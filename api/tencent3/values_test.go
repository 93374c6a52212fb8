package tencent3

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
)

// TestValues: what a form spells out in names is what JSON has as it is.
func TestValues(t *testing.T) {
	for form, text := range map[string]string{
		"":                            `{}`,
		"A=1&B=":                      `{"A": 1, "B": ""}`,
		"A=true":                      `{"A": true, "C": null}`,
		"A.0=x&A.1=y":                 `{"A": ["x", "y"]}`,
		"F.1.V.0=c&F.0.N=a&F.0.V.0=b": `{"F": [{"N": "a", "V": ["b"]}, {"V": ["c"]}]}`,
		"A.B=%E4%BD%A0+x":             `{"A": {"B": "\u4f60 x"}}`,
	} {
		list, err := parseForm(form)
		if err != nil {
			t.Fatal(err)
		}
		got, err := tree(list)
		if err != nil {
			t.Errorf("%s: %v", form, err)
			continue
		}
		want, err := parseJSON([]byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, and %s is %v", form, got, text, want)
		}
	}
}

// TestUnreadable: what can be read in two ways, or in none, is refused.
func TestUnreadable(t *testing.T) {
	for _, form := range []string{"A=%zz", "A=1;B=2", "A=1&A=1", "A=1&A.0=1", "A.0=1&A=1", "A.1=1", "A.0=1&A.2=1", "A.0=1&A.B=2", "A..B=1", ".A=1", "A.=1", "A.00=1",
		"A.B.C.D.E.F.G.H.I=1", "X=" + strings.Repeat("&X", maxParameters)} {
		list, err := parseForm(form)
		if err == nil {
			_, err = tree(list)
		}
		if err == nil {
			t.Errorf("%.80s was read", form)
		}
	}
	many := make([]string, maxParameters+1)
	for i := range many {
		many[i] = fmt.Sprintf("A%d=", i)
	}
	if _, err := parseForm(strings.Join(many, "&")); err == nil {
		t.Error("too many parameters were read")
	}
	for _, text := range []string{"", "1", "[]", "null", `"x"`, "{", `{"A": 1`, `{"A": 1} x`, `{"A": 1}{}`, `{"A": 1, "A": 2}`, `{"A": {"B": 1, "B": 1}}`, `{"A": [null]}`, `{"A": 1,}`, `{A: 1}`,
		strings.Repeat(`{"A":`, 20) + "1" + strings.Repeat("}", 20), `{"A": [` + strings.Repeat("1,", maxParameters) + "1]}"} {
		if v, err := parseJSON([]byte(text)); err == nil {
			t.Errorf("%.80s was read as %.80v", text, v)
		}
	}
}

// FuzzForm: whatever a client sends is read or refused.
func FuzzForm(f *testing.F) {
	f.Add("A.0.B=1&A.1.B=2")
	f.Fuzz(func(t *testing.T, text string) {
		if list, err := parseForm(text); err == nil {
			if o, err := tree(list); err == nil && len(o) > len(list) {
				t.Errorf("%q has %d members of %d parameters", text, len(o), len(list))
			}
		}
	})
}

// FuzzJSON likewise.
func FuzzJSON(f *testing.F) {
	f.Add(`{"A": [{"B": 1}], "C": null}`)
	f.Fuzz(func(t *testing.T, text string) {
		if o, err := parseJSON([]byte(text)); err == nil && o == nil {
			t.Errorf("%q is no object, and no error", text)
		}
	})
}
