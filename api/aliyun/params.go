package aliyun

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"iter"
	"net/url"
	"sort"
	"strings"
)

// Params are the parameters of one request, as they came: names in their
// received spelling and order. The signature is computed over exactly these.
//
// A parameter is looked up by its exact name first and then without regard to
// case, because the documents' own examples vary (RegionID, TimeStamp). If a
// name came twice, the first one counts, in the signature as in the lookup.
type Params struct {
	pairs  []param
	exact  map[string]int // name as received to index of its first pair
	folded map[string]int // lower-case name to index of its first pair
	other  string         // see Ambiguous
}

type param struct{ name, value string }

// NewParams makes parameters of names and values in turn: name, value, name,
// value. A name without a value gets the empty string.
func NewParams(namesAndValues ...string) *Params {
	p := &Params{}
	for i := 0; i < len(namesAndValues); i += 2 {
		v := ""
		if i+1 < len(namesAndValues) {
			v = namesAndValues[i+1]
		}
		p.Add(namesAndValues[i], v)
	}
	return p
}

// ParseParams reads a query string or a form body. It fails on a malformed
// percent encoding, and on a semicolon used as a separator, which would read
// differently in different programs.
func ParseParams(query string) (*Params, error) {
	p := &Params{}
	if err := p.read(query); err != nil {
		return nil, err
	}
	return p, nil
}

// read adds what a query string or a form body has, as ParseParams.
func (p *Params) read(query string) error {
	for query != "" {
		var pair string
		pair, query, _ = strings.Cut(query, "&")
		if pair == "" {
			continue
		}
		if strings.Contains(pair, ";") {
			return fmt.Errorf("parameter %.64q holds a bare semicolon; write it as %%3B", pair)
		}
		k, v, _ := strings.Cut(pair, "=")
		name, err := url.QueryUnescape(k)
		if err != nil {
			return fmt.Errorf("parameter name %.64q: %w", k, err)
		}
		value, err := url.QueryUnescape(v)
		if err != nil {
			return fmt.Errorf("value of parameter %.64q: %w", name, err)
		}
		p.Add(name, value)
	}
	return nil
}

// Add appends one parameter.
func (p *Params) Add(name, value string) {
	if p.exact == nil {
		p.exact, p.folded = map[string]int{}, map[string]int{}
	}
	i := len(p.pairs)
	p.pairs = append(p.pairs, param{name, value})
	if _, ok := p.exact[name]; ok {
		return
	}
	p.exact[name] = i
	low := strings.ToLower(name)
	switch first, ok := p.folded[low]; {
	case !ok:
		p.folded[low] = i
	case p.other == "" && p.pairs[first].value != value && low != "signature":
		p.other = name
	}
}

// Ambiguous returns a name that differs from one before in case only and has another
// value; empty if there is none. The signature covers both, in whatever order they
// came, while the order would decide which of them counts: whoever can reorder a signed
// request could choose. The signature itself has nothing to choose.
func (p *Params) Ambiguous() string { return p.other }

// with returns the parameters with another value of one.
func (p *Params) with(name, value string) *Params {
	c := &Params{}
	for n, v := range p.All() {
		if strings.EqualFold(n, name) {
			v = value
		}
		c.Add(n, v)
	}
	return c
}

// Len returns the number of parameters, with those that came twice.
func (p *Params) Len() int { return len(p.pairs) }

// All yields the parameters as received, without the repetitions of a name.
func (p *Params) All() iter.Seq2[string, string] {
	return func(yield func(string, string) bool) {
		for i, x := range p.pairs {
			if p.exact[x.name] == i && !yield(x.name, x.value) {
				return
			}
		}
	}
}

// Lookup returns the value of a parameter and whether it came at all.
func (p *Params) Lookup(name string) (string, bool) {
	i, ok := p.exact[name]
	if !ok {
		i, ok = p.folded[strings.ToLower(name)]
	}
	if !ok {
		return "", false
	}
	return p.pairs[i].value, true
}

// Get returns the value of a parameter, empty if it did not come.
func (p *Params) Get(name string) string {
	v, _ := p.Lookup(name)
	return v
}

// notInFingerprint are the parameters that have to change when a request is
// sent again (older VPC API reference, "How to ensure idempotency").
var notInFingerprint = map[string]bool{"signature": true, "signaturenonce": true, "timestamp": true}

// Fingerprint returns a hash over all parameters but Signature,
// SignatureNonce and Timestamp, 64 hexadecimal digits. Two requests that ask
// the same of the same caller have the same fingerprint, in whatever order
// their parameters came.
func (p *Params) Fingerprint() string {
	var list []param
	for name, value := range p.All() {
		if !notInFingerprint[strings.ToLower(name)] {
			list = append(list, param{name, value})
		}
	}
	sort.Slice(list, func(i, j int) bool { return list[i].name < list[j].name })
	h := sha256.New()
	var size [8]byte
	for _, x := range list {
		for _, s := range []string{x.name, x.value} {
			// Length first, so that no two lists run together to the same bytes.
			binary.BigEndian.PutUint64(size[:], uint64(len(s)))
			h.Write(size[:])
			h.Write([]byte(s))
		}
	}
	return hex.EncodeToString(h.Sum(nil))
}

// indexes returns how many items an indexed parameter has: "List.1.Member",
// "List.2.Member" give 2. ok is false if an index is not a decimal number
// from 1, or if one is left out. member says which names may follow the
// index, one with a dot at its end that an index follows it; others are unknown
// parameters and not looked at.
func (p *Params) indexes(list string, members ...string) (n int, ok bool) {
	prefix := strings.ToLower(list) + "."
	var seen map[int]bool
	for name := range p.folded {
		rest, found := strings.CutPrefix(name, prefix)
		if !found {
			continue
		}
		number, member, _ := strings.Cut(rest, ".")
		if !anyFold(members, member) {
			continue
		}
		i, valid := parseInt(number, 1, 1000)
		if !valid || number[0] == '0' {
			return 0, false
		}
		if seen == nil {
			seen = map[int]bool{}
		}
		seen[i] = true
		n = max(n, i)
	}
	return n, n == len(seen)
}

func anyFold(list []string, s string) bool {
	for _, x := range list {
		if strings.HasSuffix(x, ".") && len(s) > len(x) && strings.EqualFold(x, s[:len(x)]) || strings.EqualFold(x, s) {
			return true
		}
	}
	return false
}
