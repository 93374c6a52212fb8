package openvpn

import (
	"strings"
	"testing"
	"time"
)

// A session ends with its certificate, and no other does; the client is not let in again.
func TestExpiry(t *testing.T) {
	t.Parallel()
	l := newLab(t)
	one, two := l.authority.Client("vsc-1"), l.authority.Client("vsc-2")
	two.Expires = two.Expires.Add(time.Hour)
	l.apply(one, two)
	ns := l.home()
	k := l.connect(ns, one)
	l.connect(l.home(), two)
	l.eventually(connected("vsc-1", "vsc-2"))
	before := l.status().Clients[1]

	l.ahead.Store(int64(time.Until(one.Expires)) + int64(time.Minute))
	l.eventually(connected("vsc-2"))
	contains(t, l.ended(), `"certificate":"vsc-1"`, `"why":"its certificate has expired"`)
	// The clock of OpenVPN is not ahead: the client's file is what keeps it out.
	l.eventually(failures(reasonUnknown, 1))
	if err := connected("vsc-2")(ptr(l.status())); err != nil {
		t.Error(err)
	}
	if after := l.status().Clients[0]; !after.Since.Equal(before.Since) {
		t.Errorf("the other's session was %+v, is %+v", before, after)
	}
	if strings.Count(k.Log(), "Initialization Sequence Completed") != 1 {
		t.Errorf("the client has got in again:\n%s", k.Log())
	}

	// A clock that was ahead is put back.
	l.ahead.Store(0)
	l.apply(one, two)
	k.Kill()
	l.connect(ns, one)
	l.eventually(connected("vsc-1", "vsc-2"))
}
