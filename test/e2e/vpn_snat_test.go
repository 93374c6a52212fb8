package e2e

import (
	"fmt"
	"net/netip"
	"reflect"
	"testing"
	"time"
)

// TestVPNBesideNAT: what a host with an SNAT entry sends through a tunnel is
// neither translated nor counted as the NAT gateway's.
func TestVPNBesideNAT(t *testing.T) {
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	n.gateway(t)
	external := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], external)
	id, address := n.vpnGateway(t, "10")
	s := n.site(t, "c", "192.168.77.1")
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	s.answer(t, address, w)
	n.status(t, n.connect(t, id, s, w, ikeModern, ipsecModern), "ipsec_sa_established")
	if seen := h.seenAs(t, "udp", n.g.internet.echo(t, "udp")); seen.Addr() != external {
		t.Errorf("the Internet sees %s, not %s", seen, external)
	}

	before := n.g.traffic(t, n.vpc)
	h.reaches(t, s.open(t, "tcp", "-"))
	c, err := h.dial("udp", netip.Addr{}, s.open(t, "udp", "-"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for i := range 20 {
		if _, _, err := exchange(c, fmt.Sprint("n", i), answerTimeout); err != nil {
			t.Fatal(err)
		}
	}
	after := n.g.traffic(t, n.vpc)
	if after.Outbound != before.Outbound || after.Inbound != before.Inbound {
		t.Errorf("counted %+v and %+v, then %+v and %+v", before.Outbound, before.Inbound, after.Outbound, after.Inbound)
	}
	if !reflect.DeepEqual(after.Sessions, before.Sessions) {
		t.Errorf("sessions were %+v, then %+v", before.Sessions, after.Sessions)
	}
}
