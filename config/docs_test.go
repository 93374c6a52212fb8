package config

import (
	"fmt"
	"os"
	"reflect"
	"regexp"
	"strings"
	"testing"

	"sluice/controlplane/state"
)

// TestEveryFieldIsDocumented: each field of the file stands in
// docs/configuration.md, as code.
func TestEveryFieldIsDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, code := range regexp.MustCompile("`[^`]+`").FindAllString(string(text), -1) {
		for _, w := range regexp.MustCompile(`[a-z_]+`).FindAllString(strings.ReplaceAll(code, "[]", ""), -1) {
			words[w] = true
		}
	}
	n := 0
	var walk func(reflect.Type)
	walk = func(at reflect.Type) {
		switch at.Kind() {
		case reflect.Pointer, reflect.Slice, reflect.Map:
			walk(at.Elem())
		case reflect.Struct:
			for i := range at.NumField() {
				f := at.Field(i)
				if name := f.Tag.Get("yaml"); name != "" {
					n++
					if !words[name] {
						t.Errorf("%s.%s: field %s is not in docs/configuration.md", at.Name(), f.Name, name)
					}
					walk(f.Type)
				}
			}
		}
	}
	walk(reflect.TypeFor[document]())
	if n < 60 {
		t.Errorf("only %d fields were found", n)
	}
}

// TestQuotasAreDocumented: the table in docs/configuration.md has the quotas that are
// registered, with what they default to and what they count.
func TestQuotasAreDocumented(t *testing.T) {
	text, err := os.ReadFile("../docs/configuration.md")
	if err != nil {
		t.Fatal(err)
	}
	var want strings.Builder
	for _, q := range state.Quotas() {
		fmt.Fprintf(&want, "| `%s` | %d | %s |\n", q.Name, q.Default, q.Counts)
	}
	_, table, _ := strings.Cut(string(text), "| field of `quotas` | default | counts |\n| --- | --- | --- |\n")
	table, _, _ = strings.Cut(table, "\n\n")
	if got := table + "\n"; got != want.String() {
		t.Errorf("docs/configuration.md has of the quotas\n%s\nbut registered are\n%s", got, want.String())
	}
}
