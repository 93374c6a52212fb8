// Package gosource writes Go source text: names, comments, formatting. It is
// what the emitters of all families need of the language.
package gosource

import (
	"bytes"
	"fmt"
	"go/format"
	"strings"
	"text/template"
	"unicode"
)

// Name makes an exported Go name of a wire name.
func Name(wire string) string {
	r := []rune(strings.ReplaceAll(wire, ".", ""))
	r[0] = unicode.ToUpper(r[0])
	return string(r)
}

// Comment makes a doc comment of the catalog's words; nothing of nothing.
func Comment(text string) string {
	if text == "" {
		return ""
	}
	return "// " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n// ")
}

// Template parses a template of a source file. It can use the functions comment
// and has (whether a text holds another).
func Template(name, text string) *template.Template {
	funcs := template.FuncMap{"comment": Comment, "has": strings.Contains}
	return template.Must(template.New(name).Funcs(funcs).Parse(text))
}

// Render executes a template and formats what comes out.
func Render(t *template.Template, data any) ([]byte, error) {
	var b bytes.Buffer
	if err := t.Execute(&b, data); err != nil {
		return nil, err
	}
	text, err := format.Source(b.Bytes())
	if err != nil {
		return nil, fmt.Errorf("generated code does not parse: %w\n%s", err, b.Bytes())
	}
	return format.Source(tidy(text))
}

// tidy drops the empty lines that templates leave, and sets one between the
// declarations. It expects formatted code, where only the end of a declaration
// stands at the left edge.
func tidy(text []byte) []byte {
	var out []string
	imports := false
	for _, line := range strings.Split(string(text), "\n") {
		imports = line == "import (" || imports && line != ")"
		if strings.TrimSpace(line) == "" && !imports {
			continue
		}
		out = append(out, line)
		oneLine := strings.HasPrefix(line, "func ") && strings.HasSuffix(line, "}")
		if line == "}" || line == ")" || oneLine || strings.HasPrefix(line, "package ") || strings.HasPrefix(line, "// Code generated") {
			out = append(out, "")
		}
	}
	return []byte(strings.Join(out, "\n"))
}
