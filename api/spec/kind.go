package spec

import (
	"fmt"
	"strings"
)

// Kind is what a value holds.
type Kind int

// The kinds of values.
const (
	Text Kind = iota
	Number
	Boolean
	Address    // an IPv4 address
	Block      // an IPv4 CIDR block
	Addresses  // a comma-separated list of addresses
	Blocks     // likewise
	JSONObject // a JSON object as a text, with Members
)

// Kind decides by what a parameter holds, not only by the document's word:
// several numbers and truth values are documented as strings.
func (f *Field) Kind() Kind {
	truth := len(f.Enum) > 0
	for _, v := range f.Enum {
		s := fmt.Sprint(v)
		truth = truth && (s == "true" || s == "false")
	}
	word := strings.ToLower(strings.TrimPrefix(f.Type, "Array of "))
	switch {
	case f.Format == "json" && len(f.Members) > 0:
		return JSONObject
	case truth || word == "boolean" || word == "bool":
		return Boolean
	case f.Format == "ip-list":
		return Addresses
	case f.Format == "cidr-list":
		return Blocks
	case f.Format == "ipv4" && len(f.Enum) == 0:
		return Address
	case f.Format == "cidr" && len(f.Enum) == 0:
		return Block
	case word == "integer" || word == "int" || word == "long":
		return Number
	case f.Format != "port" && f.Format != "port-range" && (f.Min != nil || f.Max != nil):
		return Number
	}
	return Text
}

// List says whether a value of the kind is a comma-separated list.
func (k Kind) List() bool { return k == Addresses || k == Blocks }
