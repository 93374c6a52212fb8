package dhcp

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/netns"
)

// lease asks by udhcpc for an address for link b, and returns what it was told, in lines of
// a name and a value.
func lease(t *testing.T, ns *netns.Namespace) (string, error) {
	t.Helper()
	script := filepath.Join(t.TempDir(), "told")
	if err := os.WriteFile(script, []byte("#!/bin/sh\n[ \"$1\" = bound ] && printf 'ip %s\\nmask %s\\nrouter %s\\ndns %s\\ndomain %s\\nlease %s\\nserver %s\\n' \"$ip\" \"$mask\" \"$router\" \"$dns\" \"$domain\" \"$lease\" \"$serverid\"\nexit 0\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return nstest.TryCommand(ns, "udhcpc", "-i", "b", "-f", "-n", "-q", "-t", "3", "-T", "1", "-s", script)
}

// TestServer: a host that asks by udhcpc is given what the settings have for it, and what
// they have changed to; nobody else is.
func TestServer(t *testing.T) {
	here, there := nstest.New(t), nstest.New(t)
	nstest.Veth(t, here, "a", there, "b")
	nstest.Address(t, here, "a", "10.0.1.1/24")
	nstest.Up(t, there, "b")
	mac := nstest.Link(t, there, "b").Attrs().HardwareAddr.String()
	set := *settings
	set.Leases = map[string]netip.Addr{mac: netip.MustParseAddr("10.0.1.5")}
	a := nstest.Link(t, here, "a").Attrs()
	s, err := Serve(here, Link{Index: a.Index, MAC: a.HardwareAddr}, &set, func(err error) { t.Error(err) })
	if err != nil {
		t.Fatal(err)
	}
	out, err := lease(t, there)
	want := "ip 10.0.1.5\nmask 24\nrouter 10.0.1.1\ndns 10.0.0.53 8.8.8.8\ndomain office.example\nlease 3600\nserver 10.0.1.1\n"
	if err != nil || !strings.Contains(out, want) {
		t.Errorf("told %s, %v; want %s", out, err, want)
	}
	next := set
	next.Leases = map[string]netip.Addr{mac: netip.MustParseAddr("10.0.1.9")}
	s.Change(&next)
	if out, err = lease(t, there); err != nil || !strings.Contains(out, "ip 10.0.1.9\n") {
		t.Errorf("after a change: %s, %v", out, err)
	}
	none := set
	none.Leases = nil
	s.Change(&none)
	if out, err = lease(t, there); err == nil {
		t.Errorf("a stranger is told %s", out)
	}
	s.Change(&set)
	s.Close()
	if out, err = lease(t, there); err == nil {
		t.Errorf("after the end: %s", out)
	}
}
