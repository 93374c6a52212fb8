package initial

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/config"
)

// edge is a machine with a device that has the default route, a bridge, and one that has
// nothing.
var edge = Machine{Devices: []Device{
	{Name: "eth0", Address: netip.MustParsePrefix("198.51.100.7/24"), Gateway: netip.MustParseAddr("198.51.100.1")},
	{Name: "br-lan", Bridge: true, Address: netip.MustParsePrefix("192.0.2.1/25")},
	{Name: "eth2"},
}}

// conversation asks with given answers, and returns what was said.
func conversation(m Machine, a Answers, lines ...string) (Answers, string, error) {
	var said strings.Builder
	k := &Asker{In: bufio.NewReader(strings.NewReader(strings.Join(lines, "\n") + "\n")), Out: &said, Machine: m}
	a, err := k.Ask(a)
	return a, said.String(), err
}

// TestAsk: what is answered stands in the configuration, as sluiced reads it.
func TestAsk(t *testing.T) {
	for name, c := range map[string]struct {
		machine Machine
		lines   []string
		want    string // of the public networks and regions, as config has them
	}{
		"defaults of the default route": {edge, []string{"", "", "", "", "", "", "", "198.51.100.16-198.51.100.31"},
			"127.0.0.1:8680 cn-hangzhou[cn-hangzhou-a cn-hangzhou-b] internet macvlan eth0 198.51.100.0/24 via 198.51.100.1 198.51.100.16-198.51.100.31"},
		"a bridge, several pools, no gateway": {edge, []string{"[::]:443", "home", "home-1", "br-lan", "", "", "none", "192.0.2.8/29, 192.0.2.100"},
			"[::]:443 home[home-1] internet bridge br-lan 192.0.2.0/25 via invalid IP 192.0.2.8-192.0.2.15 192.0.2.100-192.0.2.100"},
		"a device of its own": {edge, []string{"", "", "", "eth2", "device", "203.0.113.0/28", "203.0.113.1", "203.0.113.2-203.0.113.14"},
			"127.0.0.1:8680 cn-hangzhou[cn-hangzhou-a cn-hangzhou-b] internet device eth2 203.0.113.0/28 via 203.0.113.1 203.0.113.2-203.0.113.14"},
		"no network at all": {Machine{}, []string{"", "", "", "", ""},
			"127.0.0.1:8680 cn-hangzhou[cn-hangzhou-a cn-hangzhou-b] internet bridge sluice-public 203.0.113.0/24 via 203.0.113.1 203.0.113.10-203.0.113.250"},
		"two regions, two networks": {edge, []string{"127.0.0.1:1", "a, b", "", "b-x", "", "", "", "", "198.51.100.16-198.51.100.31", "a", "yes", "br-lan", "", "", "", "192.0.2.8/29", ""},
			"127.0.0.1:1 a[a-a a-b] b[b-x] internet macvlan eth0 198.51.100.0/24 via 198.51.100.1 198.51.100.16-198.51.100.31 for a internet-2 bridge br-lan 192.0.2.0/25 via invalid IP 192.0.2.8-192.0.2.15 for b"},
		"two regions, one network": {edge, []string{"", "a, b", "", "", "", "", "", "", "198.51.100.16-198.51.100.31", "a", "no"},
			"127.0.0.1:8680 a[a-a a-b] b[b-a b-b] internet macvlan eth0 198.51.100.0/24 via 198.51.100.1 198.51.100.16-198.51.100.31 for a"},
	} {
		a, said, err := conversation(c.machine, c.machine.Default(), c.lines...)
		if err != nil {
			t.Errorf("%s: %v\n%s", name, err, said)
			continue
		}
		if got := read(t, a); got != c.want {
			t.Errorf("%s:\n got %s\nwant %s\n%s", name, got, c.want, said)
		}
		// One answer less leaves a question open, whichever is the last.
		for n := range c.lines {
			if _, said, err := conversation(c.machine, c.machine.Default(), c.lines[:n]...); n > 0 && !errors.Is(err, ErrEnded) {
				t.Errorf("%s: after %d answers: %v\n%s", name, n, err, said)
			}
		}
	}
}

// read says what sluiced reads of answers.
func read(t *testing.T, a Answers) string {
	t.Helper()
	c, err := config.Parse("sluiced.yaml", []byte(a.Text()))
	if err != nil {
		t.Fatalf("%v\n%s", err, a.Text())
	}
	words := []string{c.Listen}
	for _, r := range c.Settings.Regions {
		var zones []string
		for _, z := range r.Zones {
			zones = append(zones, z.ID)
		}
		words = append(words, fmt.Sprint(r.ID, zones))
	}
	for _, p := range c.Settings.Public {
		words = append(words, p.Name, string(p.Uplink.Mode), p.Uplink.Device, p.Uplink.Prefix.String(), "via", p.Uplink.Gateway.String())
		for _, r := range p.Pool {
			words = append(words, r.First.String()+"-"+r.Last.String())
		}
		if len(p.Regions) > 0 {
			words = append(words, "for "+strings.Join(p.Regions, " "))
		}
	}
	return strings.Join(words, " ")
}

// TestWrongAnswers: each question refuses what is wrong, says why, and asks again.
func TestWrongAnswers(t *testing.T) {
	right := []string{"127.0.0.1:8680", "cn-hangzhou", "cn-hangzhou-a", "eth0", "macvlan", "198.51.100.0/24", "198.51.100.1", "198.51.100.16-198.51.100.31"}
	for i, wrong := range []map[string]string{
		{"8680": "is not an address and a port", "127.0.0.1:http": "is not a port", "127.0.0.1:70000": "is not a port"},
		{"CN": "is not an id", "a, a": "unique", "a_b": "is not an id", ",": "is empty"},
		{"cn-hangzhou": "unique", "x x": "unique", "Z": "is not an id", ",": "is empty"},
		{"eth7": "there is no device eth7 on this machine; there are eth0, br-lan, eth2", "a b": "there is no device a b", "": ""},
		{"bridge": "is not a bridge", "device": "default route", "veth": "is not a mode"},
		{"198.51.100.0": "is not a network", "198.51.100.7/24": "did you mean 198.51.100.0/24", "2001:db8::/64": "IPv4", "10.0.0.0/4": "/8 to /31", "": ""},
		{"198.51.101.1": "is not an address of a host", "198.51.100.0": "is not an address of a host", "none such": "is not an address"},
		{"": "is empty", "198.51.100.0/28": "does not lie among the hosts", "198.51.100.1-198.51.100.9": "contains the gateway", "198.51.100.2-198.51.100.20": "this machine's own address, on eth0",
			"198.51.100.9-198.51.100.8": "not a range", "198.51.100.8, 198.51.100.8": "stands in one pool once", "2001:db8::1": "not IPv4", "some": "not an address, range or CIDR block"},
	} {
		for answer, want := range wrong {
			if want == "" {
				continue
			}
			lines := slices.Insert(slices.Clone(right), i, answer)
			a, said, err := conversation(edge, edge.Default(), lines...)
			if err != nil || !strings.Contains(said, want) || read(t, a) == "" {
				t.Errorf("question %d, answer %q: %v; want %q and the question again:\n%s", i+1, answer, err, want, said)
			}
		}
	}
	// Of two wrong answers each is told.
	if _, said, err := conversation(edge, edge.Default(), slices.Insert(slices.Clone(right), 5, "1", "2")...); err != nil || strings.Count(said, "is not a network") != 2 {
		t.Errorf("%v\n%s", err, said)
	}
}

// TestYes: nothing else than yes and no.
func TestYes(t *testing.T) {
	for lines, want := range map[string]string{"\n": "true", "no\n": "false", "Y\n": "true", "maybe\nn\n": "false", "": "ended"} {
		k := &Asker{In: bufio.NewReader(strings.NewReader(lines)), Out: io.Discard}
		got, err := k.Yes("Well", true)
		if text := fmt.Sprint(got, err); !strings.Contains(text, want) {
			t.Errorf("%q: %s; want %s", lines, text, want)
		}
	}
}

// TestText: any texts come back as they are, or are refused: none is read as another one.
func TestText(t *testing.T) {
	random := rand.New(rand.NewPCG(1, 2))
	parts := []string{"a", "yes", "~", "1", "1e3", "0x1", ": ", "#", " #", "'", `"`, "[", "]", "{", ",", "\\", "é", "-", "- ", "&a", "*a", "!x", "|", ">", "%", "@", "null", "\t", "on"}
	text := func() string {
		var b strings.Builder
		for range 1 + random.IntN(4) {
			b.WriteString(parts[random.IntN(len(parts))])
		}
		return b.String()
	}
	accepted, tried := 0, 5000
	if testing.Short() {
		tried = 1000
	}
	for range tried {
		a := Machine{}.Default()
		a.Public[0].Name, a.Public[0].Device = text(), "d"+text()
		c, err := config.Parse("x", []byte(a.Text()))
		if err != nil {
			if e, ok := errors.AsType[*config.Error](err); !ok || !strings.HasPrefix(e.Field, "public[0].") {
				t.Fatalf("name %q, device %q: %v\n%s", a.Public[0].Name, a.Public[0].Device, err, a.Text())
			}
			continue
		}
		accepted++
		if p := c.Settings.Public[0]; p.Name != a.Public[0].Name || p.Uplink.Device != a.Public[0].Device {
			t.Fatalf("name %q, device %q were read as %q, %q", a.Public[0].Name, a.Public[0].Device, p.Name, p.Uplink.Device)
		}
	}
	if accepted < tried/10 {
		t.Errorf("only %d of %d were accepted", accepted, tried)
	}
}
