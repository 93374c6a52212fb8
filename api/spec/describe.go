package spec

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// Describe writes what the catalog knows of one action, for a reader at a
// terminal: summary, parameters, answer, rules, states and errors. The
// action's name is matched exactly first, then without regard to case. It
// fails if the family or the action is unknown.
func Describe(w io.Writer, family, action string) error {
	c, err := Load()
	if err != nil {
		return err
	}
	f := c.Family(family)
	if f == nil {
		return fmt.Errorf("no family %q; there are %s, %s and %s", family, Aliyun, Tencent3, Tencent2)
	}
	a := f.Find(action)
	if a == nil {
		return fmt.Errorf("no action %q in family %s; docs/actions.md lists them all", action, family)
	}
	return describe(w, a)
}

func describe(w io.Writer, a *Action) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	state := "not yet supported"
	if a.Supported() {
		state = Supported
	}
	fmt.Fprintf(out, "%s (%s, %s): %s\n%s\n", a.Key(), a.Family, a.Group, state, a.Summary)

	fmt.Fprint(out, "\nParameters:\n")
	if len(a.Request) == 0 {
		fmt.Fprint(out, "  none\n")
	}
	describeFields(out, "  ", a.Request, true)

	fmt.Fprint(out, "\nAnswer:\n")
	describeFields(out, "  ", a.Response, false)

	section(out, "Rules", a.Rules)
	if len(a.States) > 0 {
		fmt.Fprintf(out, "\nStates: %s\n", strings.Join(a.States, ", "))
	}
	if len(a.Errors) > 0 {
		fmt.Fprint(out, "\nErrors (besides the common ones):\n")
		for _, e := range a.Errors {
			fmt.Fprintf(out, "  %d\t%s\t%s\n", e.HTTP, e.Code, e.When)
		}
	}
	section(out, "Where the documents err", a.DocDefects)
	return out.Flush()
}

func section(w io.Writer, title string, lines []string) {
	if len(lines) == 0 {
		return
	}
	fmt.Fprintf(w, "\n%s:\n", title)
	for _, l := range lines {
		fmt.Fprintf(w, "  - %s\n", l)
	}
}

func describeFields(w io.Writer, indent string, fields Fields, request bool) {
	for _, f := range fields {
		name := f.Name
		if f.List && !request {
			name += "[]"
			if f.Item != "" {
				name = f.Name + "." + f.Item + "[]"
			}
		}
		fmt.Fprintf(w, "%s%s\t%s\t%s\n", indent, name, f.Type, strings.Join(f.words(request), "; "))
		describeFields(w, indent+"  ", f.Members, request)
		describeFields(w, indent+"  ", f.Fields, request)
	}
}

// words are the constraints of a field, in short.
func (f *Field) words(request bool) []string {
	var s []string
	add := func(format string, args ...any) { s = append(s, fmt.Sprintf(format, args...)) }
	if request {
		if f.Required {
			add("required")
		}
		if f.Default != nil && f.Default != "" {
			add("default %v", f.Default)
		}
	}
	if len(f.Enum) > 0 {
		var v []string
		for _, x := range f.Enum {
			v = append(v, fmt.Sprint(x))
		}
		add("one of %s", strings.Join(v, ", "))
	}
	switch {
	case f.Min != nil && f.Max != nil:
		add("%d to %d", *f.Min, *f.Max)
	case f.Min != nil:
		add("from %d", *f.Min)
	case f.Max != nil:
		add("up to %d", *f.Max)
	}
	if len(f.Literals) > 0 {
		add("or %s", strings.Join(f.Literals, ", "))
	}
	switch {
	case f.MaxLength > 0 && f.MinLength > 0:
		add("%d to %d characters", f.MinLength, f.MaxLength)
	case f.MaxLength > 0:
		add("up to %d characters", f.MaxLength)
	}
	if f.MaxItems > 0 {
		add("at most %d items", f.MaxItems)
	}
	if f.Unit != "" {
		add("in %s", f.Unit)
	}
	if f.Extension {
		add("not in the documents")
	}
	if f.Notes != "" {
		add("%s", strings.TrimRight(f.Notes, "."))
	}
	return s
}
