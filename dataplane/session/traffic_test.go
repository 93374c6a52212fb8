package session

import (
	"testing"

	"sluice/dataplane"
)

// What is counted of entries is told as soon as there is something to tell: a session that conntrack
// has not confirmed yet, one that is over, or one that was refused.
func TestWhenEntriesAreTold(t *testing.T) {
	sessions := func(s dataplane.Sessions) dataplane.Traffic {
		return dataplane.Traffic{Sessions: []dataplane.Sessions{{Kind: dataplane.SessionSNAT}, s}, Refused: []dataplane.Count{{Reason: dataplane.RefusedEntry}}}
	}
	refused := sessions(dataplane.Sessions{Kind: dataplane.SessionDNAT})
	refused.Refused[0].Count = 1
	for name, c := range map[string]struct {
		of   dataplane.Traffic
		want bool
	}{
		"nothing":    {sessions(dataplane.Sessions{Kind: dataplane.SessionDNAT}), false},
		"it begins":  {sessions(dataplane.Sessions{Kind: dataplane.SessionDNAT, Open: 1}), true},
		"it is over": {sessions(dataplane.Sessions{Kind: dataplane.SessionDNAT, Opened: 1}), true},
		"refused":    {refused, true},
	} {
		if got := hadSessions(&c.of); got != c.want {
			t.Errorf("%s: %v", name, got)
		}
	}
}
