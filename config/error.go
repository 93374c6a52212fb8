package config

import (
	"fmt"
	"strings"
)

// Error is a mistake in the configuration.
type Error struct {
	File  string
	Line  int    // from 1; 0 if the mistake has no place of its own
	Field string // path of the field, for example public[0].gateway; may be empty
	Text  string // what is wrong; what would be right
}

// Error returns "file:line: field: text" on one line.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.File)
	if e.Line > 0 {
		fmt.Fprintf(&b, ":%d", e.Line)
	}
	b.WriteString(": ")
	if e.Field != "" {
		b.WriteString(e.Field + ": ")
	}
	b.WriteString(strings.ReplaceAll(e.Text, "\n", " "))
	return b.String()
}

// places remembers in which line of which file each field stands.
type places struct {
	file  string
	lines map[string]int // path of a field → its line
}

// errorf returns a mistake at a field, or at the nearest field around it that
// stands in the file.
func (p *places) errorf(field, format string, args ...any) *Error {
	return &Error{File: p.file, Line: p.line(field), Field: field, Text: fmt.Sprintf(format, args...)}
}

func (p *places) line(field string) int {
	for {
		if n, ok := p.lines[field]; ok {
			return n
		}
		i := strings.LastIndexAny(field, ".[")
		if i < 0 {
			return 0
		}
		field = field[:i]
	}
}
