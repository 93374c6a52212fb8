package aliyun

import (
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"unicode"
	"unicode/utf8"
)

// The checks of this file are about the form of a value alone. What needs
// knowledge of resources (does the network lie in the VPC's?) is checked by
// the control plane.

// parseInt reads a decimal number from low to high.
func parseInt(v string, low, high int64) (int, bool) {
	if v == "" || v[0] == '+' || len(v) > 19 {
		return 0, false
	}
	n, err := strconv.ParseInt(v, 10, 64)
	if err != nil || n < low || n > high {
		return 0, false
	}
	return int(n), true
}

// parseBool reads true or false in any case.
func parseBool(v string) (value, ok bool) {
	switch {
	case strings.EqualFold(v, "true"):
		return true, true
	case strings.EqualFold(v, "false"):
		return false, true
	}
	return false, false
}

// parseIPv4 reads a dotted quad without leading zeros.
func parseIPv4(v string) (netip.Addr, bool) {
	a, err := netip.ParseAddr(v)
	return a, err == nil && a.Is4()
}

// parseCIDR reads an IPv4 network: no address bit is set behind the mask.
func parseCIDR(v string) (netip.Prefix, bool) {
	p, err := netip.ParsePrefix(v)
	return p, err == nil && p.Addr().Is4() && p == p.Masked()
}

// parseCIDROrIPv4 reads an IPv4 network, or an address, which stands for the
// network that holds just it.
func parseCIDROrIPv4(v string) (netip.Prefix, bool) {
	if a, ok := parseIPv4(v); ok {
		return netip.PrefixFrom(a, a.BitLen()), true
	}
	return parseCIDR(v)
}

// parseEach reads all items of a list.
func parseEach[T any](items []string, parse func(string) (T, bool)) ([]T, bool) {
	out := make([]T, len(items))
	for i, v := range items {
		var ok bool
		if out[i], ok = parse(v); !ok {
			return nil, false
		}
	}
	return out, true
}

// isPort accepts 1 to 65535 without leading zeros.
func isPort(v string) bool {
	_, ok := parseInt(v, 1, 65535)
	return ok && v[0] != '0'
}

// isPorts accepts a port, and a range of them as first/last.
func isPorts(v string) bool {
	first, last, several := strings.Cut(v, "/")
	if !several {
		return isPort(v)
	}
	if !isPort(first) || !isPort(last) {
		return false
	}
	low, _ := parseInt(first, 1, 65535)
	_, ordered := parseInt(last, int64(low), 65535)
	return ordered
}

// splitList cuts a comma-separated list; spaces around an item don't count.
func splitList(v string) []string {
	items := strings.Split(v, ",")
	for i := range items {
		items[i] = strings.TrimSpace(items[i])
	}
	return items
}

// isName checks a name: a description on one line.
func isName(v string, low, high int) bool { return isDescription(v, low, high) && oneLine(v) }

// isDescription checks a description: from low to high printable characters,
// not beginning with http:// or https://.
func isDescription(v string, low, high int) bool { return isText(v, low, high) && !hasURLPrefix(v) }

// isText checks a text of from low to high printable characters.
func isText(v string, low, high int) bool {
	return utf8.ValidString(v) && lengthIn(v, low, high) && !strings.ContainsFunc(v, func(c rune) bool {
		return unicode.IsControl(c) && c != '\n' && c != '\r' && c != '\t' || unicode.Is(unicode.Noncharacter_Code_Point, c) // XML has no way to write it
	})
}

func oneLine(v string) bool {
	return !strings.ContainsFunc(v, func(c rune) bool { return unicode.In(c, unicode.Cc, unicode.Zl, unicode.Zp) })
}

// isResourceGroup checks the id of a resource group: rg- and up to 60 letters, digits and
// hyphens. Whether there is such a group only the service knows that has them.
func isResourceGroup(v string) bool {
	id, ok := strings.CutPrefix(v, "rg-")
	return ok && lengthIn(id, 1, 60) && !strings.ContainsFunc(id, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-'
	})
}

func hasURLPrefix(v string) bool {
	low := strings.ToLower(v[:min(len(v), len("https://"))])
	return strings.HasPrefix(low, "http://") || strings.HasPrefix(low, "https://")
}

// isToken accepts 1 to high printable ASCII characters.
func isToken(v string, high int) bool {
	if v == "" || len(v) > high {
		return false
	}
	for i := range len(v) {
		if v[i] < ' ' || v[i] > '~' {
			return false
		}
	}
	return true
}

// isTag checks a tag's key or value that is not empty: at most high printable
// characters on one line, not beginning with aliyun or acs:, which are the cloud's own;
// with no URL in it.
func isTag(v string, high int) bool {
	if !isName(v, 1, high) {
		return false
	}
	low := strings.ToLower(v)
	return !strings.HasPrefix(low, "aliyun") && !strings.HasPrefix(low, "acs:") &&
		!strings.Contains(low, "http://") && !strings.Contains(low, "https://")
}

// isIKEIdentity accepts what an IKE peer may call itself: an IPv4 address or a
// domain name (RFC 7296, section 3.5), of at most high characters. Domain names
// may have underscores, and an @ in front, as strongSwan writes them.
func isIKEIdentity(v string, high int) bool {
	name := strings.TrimPrefix(v, "@")
	if name == "" || len(v) > high || isAnyIdentity(v) {
		return false
	}
	for label := range strings.SplitSeq(name, ".") {
		if label == "" || len(label) > 63 || label[0] == '-' || label[len(label)-1] == '-' {
			return false
		}
		for _, c := range label {
			if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' {
				return false
			}
		}
	}
	return true
}

// isAnyIdentity recognises what strongSwan reads as any identity, or as any
// address of a range, and not as the name of one peer.
func isAnyIdentity(v string) bool {
	first, last, found := strings.Cut(v, "-")
	_, isFirst := parseIPv4(first)
	_, isLast := parseIPv4(last)
	return v == "0.0.0.0" || found && isFirst && isLast
}

// lengthIn counts characters, not bytes. A high of 0 sets no limit.
func lengthIn(v string, low, high int) bool {
	n := utf8.RuneCountInString(v)
	return n >= low && (high == 0 || n <= high)
}

func oneOf[T comparable](v T, values ...T) bool { return slices.Contains(values, v) }

// spelled returns v as it stands among the words, if it is one of them but for
// its case, and else as it is.
func spelled(v string, words ...string) string {
	for _, w := range words {
		if strings.EqualFold(v, w) {
			return w
		}
	}
	return v
}
