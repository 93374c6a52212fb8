package openvpn

import (
	"net/netip"
	"reflect"
	"strings"
	"testing"
	"time"
)

func TestParseMessage(t *testing.T) {
	for line, want := range map[string]message{
		">INFO:OpenVPN Management Interface Version 5 -- type 'help' for more info": {notification, "INFO", "OpenVPN Management Interface Version 5 -- type 'help' for more info"},
		">LOG:1732876543,I,1.2.3.4:5 VERIFY OK: depth=0":                            {notification, "LOG", "1732876543,I,1.2.3.4:5 VERIFY OK: depth=0"},
		">":                                   {kind: notification},
		"SUCCESS: real-time log notification": {kind: success, text: "real-time log notification"},
		"ERROR: common name 'x' not found":    {kind: failure, text: "common name 'x' not found"},
		"END":                                 {kind: end},
		"END of it":                           {kind: data, text: "END of it"},
		"CLIENT_LIST\tvsc-1\t192.0.2.1:1000":  {kind: data, text: "CLIENT_LIST\tvsc-1\t192.0.2.1:1000"},
		"":                                    {kind: data},
	} {
		if got := parseMessage(line); got != want {
			t.Errorf("%q: %+v, want %+v", line, got, want)
		}
	}
}

const header = "HEADER\tCLIENT_LIST\tCommon Name\tReal Address\tVirtual Address\tVirtual IPv6 Address\tBytes Received\tBytes Sent\tConnected Since\tConnected Since (time_t)\tUsername\tClient ID\tPeer ID\tData Channel Cipher"

func TestParseStatus(t *testing.T) {
	lines := []string{
		"TITLE\tOpenVPN 2.6.14 x86_64-pc-linux-gnu",
		"TIME\t2026-11-29 11:18:29\t1796037509",
		header,
		"CLIENT_LIST\tvsc-1\t198.51.100.6:60159\t10.99.0.2\t\t2217\t2155\t2026-11-29 11:18:18\t1796037498\tUNDEF\t0\t0\tAES-256-GCM",
		"CLIENT_LIST\tUNDEF\ttcp4-server:198.51.100.7:1000\t\t\t10\t20\t2026-11-29 11:18:19\t1796037499\tUNDEF\t3\t1\t",
		"HEADER\tROUTING_TABLE\tVirtual Address\tCommon Name\tReal Address\tLast Ref\tLast Ref (time_t)",
		"ROUTING_TABLE\t10.99.0.2\tvsc-1\t198.51.100.6:60159\t2026-11-29 11:18:18\t1796037498",
		"GLOBAL_STATS\tMax bcast/mcast queue length\t0",
	}
	want := []client{
		{name: "vsc-1", remote: netip.MustParseAddrPort("198.51.100.6:60159"), address: netip.MustParseAddr("10.99.0.2"), since: time.Unix(1796037498, 0), received: 2217, sent: 2155, cipher: "AES-256-GCM"},
		{name: "UNDEF", remote: netip.MustParseAddrPort("198.51.100.7:1000"), id: 3, since: time.Unix(1796037499, 0), received: 10, sent: 20},
	}
	got, err := parseStatus(lines)
	if err != nil || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, %v; want %+v", got, err, want)
	}
	if !got[0].connected() || got[1].connected() {
		t.Error("who is connected is taken for who is not")
	}
	for what, lines := range map[string][]string{
		"nothing":          nil,
		"no header":        {lines[3]},
		"a column too few": {header, strings.TrimSuffix(lines[3], "\tAES-256-GCM")},
		"no number":        {header, strings.Replace(lines[3], "2217", "many", 1)},
		"no address":       {header, strings.Replace(lines[3], "10.99.0.2", "somewhere", 1)},
		"no remote":        {header, strings.Replace(lines[3], "198.51.100.6:60159", "somewhere", 1)},
	} {
		if got, err := parseStatus(lines); err == nil {
			t.Errorf("%s: %+v and no error", what, got)
		}
	}
}

// Whatever OpenVPN, or who is in its place, says, is read without harm: lines are what they
// are by how they begin, and clients are such as were in a line.
func FuzzParseMessage(f *testing.F) {
	f.Add(">CLIENT:ENV,n_clients=1")
	f.Add(header + "\nCLIENT_LIST\tvsc-1\t198.51.100.6:60159\t10.99.0.2\t\t2217\t2155\t2026-11-29 11:18:18\t1796037498\tUNDEF\t0\t0\tAES-256-GCM\nEND")
	f.Add("HEADER\tCLIENT_LIST\tCommon Name\nCLIENT_LIST\tx")
	f.Add("SUCCESS: 1 client(s) killed\nERROR: no")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		for _, line := range lines {
			m := parseMessage(line)
			if m.kind == notification != strings.HasPrefix(line, ">") || !strings.HasSuffix(strings.TrimRight(line, " \t\r\v\f\u0085\u00a0"), strings.TrimSpace(m.text)) && m.kind == data {
				t.Errorf("%q is %+v", line, m)
			}
			if m.kind == data && m.text != line {
				t.Errorf("%q is %q", line, m.text)
			}
		}
		clients, err := parseStatus(lines)
		if err != nil && clients != nil {
			t.Errorf("%+v with error %v", clients, err)
		}
		for _, c := range clients {
			if !strings.Contains(text, c.name) || !c.remote.IsValid() {
				t.Errorf("%+v of %q", c, text)
			}
		}
	})
}

// A line of the log tells its time, or is text alone.
func FuzzParseLog(f *testing.F) {
	f.Add("1796037498.344469 1 OpenVPN 2.6.14")
	f.Add("1796037498.344469 21000003 vsc-1/198.51.100.6:36805 Data Channel: cipher 'AES-256-GCM'")
	f.Add("198.51.100.6:1 SIGTERM[soft,ping-restart] received, client-instance exiting")
	f.Add("-1.000000 1 x")
	f.Fuzz(func(t *testing.T, text string) {
		l, ok := parseLog(text)
		if !ok && (l.text != text || !l.time.IsZero()) || ok && (!strings.HasSuffix(text, l.text) || l.time.Before(time.Unix(0, 0))) {
			t.Errorf("%q is %+v, %v", text, l, ok)
		}
		_ = read(l)
	})
}
