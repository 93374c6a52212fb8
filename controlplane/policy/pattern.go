package policy

import (
	"fmt"
	"strings"
)

// pattern is a text in which * stands for any number of characters and, in StringLike,
// ? for one. Matching takes at most the product of the lengths.
type pattern struct {
	text string
	any  bool // text is made of * alone
	wild bool // text has a * or, with one, a ?
	one  bool // ? stands for a character
}

func newPattern(text string) pattern {
	return pattern{text: text, any: text != "" && strings.Trim(text, "*") == "", wild: strings.Contains(text, "*")}
}

// newLike is a pattern of StringLike, with ? for one character.
func newLike(text string) pattern {
	p := newPattern(text)
	p.wild, p.one = strings.ContainsAny(text, "*?"), true
	return p
}

func (p *pattern) match(s string) bool {
	switch {
	case p.any:
		return true
	case !p.wild:
		return p.text == s
	case p.one: // a character may be of several bytes
		return glob([]rune(p.text), []rune(s), '?')
	}
	return glob([]byte(p.text), []byte(s), '*')
}

// glob goes back to the last * alone: what an earlier one stands for needs no change.
// one is what stands for one character.
func glob[C byte | rune](pat, s []C, one C) bool {
	i, j, star, mark := 0, 0, -1, 0
	for j < len(s) {
		switch {
		case i < len(pat) && pat[i] == '*':
			star, mark = i, j
			i++
		case i < len(pat) && (pat[i] == s[j] || pat[i] == one):
			i++
			j++
		case star >= 0:
			mark++
			i, j = star+1, mark
		default:
			return false
		}
	}
	for i < len(pat) && pat[i] == '*' {
		i++
	}
	return i == len(pat)
}

// overlaps says whether the pattern matches anything that begins with prefix.
func (p *pattern) overlaps(prefix string) bool {
	fixed, _, wild := strings.Cut(p.text, "*")
	if wild && len(fixed) < len(prefix) {
		return strings.HasPrefix(prefix, fixed)
	}
	return strings.HasPrefix(fixed, prefix)
}

// actionPattern is an element of Action or NotAction.
type actionPattern struct{ service, name pattern }

func parseAction(text string) (actionPattern, error) {
	if err := plain(text); err != nil {
		return actionPattern{}, err
	}
	if strings.Trim(text, "*") == "" {
		return actionPattern{newPattern("*"), newPattern("*")}, nil
	}
	service, name, ok := strings.Cut(lower(text), ":")
	if !ok || service == "" || name == "" || strings.ContainsAny(name, ":/") {
		return actionPattern{}, fmt.Errorf(`%q is no action; write "*" or <service>:<action>, such as "vpc:Describe*"`, text)
	}
	return actionPattern{newPattern(service), newPattern(name)}, nil
}

// resourcePattern is an element of Resource or NotResource. What has no field for a part
// means any.
type resourcePattern struct{ service, region, account, id pattern }

// parseResource reads acs:<service>:<region>:<account>:<id>, the form without a region,
// which the documents have too, and both with a * for all that would follow.
func parseResource(text string) (p resourcePattern, err error) {
	if err := plain(text); err != nil {
		return p, err
	}
	all := newPattern("*")
	p = resourcePattern{all, all, all, all}
	fields := strings.SplitN(lower(text), ":", 5)
	if f := fields[0]; f != "acs" && (f == "" || strings.Trim(f, "*") != "") {
		return p, fmt.Errorf(`%q is no resource; write "*" or acs:<service>:<region>:<account>:<id>, such as "acs:vpc:*:*:vpc/vpc-257gq642n"`, text)
	}
	switch last := fields[len(fields)-1]; {
	case len(fields) == 5:
	case last != "" && strings.Trim(last, "*") == "": // the rest, too
		fields = fields[:len(fields)-1]
		if len(fields) == 3 && strings.Trim(fields[2], "0123456789") == "" {
			fields = []string{fields[0], fields[1], "", fields[2]} // no region is of digits
		}
	case len(fields) == 4: // acs:<service>:<account>:<id>
		fields = []string{fields[0], fields[1], "", fields[2], last}
	default:
		return p, fmt.Errorf(`%q ends too early; write acs:<service>:<region>:<account>:<id>, with * for what may be any`, text)
	}
	for i, part := range []*pattern{nil, &p.service, &p.region, &p.account, &p.id} {
		if i > 0 && i < len(fields) && fields[i] != "" {
			*part = newPattern(fields[i])
		}
	}
	if strings.Trim(p.account.text, "0123456789*") != "" && p.account.text != System {
		return p, fmt.Errorf(`%q has %q in the place of the account's id, which is digits, system or *; write acs:<service>:<region>:<account>:<id>`, text, p.account.text)
	}
	if strings.ContainsAny(p.service.text+p.region.text, "/") {
		return p, fmt.Errorf(`%q has a / before the resource's id; write acs:<service>:<region>:<account>:<id>`, text)
	}
	return p, nil
}

// match says whether the pattern matches the resource: with inPart any of what it stands
// for, else all.
func (p *resourcePattern) match(q *query, inPart bool) bool {
	if !p.service.match(q.of) || !p.account.match(q.Account) {
		return false
	}
	// Everything in a region's place is matched by * alone, as no region has one.
	if !(inPart && q.Region == Everything) && !p.region.match(q.region) {
		return false
	}
	switch {
	case !q.Whole:
		return p.id.match(q.id)
	case inPart:
		return p.id.overlaps(q.id)
	}
	return p.id.match(whole(q.id))
}

// whole is a text that a pattern matches if it matches all ids of a kind that begin with
// prefix; each id has a kind before the slash.
func whole(prefix string) string {
	if prefix == "" {
		return "*/*"
	}
	return prefix + "*"
}

// plain refuses what can be in no action and no resource, and would therefore never
// match, or match what it does not look like.
func plain(text string) error {
	if text == "" {
		return fmt.Errorf(`it is empty; leave it out, or write "*" for all`)
	}
	for _, c := range text {
		switch {
		case c == '?':
			return fmt.Errorf("%q: ? stands for nothing here; * does for any number of characters", text)
		case c <= ' ' || c > '~':
			return fmt.Errorf("%q has the character %U; write printable ASCII without blanks", text, c)
		}
	}
	return nil
}

// lower is strings.ToLower for ASCII alone: no letter of another script becomes one of it.
func lower(s string) string {
	for i := range len(s) {
		if c := s[i]; 'A' <= c && c <= 'Z' {
			b := []byte(s)
			for ; i < len(b); i++ {
				if 'A' <= b[i] && b[i] <= 'Z' {
					b[i] += 'a' - 'A'
				}
			}
			return string(b)
		}
	}
	return s
}
