package aliyun

import (
	"fmt"
	"math"
	"strings"

	"sluice/api/spec"
)

// The documents' errors for a value that is not of the form it has to be say just that.
// Behind their words stands which form that is. The value itself is never repeated: it
// may be a secret.

// because adds a reason to the expression of an error.
func because(expr, reason string) string {
	if strings.HasPrefix(expr, "&") {
		expr = "(" + expr + ")"
	}
	return fmt.Sprintf("%s.because(%q)", expr, strings.ReplaceAll(reason, "%", "%%"))
}

// refusal is the expression of the error for a malformed value.
func (p *param) refusal() string {
	w := p.wanted()
	if w == "" {
		return p.invalid
	}
	if len(p.Literals) > 0 && len(p.Enum) == 0 && !p.kind.List() {
		w += ", or " + anyOf(p.Literals)
	}
	return because(p.invalid, "it is to be "+w+".")
}

// wanted says of which form the value has to be; empty for any text.
func (p *param) wanted() string {
	if len(p.Enum) > 0 {
		return anyOf(p.words())
	}
	switch p.kind {
	case spec.Number:
		low, high := p.bounds()
		if high == math.MaxInt32 || high == math.MaxInt64 {
			return fmt.Sprintf("a whole number, %d or more", low)
		}
		return fmt.Sprintf("a whole number from %d to %d", low, high)
	case spec.Boolean:
		return "true or false"
	case spec.Address:
		return "an IPv4 address"
	case spec.Block:
		return p.block()
	case spec.Addresses:
		return "IPv4 addresses with commas between them"
	case spec.Blocks:
		return p.block() + ", or several with commas between them"
	case spec.JSONObject:
		return "a JSON object"
	}
	switch p.Format {
	case "port":
		return "a port, 1 to 65535"
	case "port-range":
		return "a port, 1 to 65535, or two as first/last"
	case "printable", "client-token":
		return fmt.Sprintf("1 to %d printable ASCII characters", p.MaxLength)
	case "ike-id":
		return fmt.Sprintf("an IPv4 address but 0.0.0.0, or a domain name, of at most %d characters", p.MaxLength)
	case "name":
		return fmt.Sprintf("%s on one line, without http:// or https:// at the beginning", p.length())
	case "description":
		return fmt.Sprintf("%s, without http:// or https:// at the beginning", p.length())
	case "tag":
		return fmt.Sprintf("at most %d characters on one line, without http:// or https:// in it and without aliyun or acs: at the beginning", p.MaxLength)
	case "resource-group":
		return "rg- and up to 60 letters, digits and hyphens"
	}
	if p.MinLength > 0 || p.MaxLength > 0 {
		return p.length()
	}
	return ""
}

func (p *param) block() string {
	one := "an IPv4 CIDR block without a bit behind its mask, as 10.0.0.0/16"
	if p.BareAddress {
		one += ", or an IPv4 address"
	}
	return one
}

func (p *param) length() string {
	if p.MaxLength == 0 {
		return fmt.Sprintf("%d or more characters", p.MinLength)
	}
	return fmt.Sprintf("%d to %d characters", p.MinLength, p.MaxLength)
}

// anyOf lists words, the last after "or".
func anyOf(words []string) string {
	if len(words) == 1 {
		return words[0]
	}
	last := len(words) - 1
	return strings.Join(words[:last], ", ") + " or " + words[last]
}
