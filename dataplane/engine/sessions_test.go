package engine

import (
	"errors"
	"testing"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
)

// traffic returns what is counted of a network.
func traffic(t testing.TB, e *Engine, id string) *dataplane.Traffic {
	t.Helper()
	c, err := e.Traffic(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func open(t *dataplane.Traffic, kind dataplane.SessionKind) (open, opened uint64) {
	for _, s := range t.Sessions {
		if s.Kind == kind {
			return s.Open, s.Opened
		}
	}
	return 0, 0
}

// Open connections take the shortcut, in both directions and whoever opened
// them, and what is counted is what was sent.
func TestShortcut(t *testing.T) {
	t.Parallel()
	onAndOff(t, func(t *testing.T, on bool) {
		s := newSite(t)
		n := s.network(t)
		n.Shortcut = on
		limit(n, dataplane.Limits{Connections: 100, NewPerSecond: 1000})
		e := s.engine(t)
		mustApply(t, e, n)
		space := dataplane.Namespace(n.ID)
		server := nstest.Host(t, space, "vsw-a", "10.0.1.5/24", "10.0.1.253")
		client := nstest.Host(t, space, "vsw-a", "10.0.1.6/24", "10.0.1.253")
		nstest.Listen(t, server, 8080)
		nstest.Listen(t, s.public, 9000)
		// Who is slow to be found is not dialled twice.
		nstest.Ping(t, server, "10.0.1.253", 1)
		nstest.Ping(t, client, "10.0.1.253", 1)
		conns := map[string]interface{ Close() error }{}
		for _, network := range []string{"tcp4", "udp4"} {
			c := nstest.MustDial(t, client, network, "203.0.113.1:9000")
			conns["out "+network] = c
			for range 20 {
				nstest.Eventually(t, func() error { _, err := nstest.Ask(c); return err })
			}
		}
		c := nstest.MustDial(t, s.public, "tcp4", "203.0.113.11:80")
		for range 20 {
			nstest.Eventually(t, func() error { _, err := nstest.Ask(c); return err })
		}
		got := traffic(t, e, n.ID)
		if hits := got.Shortcut.Hits; (hits > 50) != on {
			t.Errorf("%d packets took the shortcut: %+v", hits, got.Shortcut)
		}
		if now, all := open(got, dataplane.SessionSNAT); now != 2 || all != 2 {
			t.Errorf("SNAT sessions: %d open of %d", now, all)
		}
		if now, all := open(got, dataplane.SessionDNAT); now != 1 || all != 1 {
			t.Errorf("DNAT sessions: %d open of %d", now, all)
		}
		if len(got.Addresses) != 2 || got.Addresses[0].Address.String() != "10.0.1.5" || got.Addresses[1].Open != 2 {
			t.Errorf("addresses: %+v", got.Addresses)
		}
		t.Logf("%+v", got)
		for _, c := range conns {
			c.Close()
		}
		nstest.Eventually(t, func() error {
			if now, _ := open(traffic(t, e, n.ID), dataplane.SessionSNAT); now != 1 {
				return errors.New("the closed TCP connection still counts")
			}
			return nil
		})
	})
}
