package lab

import (
	"encoding/hex"
	"net/netip"
	"strings"
	"testing"
)

// frame is an Ethernet frame around an IPv4 packet that is given in hex.
func frame(t testing.TB, parts ...string) []byte {
	t.Helper()
	text := "020000000002 020000000001 0800 " + strings.Join(parts, " ")
	b, err := hex.DecodeString(strings.ReplaceAll(text, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestParsePacket(t *testing.T) {
	// 10.0.1.10:40000 > 203.0.113.1:80, SYN, DF, TTL 63
	p, err := parsePacket(frame(t, "4500 002c 1234 4000 3f06 0000 0a00010a cb007101", "9c40 0050 00000001 00000000 6002 ffff 0000 0000 020405b4"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Src != netip.MustParseAddr("10.0.1.10") || p.Dst != PublicGateway || p.SrcPort != 40000 || p.DstPort != 80 ||
		p.TCPFlags != SYN || p.TTL != 63 || p.ID != 0x1234 || !p.DontFrag || p.More || p.Offset != 0 || len(p.Payload) != 0 {
		t.Errorf("parsed %+v", p)
	}
	if !p.PrivateSource() || !p.Private() {
		t.Error("10.0.1.10 does not count as private")
	}
	if got, want := p.String(), "in  TCP 10.0.1.10:40000 > 203.0.113.1:80 SYN, 0 bytes"; got != want {
		t.Errorf("String is %q, want %q", got, want)
	}

	// UDP with three bytes, padded to the least size of a frame
	p, err = parsePacket(frame(t, "4500 001f 0001 0000 4011 0000 cb00710a cb007101", "1388 0035 000b 0000 616263", strings.Repeat("00", 15)))
	if err != nil {
		t.Fatal(err)
	}
	if p.SrcPort != 5000 || p.DstPort != 53 || string(p.Payload) != "abc" || p.Private() {
		t.Errorf("parsed %+v", p)
	}

	// a later fragment has no ports
	p, err = parsePacket(frame(t, "4500 001c 0001 2010 4011 0000 cb00710a cb007101", "1388 0035 000b 0000"))
	if err != nil {
		t.Fatal(err)
	}
	if p.Offset != 128 || !p.More || p.SrcPort != 0 || len(p.Payload) != 8 {
		t.Errorf("parsed %+v", p)
	}

	// port unreachable, which quotes the UDP packet that it is about
	p, err = parsePacket(frame(t, "4500 0038 0001 0000 4001 0000 cb007101 cb00710a", "0303 0000 00000000", "4500 001f 0001 0000 3f11 0000 cb00710a cb007101", "1388 0035 000b 0000"))
	if err != nil {
		t.Fatal(err)
	}
	if p.ICMPType != 3 || p.ICMPCode != 3 || p.Inner == nil || p.Inner.SrcPort != 5000 || p.Inner.DstPort != 53 {
		t.Errorf("parsed %+v", p)
	}
}

func TestParsePacketRefuses(t *testing.T) {
	for name, f := range map[string][]byte{
		"nothing":         {},
		"an ARP frame":    append(frame(t)[:12], 0x08, 0x06, 0, 1),
		"no header":       frame(t, "45"),
		"header too long": frame(t, "4f00 001c 0001 0000 4011 0000 cb00710a cb007101"),
	} {
		if p, err := parsePacket(f); err == nil {
			t.Errorf("%s was parsed as %+v", name, p)
		}
	}
}

// FuzzParsePacket must not panic, whatever a wire carries.
func FuzzParsePacket(f *testing.F) {
	f.Add(frame(f, "4500 002c 1234 4000 3f06 0000 0a00010a cb007101", "9c40 0050 00000001 00000000 6002 ffff 0000 0000 020405b4"))
	f.Add(frame(f, "4500 0038 0001 0000 4001 0000 cb007101 cb00710a", "0303 0000 00000000", "4500 001f 0001 0000 3f11 0000 cb00710a cb007101"))
	f.Fuzz(func(t *testing.T, b []byte) {
		p, err := parsePacket(b)
		if err == nil && (!p.Src.Is4() || p.String() == "") {
			t.Errorf("parsed %+v", p)
		}
	})
}

func TestPrivate(t *testing.T) {
	for a, want := range map[string]bool{
		"10.0.0.1": true, "172.16.0.1": true, "192.168.1.1": true, "100.64.0.1": true, "100.127.255.255": true,
		"203.0.113.1": false, "100.128.0.1": false, "172.32.0.1": false, "169.254.1.1": false,
	} {
		if got := private(netip.MustParseAddr(a)); got != want {
			t.Errorf("private(%s) is %v", a, got)
		}
	}
}
