package monitor

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"
)

// A token says where the next page begins: the count and the address of the
// last row before it, and a checksum over these and the query that they belong
// to, in hexadecimal digits. It is no secret, and nobody gains by making one:
// it leads nowhere but into what the caller may ask for anyway.
const (
	tokenPlace = 12 // bytes: count, address
	tokenCheck = 4
)

func token(q Query, p place) string {
	b := binary.BigEndian.AppendUint64(nil, p.figure)
	b = binary.BigEndian.AppendUint32(b, number(p.address))
	return hex.EncodeToString(append(b, tokenSum(q, b)...))
}

// parseToken returns the place that the query's token tells; ok is false if the
// token was not given for this query. Pages may differ in size.
func parseToken(q Query) (p place, ok bool) {
	b, err := hex.DecodeString(q.Token)
	if err != nil || len(b) != tokenPlace+tokenCheck {
		return place{}, false
	}
	b, sum := b[:tokenPlace], b[tokenPlace:]
	if string(sum) != string(tokenSum(q, b)) {
		return place{}, false
	}
	return place{binary.BigEndian.Uint64(b), address(binary.BigEndian.Uint32(b[8:]))}, true
}

// addressText is the filter as the checksum has it, in a form that is older than
// lists of addresses: none is "invalid IP".
func (q Query) addressText() string {
	if len(q.Addresses) == 0 {
		return netip.Addr{}.String()
	}
	var list []string
	for _, a := range q.Addresses {
		list = append(list, a.String())
	}
	return strings.Join(list, ",")
}

func tokenSum(q Query, at []byte) []byte {
	h := sha256.New()
	fmt.Fprintf(h, "%s\n%d\n%d\n%t\n%s\n", q.Gateway, q.TimePoint, q.Order, q.Ascending, q.addressText())
	h.Write(at)
	return h.Sum(nil)[:tokenCheck]
}
