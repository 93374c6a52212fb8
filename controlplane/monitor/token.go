package monitor

import (
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"net/netip"
	"strings"

	"sluice/controlplane/pagetoken"
)

// tokens are in hexadecimal digits.
var tokens = pagetoken.Form{Encode: hex.EncodeToString, Decode: hex.DecodeString, Sum: 4}

// placeSize is the size of a place in a token: count, address.
const placeSize = 12

func token(q Query, p place) string {
	b := binary.BigEndian.AppendUint64(nil, p.figure)
	return tokens.Make(q.summed(), binary.BigEndian.AppendUint32(b, number(p.address)))
}

// parseToken returns the place that the query's token tells; ok is false if the
// token was not given for this query. Pages may differ in size.
func parseToken(q Query) (p place, ok bool) {
	b, ok := tokens.Place(q.summed(), q.Token)
	if !ok || len(b) != placeSize {
		return place{}, false
	}
	return place{binary.BigEndian.Uint64(b), address(binary.BigEndian.Uint32(b[8:]))}, true
}

// summed is the query as the checksum of its tokens has it, in a form that is older than
// lists of addresses: none is "invalid IP".
func (q Query) summed() string {
	addresses := []string{netip.Addr{}.String()}
	if len(q.Addresses) > 0 {
		addresses = nil
	}
	for _, a := range q.Addresses {
		addresses = append(addresses, a.String())
	}
	return fmt.Sprintf("%s\n%d\n%d\n%t\n%s\n", q.Gateway, q.TimePoint, q.Order, q.Ascending, strings.Join(addresses, ","))
}
