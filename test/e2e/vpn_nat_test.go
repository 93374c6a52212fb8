package e2e

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/api/admin"
	"sluice/test/lab"
)

// masquerade puts a site behind a router that masquerades, and returns the router,
// and the site as the gateway knows it: by the router's address.
func (n *network) masquerade(t *testing.T, s *site) (*endpoint, *site) {
	t.Helper()
	router := n.natted(t, s.endpoint)
	public := *s
	public.customer = n.call(t, "CreateCustomerGateway", "IpAddress", router.addr.String(), "Name", "router")["CustomerGatewayId"].(string)
	t.Cleanup(func() { n.call(t, "DeleteCustomerGateway", "CustomerGatewayId", public.customer) })
	return router, &public
}

// natted puts a machine behind a router that masquerades, which it returns.
func (n *network) natted(t *testing.T, e *endpoint) (router *endpoint) {
	t.Helper()
	router = n.machine(t, "r")
	inside, private := netip.MustParsePrefix("192.168.99.1/24"), netip.MustParsePrefix("192.168.99.2/24")
	e.unplug(t)
	cable(t, plug{e.namespace, "private", private}, plug{router.namespace, "inside", inside})
	inNamespace(t, router.namespace, func() error {
		if err := writeSysctl("net/ipv4/ip_forward", "1"); err != nil {
			return err
		}
		rules := fmt.Sprintf("table ip nat { chain out { type nat hook postrouting priority 100; oifname %q masquerade; }; }", lab.HostInterface)
		if out, err := exec.Command("nft", rules).CombinedOutput(); err != nil {
			return fmt.Errorf("masquerade: %w: %s", err, out)
		}
		return nil
	})
	inNamespace(t, e.namespace, func() error {
		return netlink.RouteAdd(&netlink.Route{Gw: inside.Addr().AsSlice()})
	})
	e.addr = private.Addr()
	return router
}

// TestVPNBehindNAT: a site behind a NAT begins; ESP goes in UDP, by port 4500.
func TestVPNBehindNAT(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	h := n.host(t, 0, "172.16.1.10")
	id, address := n.vpnGateway(t, "10")
	s := n.site(t, "n", "192.168.77.1")
	router, public := n.masquerade(t, s)
	wire, err := lab.CaptureOn(router.namespace, lab.HostInterface, func(p lab.Packet) bool { return p.Src == address || p.Dst == address })
	if err != nil {
		t.Fatal(err)
	}
	defer wire.Close()
	w := modern("172.16.1.0/24", "192.168.77.0/24")
	w.id, w.start = "branch.example", true
	c := n.connect(t, id, public, w, ikeModern+`,"RemoteId":"branch.example"`, ipsecModern)
	s.answer(t, address, w)
	n.status(t, c, "ipsec_sa_established")
	h.reaches(t, s.open(t, "tcp", "-"))
	near := h.serve(t, "tcp", h.addr.String()+":0")
	if seen := s.seenFrom(t, s.lan, "tcp", near); seen.Addr() != s.lan {
		t.Errorf("the site is seen as %s", seen)
	}
	tells(t, c, router.addr)
	var in, out int // ESP, which does not begin with the four zero bytes of IKE (RFC 3948, section 2.2)
	for _, p := range wire.Packets() {
		if p.Protocol == unix.IPPROTO_ESP {
			t.Errorf("ESP that no NAT can translate: %s", p)
		}
		if p.Protocol != unix.IPPROTO_UDP || len(p.Payload) < 8 || string(p.Payload[:4]) == "\x00\x00\x00\x00" {
			continue
		}
		switch {
		case p.Src == router.addr && p.DstPort == 4500:
			in++
		case p.Dst == router.addr && p.SrcPort == 4500:
			out++
		}
	}
	if in == 0 || out == 0 {
		t.Errorf("%d packets of ESP in UDP to the gateway, %d from it", in, out)
	}
}

// TestVPNBehindOneNAT: two sites behind one NAT have one customer gateway, and are
// told apart by their identities; with what peer-config writes each has its own
// tunnel.
func TestVPNBehindOneNAT(t *testing.T) {
	for i, v := range []struct{ name, version, ike, keys string }{
		{"IKEv2, a key each", "ikev2", "", "one two"},
		{"main mode, one key", "ikev1", `,"IkeMode":"main"`, "both both"},
		{"aggressive mode, a key each", "ikev1", `,"IkeMode":"aggressive"`, "one two"},
	} {
		if testing.Short() && i > 0 {
			continue
		}
		t.Run(v.name, func(t *testing.T) {
			t.Parallel()
			n := gateways[0].newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
			h := n.host(t, 0, "172.16.1.10")
			id, _ := n.vpnGateway(t, "10")
			first := n.site(t, "n", "192.168.77.1")
			router, known := n.masquerade(t, first)
			second := n.site(t, "m", "192.168.78.1")
			n.besides(t, second, router)
			for i, s := range []*site{first, second} {
				name := fmt.Sprint("site-", i)
				w := modern("172.16.1.0/24", netip.PrefixFrom(s.lan, 24).Masked().String())
				w.version, w.psk = v.version, strings.Fields(v.keys)[i]
				c := n.connect(t, id, known, w, ikeModern+v.ike+`,"RemoteId":"`+name+`"`, ipsecModern)
				s.obey(t, c)
				n.status(t, c, "ipsec_sa_established")
				at := s.open(t, "tcp", name)
				h.reaches(t, at)
				if got := h.ask(t, "tcp", at); got != name {
					t.Errorf("%s is %s", at, got)
				}
			}
			h.reaches(t, first.open(t, "tcp", "-")) // still
		})
	}
}

// besides puts a site behind a router that masquerades for another one already.
func (n *network) besides(t *testing.T, s *site, router *endpoint) {
	t.Helper()
	inside, private := netip.MustParsePrefix("192.168.98.1/24"), netip.MustParsePrefix("192.168.98.2/24")
	s.unplug(t)
	cable(t, plug{s.namespace, "private", private}, plug{router.namespace, "inside2", inside})
	inNamespace(t, s.namespace, func() error { return netlink.RouteAdd(&netlink.Route{Gw: inside.Addr().AsSlice()}) })
	s.addr = private.Addr()
}

// tells fails unless the daemon tells an operator that a tunnel is up, through a NAT
// at an address.
func tells(t *testing.T, connection string, nat netip.Addr) {
	t.Helper()
	client, err := gateways[0].admin()
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var list []admin.Tunnel
	// The gateway has begun, too, which nobody answers through a NAT. It stops when the
	// site's IKE_SA has lasted.
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	err = lab.Await(ctx, "one IKE_SA", func() error {
		list, err = client.Tunnels(t.Context(), connection)
		if err != nil || len(list) != 1 || len(list[0].SAs) != 1 || len(list[0].SAs[0].Children) != 1 {
			return errors.Join(err, fmt.Errorf("%+v", list))
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	a, sa, child := list[0], list[0].SAs[0], list[0].SAs[0].Children[0]
	if a.State != admin.TunnelUp || a.Error != "" || a.PeerAddress != nat || a.Inbound.Packets == 0 || a.Outbound.Packets == 0 || a.LastIn.IsZero() || a.LastOut.IsZero() {
		t.Errorf("%+v", a)
	}
	if sa.State != "ESTABLISHED" || sa.Version != 2 || sa.Remote.Addr() != nat || !sa.NATRemote || sa.RemoteID != "branch.example" || sa.Algorithms == "" || sa.Established.IsZero() {
		t.Errorf("%+v", sa)
	}
	if child.State != "INSTALLED" || !child.UDP || child.Algorithms == "" || child.SPIIn == "" || child.SPIOut == "" || child.Installed.IsZero() || child.EndsIn == 0 ||
		!slices.Equal(child.Local, []string{"172.16.1.0/24"}) || !slices.Equal(child.Remote, []string{"192.168.77.0/24"}) {
		t.Errorf("%+v", child)
	}
}
