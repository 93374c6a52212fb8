package aliyun

import (
	"fmt"
	"math"
	"net/netip"
	"strconv"
	"strings"

	"sluice/api/spec"
	"sluice/api/spec/specgen/gosource"
)

// param is one parameter and the code that checks it.
type param struct {
	*spec.Field
	Go      string // name of the struct field
	Member  string // wire name within an item, for indexed parameters
	Type    string // Go type of the struct field
	Initial string // value before decoding, where it is not the zero value
	Missing string // expression of the error when it is left out; empty: optional
	kind    spec.Kind
	Several bool // it is a list of texts within an item: List.N.Member.N
	pointer bool
	empty   bool // an empty value is a value
	invalid string
	excess  string
	value   string // type of the structure, for kind JSONObject
}

// goTypes are the Go types of what is not a structure.
var goTypes = map[spec.Kind]string{
	spec.Text: "string", spec.Number: "int", spec.Boolean: "bool",
	spec.Address: "netip.Addr", spec.Block: "netip.Prefix", spec.Addresses: "[]netip.Addr", spec.Blocks: "[]netip.Prefix",
}

// isNetip says whether the Go type is one of package netip.
func isNetip(k spec.Kind) bool { return strings.Contains(goTypes[k], "netip.") }

func newParam(r *resolver, f *spec.Field, indexed bool) (*param, error) {
	p := &param{Field: f, Go: gosource.Name(strings.ReplaceAll(f.Name, ".N", "")), kind: f.Kind()}
	name, index := strconv.Quote(f.Name), ""
	if indexed {
		name, index = "name", "i+1"
	}
	var err error
	if f.Required && !indexed || f.Missing != "" {
		p.Missing = "missingParameter(" + name + ")"
		if f.Missing != "" && (f.Missing != "MissingParameter" || len(r.action.Documented(f.Missing)) > 0) {
			message := ""
			if len(r.action.Documented(f.Missing)) > 1 {
				message = "'" + f.Name + "'" // of several messages that which names the parameter
			}
			if p.Missing, err = r.errorExpr(f.Missing, message, index); err != nil {
				return nil, err
			}
		}
	}
	p.invalid = "invalidParameter(" + name + ")"
	if f.Malformed != "" {
		if p.invalid, err = r.errorExpr(f.Malformed, f.MalformedMessage, index); err != nil {
			return nil, err
		}
	}
	p.excess = p.invalid
	if f.Excess != "" {
		if p.excess, err = r.errorExpr(f.Excess, "", index); err != nil {
			return nil, err
		}
	}
	p.empty = r.action.Writes() && (f.Format == "name" || f.Format == "description" || f.Format == "text")
	p.Type = goTypes[p.kind]
	switch words := len(f.Literals); {
	case (p.kind == spec.Address || p.kind == spec.Block) && words > 0:
		return nil, fmt.Errorf("a word in the place of an address is not generated so far")
	case p.kind.List() && words > 1:
		return nil, fmt.Errorf("of the words in the place of a list of addresses only one that empties it is generated so far")
	}
	if p.kind == spec.JSONObject {
		if indexed || p.Missing != "" {
			return nil, fmt.Errorf("only an optional parameter that is not indexed may have members so far")
		}
		p.value = goName(r.action) + "Request" + p.Go
		p.Type = "*" + p.value
		return p, nil
	}
	if p.Missing != "" || p.kind.List() {
		return p, nil
	}
	if f.Default == nil || f.Explicit {
		p.pointer = true
		p.Type = "*" + p.Type
		return p, nil
	}
	return p, p.setInitial()
}

// several makes p a list of texts.
func (p *param) several() error {
	if p.kind != spec.Text || p.Missing != "" || len(p.Literals) > 0 {
		return fmt.Errorf("within an item only an optional list of texts is generated so far")
	}
	p.Several, p.pointer, p.Type = true, false, "[]string"
	return nil
}

func (p *param) setInitial() error {
	s := fmt.Sprint(p.Default)
	switch p.kind {
	case spec.Number:
		n, err := strconv.ParseFloat(s, 64)
		if err != nil {
			return fmt.Errorf("default %q is no number", s)
		}
		if n != 0 {
			p.Initial = strconv.FormatInt(int64(n), 10)
		}
	case spec.Boolean:
		if s == "true" {
			p.Initial = s
		}
	case spec.Address:
		if _, err := netip.ParseAddr(s); err != nil {
			return fmt.Errorf("default %q is no address", s)
		}
		p.Initial = fmt.Sprintf("netip.MustParseAddr(%q)", s)
	case spec.Block:
		if _, err := netip.ParsePrefix(s); err != nil {
			return fmt.Errorf("default %q is no CIDR block", s)
		}
		p.Initial = fmt.Sprintf("netip.MustParsePrefix(%q)", s)
	default:
		if s != "" {
			p.Initial = strconv.Quote(s)
		}
	}
	return nil
}

// Comment describes the struct field.
func (p *param) Comment() string {
	var s []string
	if p.Notes != "" {
		s = append(s, strings.TrimRight(p.Notes, ". ")+".")
	}
	if p.kind.List() && len(p.Literals) == 1 {
		s = append(s, fmt.Sprintf("Empty: %s.", p.Literals[0]))
	}
	if p.pointer || p.Several || p.kind == spec.JSONObject || p.kind.List() && p.Missing == "" {
		s = append(s, "Nil: not given.")
	}
	if p.Extension {
		s = append(s, "Not in the documents.")
	}
	return gosource.Comment(strings.Join(s, " "))
}

// Present returns the head of the statement that runs if the parameter came.
func (p *param) Present() string {
	name := strconv.Quote(p.Name)
	if p.Member != "" {
		name = "name"
	}
	if p.empty {
		return "if v, ok := p.Lookup(" + name + "); ok"
	}
	return "if v := p.Get(" + name + "); v != \"\""
}

// Body returns the checks of the value v and its assignment to target.
func (p *param) Body(target string) string {
	refuse := "{ return nil, " + p.refusal() + " }\n"
	assign := target + "." + p.Go + " = "
	ref := ""
	if p.pointer {
		ref = "&"
	}
	switch p.kind {
	case spec.Number:
		low, high := p.bounds()
		among := ""
		if len(p.Enum) > 0 {
			among = " || !oneOf(n, " + strings.Join(p.words(), ", ") + ")"
		}
		return fmt.Sprintf("n, ok := parseInt(v, %d, %d)\nif !ok%s %s%s%sn\n", low, high, among, refuse, assign, ref)
	case spec.Boolean:
		return fmt.Sprintf("b, ok := parseBool(v)\nif !ok %s%s%sb\n", refuse, assign, ref)
	case spec.Address, spec.Block:
		return p.parse(refuse) + assign + ref + "a\n"
	case spec.Addresses, spec.Blocks:
		return p.listBody(assign, refuse)
	case spec.JSONObject:
		return fmt.Sprintf("x, refusal := decode%s(v)\nif refusal != nil { return nil, refusal }\n%sx\n", p.value, assign)
	}
	return p.textCheck(refuse) + assign + ref + "v\n"
}

// Item returns the checks of the value v of a plain list, and its addition.
func (p *param) Item() string {
	target := "r." + p.Go
	refuse := "{ return nil, " + p.refusal() + " }\n"
	if p.kind == spec.Text {
		return p.textCheck(refuse) + target + " = append(" + target + ", v)\n"
	}
	return p.parse(refuse) + target + " = append(" + target + ", a)\n"
}

// Values returns the checks of the values of a list within an item, and their addition.
func (p *param) Values(target string) string {
	var b strings.Builder
	b.WriteString("m, ok := p.indexes(name, \"\")\nif !ok { return nil, invalidParameter(name) }\n")
	if p.MaxItems > 0 {
		fmt.Fprintf(&b, "if m > %d { return nil, %s }\n", p.MaxItems, because(p.excess, fmt.Sprintf("%d values are the most.", p.MaxItems)))
	}
	b.WriteString("for j := range m {\nv := p.Get(name + \".\" + strconv.Itoa(j+1))\n")
	b.WriteString("if v == \"\" { return nil, missingParameter(name + \".\" + strconv.Itoa(j+1)) }\n")
	b.WriteString(p.textCheck("{ return nil, " + p.refusal() + " }\n"))
	fmt.Fprintf(&b, "%s.%s = append(%s.%s, v)\n}\n", target, p.Go, target, p.Go)
	return b.String()
}

// parse returns the statements that read an address or a CIDR block a of the
// value v.
func (p *param) parse(refuse string) string {
	return "a, ok := " + p.parser() + "(v)\nif !ok " + refuse
}

// parser is the function that reads one address or CIDR block.
func (p *param) parser() string {
	switch {
	case p.kind == spec.Address || p.kind == spec.Addresses:
		return "parseIPv4"
	case p.BareAddress:
		return "parseCIDROrIPv4"
	}
	return "parseCIDR"
}

// bounds are the least and the greatest value of a number.
func (p *param) bounds() (low, high int64) {
	high = math.MaxInt32
	if p.Field.Type == "Long" {
		high = math.MaxInt64
	}
	if p.Min != nil {
		low = *p.Min
	} else if p.Max != nil {
		low = 1 // a page size of nothing has no meaning
	}
	if p.Max != nil {
		high = *p.Max
	}
	return low, high
}

func (p *param) listBody(assign, refuse string) string {
	var b strings.Builder
	b.WriteString("items := splitList(v)\n")
	if p.MaxItems > 0 {
		fmt.Fprintf(&b, "if len(items) > %d { return nil, %s }\n", p.MaxItems, because(p.excess, fmt.Sprintf("%d items are the most.", p.MaxItems)))
	}
	fmt.Fprintf(&b, "list, ok := parseEach(items, %s)\n", p.parser())
	if len(p.Literals) == 1 {
		fmt.Fprintf(&b, "if v == %q { list, ok = %s{}, true }\n", p.Literals[0], goTypes[p.kind])
	}
	fmt.Fprintf(&b, "if !ok %s%slist\n", refuse, assign)
	return b.String()
}

// exceptLiterals lets through the words that stand beside a format.
func (p *param) exceptLiterals() string {
	if len(p.Literals) == 0 {
		return ""
	}
	return "!oneOf(v, " + quoted(p.Literals) + ") && "
}

// words are the values of an enumeration and those beside a format.
func (p *param) words() []string {
	var list []string
	for _, v := range p.Enum {
		list = append(list, fmt.Sprint(v))
	}
	return append(list, p.Literals...)
}

func quoted(list []string) string {
	var q []string
	for _, v := range list {
		q = append(q, strconv.Quote(v))
	}
	return strings.Join(q, ", ")
}

func (p *param) textCheck(refuse string) string {
	test := ""
	switch {
	case len(p.Enum) > 0:
		test = "!oneOf(v, " + quoted(p.words()) + ")"
	case p.Format == "port":
		test = "!isPort(v)"
	case p.Format == "port-range":
		test = "!isPorts(v)"
	case p.Format == "printable":
		test = fmt.Sprintf("!isToken(v, %d)", p.MaxLength)
	case p.Format == "ike-id":
		test = fmt.Sprintf("!isIKEIdentity(v, %d)", p.MaxLength)
	case p.Format == "client-token":
		test = fmt.Sprintf("!isToken(v, %d)", p.MaxLength)
	case p.Format == "name":
		test = fmt.Sprintf("!isName(v, %d, %d)", p.MinLength, p.MaxLength)
	case p.Format == "description":
		test = fmt.Sprintf("!isDescription(v, %d, %d)", p.MinLength, p.MaxLength)
	case p.Format == "text":
		test = fmt.Sprintf("!isText(v, %d, %d)", p.MinLength, p.MaxLength)
	case p.Format == "tag":
		test = fmt.Sprintf("!isTag(v, %d)", p.MaxLength)
	case p.Format == "resource-group":
		test = "!isResourceGroup(v)"
	case p.MinLength > 0 || p.MaxLength > 0:
		test = fmt.Sprintf("!lengthIn(v, %d, %d)", p.MinLength, p.MaxLength)
	}
	if test == "" {
		return ""
	}
	if p.empty {
		test = "v != \"\" && " + test
	}
	check := "if " + p.exceptLiterals() + test + " " + refuse
	if p.AnyCase {
		check = "v = spelled(v, " + quoted(p.words()) + ")\n" + check
	}
	return check
}
