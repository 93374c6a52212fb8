package tags

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"strings"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/pagetoken"
)

var tokens = pagetoken.Form{Encode: pagetoken.URL.EncodeToString, Decode: pagetoken.URL.DecodeString, Sum: 8}

func token(c identity.Caller, q Query, p place) string {
	b := binary.BigEndian.AppendUint64(nil, uint64(p.Created))
	return tokens.Make(q.summed(c), fmt.Appendf(b, "%s\x00%s", p.Resource, p.Key))
}

func parseToken(c identity.Caller, q Query) (place, error) {
	b, ok := tokens.Place(q.summed(c), q.Token)
	if !ok || len(b) < 8 {
		return place{}, fault.New(fault.PageTokenInvalid, "token %.80q was not given for this query", q.Token)
	}
	id, key, _ := strings.Cut(string(b[8:]), "\x00")
	return place{int64(binary.BigEndian.Uint64(b)), id, key}, nil
}

// summed is a query as the checksum of its tokens has it: the form is older than lists
// of values, and what has been given out stays valid. Pages may differ in size.
func (q Query) summed(c identity.Caller) string {
	type match struct {
		Key    string
		Value  *string
		Values []string `json:",omitempty"` // where there are several
	}
	var filters []match
	for _, f := range q.Filters {
		m := match{Key: f.Key}
		if len(f.Values) == 1 {
			m.Value = &f.Values[0]
		} else {
			m.Values = f.Values
		}
		filters = append(filters, m)
	}
	query, err := json.Marshal(struct {
		Target
		Filters []match
		Token   string
		Size    int
	}{Target: q.Target, Filters: filters})
	if err != nil {
		panic(err) // plain texts can be written
	}
	return fmt.Sprintf("%s\n%s\n", c.Account, query)
}
