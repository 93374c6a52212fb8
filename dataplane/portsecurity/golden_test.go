package portsecurity

import (
	"encoding/binary"
	"flag"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

var updateGolden = flag.Bool("update", false, "write the golden files anew")

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name+".golden")
	if *updateGolden {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatalf("%v (make it with go test -update)", err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// fields are what the rules load, by base, offset and length.
var fields = map[[3]uint32]string{
	{unix.NFT_PAYLOAD_LL_HEADER, 6, 6}:        "ether saddr",
	{unix.NFT_PAYLOAD_LL_HEADER, 14, 2}:       "vlan tci",
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 0, 8}:   "llc . snap",
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 8, 6}:   "arp saddr ether",
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 14, 4}:  "arp saddr ip",
	{unix.NFT_PAYLOAD_NETWORK_HEADER, 12, 4}:  "ip saddr",
	{unix.NFT_PAYLOAD_TRANSPORT_HEADER, 0, 1}: "icmpv6 type",
}

// ruleText is a rule as nft would print it, more or less, read from its expressions.
func ruleText(t *testing.T, exprs []expr.Any) string {
	t.Helper()
	registers := map[uint32]string{}
	// A key of two parts lies in registers one after the other.
	key := func(first uint32, set string) string {
		if set == setNames[pairs] || set == claimsSet {
			return registers[first] + " . " + registers[first+1]
		}
		return registers[first]
	}
	var words []string
	for _, e := range exprs {
		switch e := e.(type) {
		case *expr.Meta:
			registers[e.Register] = map[expr.MetaKey]string{expr.MetaKeyPROTOCOL: "meta protocol", expr.MetaKeyL4PROTO: "meta l4proto"}[e.Key]
		case *expr.Payload:
			name := fields[[3]uint32{uint32(e.Base), e.Offset, e.Len}]
			if name == "" {
				t.Errorf("nobody knows what %+v loads", e)
			}
			registers[e.DestRegister] = name
		case *expr.Immediate:
			a, _ := netip.AddrFromSlice(e.Data)
			registers[e.Register] = a.String()
		case *expr.Bitwise:
			registers[e.DestRegister] = fmt.Sprintf("%s & %#x", registers[e.SourceRegister], e.Mask)
		case *expr.Cmp:
			words = append(words, fmt.Sprintf("%s %#x", registers[e.Register], e.Data))
		case *expr.Lookup:
			not := ""
			if e.Invert {
				not = "!= "
			}
			words = append(words, fmt.Sprintf("%s %s@%s", key(e.SourceRegister, e.SetName), not, e.SetName))
		case *expr.Dynset:
			words = append(words, fmt.Sprintf("update @%s { %s }", e.SetName, key(e.SrcRegKey, e.SetName)))
		case *expr.Objref:
			words = append(words, "counter name "+e.Name)
		case *expr.Verdict:
			words = append(words, strings.TrimSpace(map[expr.VerdictKind]string{expr.VerdictJump: "jump", expr.VerdictDrop: "drop"}[e.Kind]+" "+e.Chain))
		default:
			t.Errorf("an expression that no rule had before: %+v", e)
		}
	}
	return strings.Join(words, " ")
}

// The rules, read from what the kernel is given.
func TestRules(t *testing.T) {
	var b strings.Builder
	for _, reason := range reasons {
		fmt.Fprintf(&b, "counter %s\n", reason)
	}
	for id := range setCount {
		fmt.Fprintf(&b, "set %s { type %s }\n", setNames[id], kernelSet(&nftables.Table{}, id).KeyType.Name)
	}
	c := kernelClaims(&nftables.Table{})
	fmt.Fprintf(&b, "set %s { type %s; dynamic %t; timeout %s; size %d }\n", c.Name, c.KeyType.Name, c.Dynamic, c.Timeout, c.Size)
	jumped := map[string]bool{}
	for _, k := range chains() {
		fmt.Fprintf(&b, "chain %s {\n", k.name)
		for _, r := range k.rules {
			fmt.Fprintf(&b, "\t%s\n", ruleText(t, r))
			if v, ok := r[len(r)-1].(*expr.Verdict); ok && v.Kind == expr.VerdictJump {
				jumped[v.Chain] = true
			}
		}
		b.WriteString("}\n")
	}
	golden(t, "rules", b.String())
	for _, k := range chains() {
		if !jumped[k.name] && k.name != "check" {
			t.Errorf("nothing leads to chain %s", k.name)
		}
	}
}

// text is what tables hold, for people.
func (h *Holding) text() string {
	var b strings.Builder
	for _, f := range families {
		c := h.tables[f.family]
		if c == nil {
			continue
		}
		fmt.Fprintf(&b, "table %s %s\n", f.name, tableName)
		for _, link := range c.links {
			fmt.Fprintf(&b, "\tlink %s\n", link)
		}
		for id := range setCount {
			for _, key := range c.elements[id] {
				var parts []string
				if id == routing {
					fmt.Fprintf(&b, "\t%s %d\n", setNames[id], key[0])
					continue
				}
				if len(key) != 6 {
					a, _ := netip.AddrFromSlice([]byte(key[:4]))
					parts, key = append(parts, a.String()), key[4:]
				}
				if len(key) >= 6 {
					parts, key = append(parts, net.HardwareAddr(key[:6]).String()), key[6:]
				}
				if strings.Trim(key, "\x00") != "" {
					parts = append(parts, fmt.Sprintf("and %#x", key))
				}
				fmt.Fprintf(&b, "\t%s %s\n", setNames[id], strings.Join(parts, " . "))
			}
		}
	}
	if b.Len() == 0 {
		return "no table\n"
	}
	return b.String()
}

// vswitch is one of a network, with the gateway's address as its last but two.
func vswitch(id string, third byte, kind dataplane.AttachmentKind) dataplane.Switch {
	return dataplane.Switch{ID: id, Prefix: netip.PrefixFrom(netip.AddrFrom4([4]byte{10, 0, third, 0}), 24),
		Gateway: netip.AddrFrom4([4]byte{10, 0, third, 253}), Attachment: dataplane.Attachment{Kind: kind}}
}

func binding(address string, last byte) dataplane.Binding {
	return dataplane.Binding{Address: netip.MustParseAddr(address), MAC: fmt.Sprintf("02:00:00:00:00:%02x", last)}
}

func via(addresses ...string) (out []dataplane.Route) {
	r := dataplane.Route{Destination: netip.MustParsePrefix("172.16.0.0/12")}
	for _, a := range addresses {
		r.NextHops = append(r.NextHops, dataplane.NextHop{Via: netip.MustParseAddr(a)})
	}
	return []dataplane.Route{{Destination: netip.MustParsePrefix("0.0.0.0/0"), NextHops: []dataplane.NextHop{{Uplink: true}}}, r}
}

func TestHoldings(t *testing.T) {
	bridge, device := vswitch("vsw-a", 1, dataplane.AttachBridge), vswitch("vsw-b", 2, dataplane.AttachDevice)
	vxlan := vswitch("vsw-c", 3, dataplane.AttachVXLAN)
	bindings := []dataplane.Binding{binding("10.0.1.10", 1), binding("10.0.1.11", 2), binding("10.0.2.10", 3)}
	for name, n := range map[string]*dataplane.Network{
		"off":          {Switches: []dataplane.Switch{bridge}, Bindings: bindings},
		"nothing":      {PortSecurity: true},
		"bridge":       {PortSecurity: true, Switches: []dataplane.Switch{bridge}, Bindings: bindings},
		"links":        {PortSecurity: true, Switches: []dataplane.Switch{vxlan, device}, Bindings: bindings},
		"both":         {PortSecurity: true, Switches: []dataplane.Switch{bridge, device}, Bindings: bindings},
		"no-bindings":  {PortSecurity: true, Switches: []dataplane.Switch{bridge}},
		"next-hop":     {PortSecurity: true, Switches: []dataplane.Switch{bridge}, Bindings: bindings, Routes: via("10.0.1.11")},
		"unknown-hop":  {PortSecurity: true, Switches: []dataplane.Switch{bridge}, Bindings: bindings, Routes: via("10.0.1.11", "10.0.1.99")},
		"hop-of-table": {PortSecurity: true, Switches: []dataplane.Switch{bridge}, Bindings: bindings, Tables: []dataplane.RouteTable{{Routes: via("10.0.2.10")}}},
		"of-nobody":    {PortSecurity: true, Switches: []dataplane.Switch{bridge}, Bindings: append(bindings[:2:2], dataplane.Binding{Address: netip.MustParseAddr("10.0.1.12")})},
		"one-mac-twice": {PortSecurity: true, Switches: []dataplane.Switch{bridge}, Routes: via("10.0.1.10", "10.0.1.12"),
			Bindings: []dataplane.Binding{binding("10.0.1.10", 1), binding("10.0.1.12", 1)}},
	} {
		t.Run(name, func(t *testing.T) {
			h, err := Of(n)
			if err != nil {
				t.Fatal(err)
			}
			golden(t, name, h.text())
		})
	}
	for _, mac := range []string{"02:00:00:00:00", "02:00:00:00:00:00:00:01", "twelve"} {
		b := []dataplane.Binding{{Address: netip.MustParseAddr("10.0.1.10"), MAC: mac}}
		if _, err := Of(&dataplane.Network{PortSecurity: true, Switches: []dataplane.Switch{bridge}, Bindings: b}); err == nil || !strings.Contains(err.Error(), "10.0.1.10") {
			t.Errorf("Ethernet address %q: %v", mac, err)
		}
	}
}

// protocolOf returns the protocol that a rule is for.
func protocolOf(r []expr.Any) uint16 {
	return binary.BigEndian.Uint16(r[1].(*expr.Cmp).Data)
}

// Each rule of chain check is for one protocol, which it asks for first: what it loads is
// nothing in a frame of another.
func TestRulesAskForTheProtocol(t *testing.T) {
	loads := map[string]map[uint16]bool{
		"arp": {unix.ETH_P_ARP: true}, "ip ": {unix.ETH_P_IP: true}, "llc": {unix.ETH_P_802_2: true},
		"vlan": {unix.ETH_P_8021Q: true, unix.ETH_P_8021AD: true}, "icmpv6": {unix.ETH_P_IPV6: true},
	}
	for _, k := range chains() {
		if k.name != "check" {
			continue
		}
		for _, r := range k.rules {
			for _, e := range r[2:] {
				p, ok := e.(*expr.Payload)
				if !ok {
					continue
				}
				name := fields[[3]uint32{uint32(p.Base), p.Offset, p.Len}]
				for prefix, of := range loads {
					if strings.HasPrefix(name, prefix) && !of[protocolOf(r)] {
						t.Errorf("%s is loaded of protocol %#x", name, protocolOf(r))
					}
				}
			}
		}
	}
}
