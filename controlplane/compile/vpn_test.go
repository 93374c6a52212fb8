package compile_test

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// unseal opens what seal made.
func unseal(name string, sealed []byte) ([]byte, error) {
	secret, ok := strings.CutPrefix(string(sealed), "sealed for "+name+": ")
	if !ok {
		return nil, errors.New("does not open")
	}
	return []byte(secret), nil
}

func seal(name, secret string) []byte { return fmt.Appendf(nil, "sealed for %s: %s", name, secret) }

func meta(id string) resource.Meta {
	return resource.Meta{ID: id, Account: nattest.Account, Region: nattest.Region, CreatedAt: nattest.Time}
}

func vpnGateway() *resource.VPNGateway {
	return &resource.VPNGateway{Meta: meta("vpn-a"), VPC: "vpc-a", Address: netip.MustParseAddr("203.0.113.50"), PublicNetwork: "internet", Bandwidth: 100, IPsec: true}
}

func customerGateway(id, address string, asn uint32) *resource.CustomerGateway {
	return &resource.CustomerGateway{Meta: meta(id), Address: netip.MustParseAddr(address), ASN: asn}
}

func blocks(list ...string) []netip.Prefix {
	var out []netip.Prefix
	for _, p := range list {
		out = append(out, netip.MustParsePrefix(p))
	}
	return out
}

func connection(id, peer string, change ...func(*resource.VPNConnection)) *resource.VPNConnection {
	c := &resource.VPNConnection{
		Meta: meta(id), VPC: "vpc-a", Gateway: "vpn-a", CustomerGateway: peer,
		Policies: dataplane.Product(blocks("10.0.2.0/24", "10.0.1.0/24"), blocks("192.168.1.0/24")),
		IKE:      resource.IKEConfig{PSK: seal(id, "secret of "+id), IKE: dataplane.IKE{Version: 1, Proposal: dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA1, Group: 2}, Lifetime: 86400}, LocalID: "203.0.113.50", RemoteID: "branch.example.com"},
		IPsec:    dataplane.ESP{Proposal: dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA256, Group: 14}, Lifetime: 3600},
		DPD:      true, NATTraversal: true,
	}
	for _, f := range change {
		f(c)
	}
	return c
}

func sslServer(id string) *resource.SSLServer {
	return &resource.SSLServer{Meta: meta(id), VPC: "vpc-a", Gateway: "vpn-a", Protocol: resource.UDP, Port: 1194, Pool: netip.MustParsePrefix("192.168.100.0/24"),
		Local: blocks("10.0.0.0/16"), Cipher: dataplane.SSLAES128, Compress: true,
		Keys: resource.SSLKeys{Authority: "authority of " + id, AuthorityKey: seal(resource.SSLAuthorityName(id), "authority's key of "+id), Certificate: "certificate of " + id,
			Key: seal(resource.SSLKeyName(id), "key of "+id), TLSCrypt: seal(resource.SSLTLSCryptName(id), "static key of "+id)}}
}

func sslCertificate(id, server string, serial dataplane.SSLSerial) *resource.SSLCertificate {
	return &resource.SSLCertificate{Meta: meta(id), VPC: "vpc-a", Server: server, Serial: serial, Certificate: "certificate of " + id, Key: seal(id, "key of "+id)}
}

func vpnRoute(source, destination, connection string, standby, published bool) *resource.VPNRoute {
	r := &resource.VPNRoute{VPC: "vpc-a", Gateway: "vpn-a", Destination: netip.MustParsePrefix(destination), Connection: connection, Standby: standby, Published: published}
	if source != "" {
		r.Source = netip.MustParsePrefix(source)
	}
	r.Meta = meta(resource.VPNRouteID(r.Gateway, r.Source, r.Destination, connection))
	return r
}

func withBGP(c *resource.VPNConnection) {
	c.BGP = resource.BGPConfig{Enabled: true, Tunnel: netip.MustParsePrefix("169.254.11.0/30"), LocalIP: netip.MustParseAddr("169.254.11.1"), LocalASN: 45104}
}

func init() {
	cases = append(cases, []golden{
		{name: "vpn-gateway-alone", resources: func() []resource.Resource { return append(vpc(), vpnGateway()) }},
		{name: "vpn-ipsec-off", resources: func() []resource.Resource {
			g := vpnGateway()
			g.IPsec, g.SSL = false, true
			return append(vpc(), g)
		}},
		{name: "vpn-nothing-on", resources: func() []resource.Resource {
			g := vpnGateway()
			g.IPsec = false
			return append(vpc(), g)
		}},
		{name: "ssl-off", resources: func() []resource.Resource {
			return append(vpc(), vpnGateway(), sslServer("vss-1"), sslCertificate("vsc-1", "vss-1", "1"))
		}},
		{name: "ssl-servers", resources: func() []resource.Resource {
			g := vpnGateway()
			g.SSL, g.SSLConnections = true, 20
			tcp := sslServer("vss-1")
			tcp.Protocol, tcp.Port, tcp.Cipher, tcp.Pool = resource.TCP, 4433, dataplane.SSLNone, netip.MustParsePrefix("192.168.200.0/24")
			tcp.Local = blocks("10.0.0.0/16", "192.168.0.0/24", "10.0.1.0/24", "10.0.2.0/24")
			tcp.Revoked = []resource.RevokedCertificate{{Serial: "7"}, {Serial: "30"}, {Serial: "4"}}
			return append(vpc(), g, sslServer("vss-2"), tcp, sslCertificate("vsc-2", "vss-1", "20"), sslCertificate("vsc-1", "vss-1", "10"), sslCertificate("vsc-3", "vss-gone", "30"),
				customerGateway("cgw-1", "198.51.100.7", 0), connection("vco-1", "cgw-1"))
		}},
		{name: "vpn-gateway-next-hop", resources: func() []resource.Resource {
			return append(vpc(), vpnGateway(), customerGateway("cgw-1", "198.51.100.7", 0), connection("vco-1", "cgw-1"),
				vpnRoute("", "192.168.1.0/24", "vco-1", false, false),
				nattest.Route("vpc-a", "192.168.0.0/16", nextHop(resource.NextHopVPNGateway, "vpn-a", 0)),
				nattest.Route("vpc-a", "172.16.0.0/12", nextHop(resource.NextHopVPNGateway, "vpn-gone", 0)))
		}},
		{name: "vpn-beside-nat", resources: func() []resource.Resource {
			return append(vpc(), gateway(), defaultRoute, onGateway("eip-1", "203.0.113.60"), onGateway("eip-2", "203.0.113.12"), vpnGateway(),
				customerGateway("cgw-1", "198.51.100.7", 0), connection("vco-1", "cgw-1"), vpnRoute("", "192.168.1.0/24", "vco-1", false, true))
		}},
		{name: "vpn", resources: func() []resource.Resource {
			g := vpnGateway()
			g.AutoPropagate = true
			return append(vpc(), g, customerGateway("cgw-1", "198.51.100.7", 0), customerGateway("cgw-2", "198.51.100.8", 65010),
				connection("vco-2", "cgw-2", withBGP, func(c *resource.VPNConnection) {
					c.IKE.Version, c.IKE.Aggressive, c.IKE.Proposal.Encryption, c.IKE.Proposal.Group = 2, true, dataplane.TripleDES, 24
					c.IPsec.Proposal.Group, c.IPsec.Proposal.Encryption, c.IPsec.Lifetime = 0, dataplane.DES, 0
					c.DPD, c.NATTraversal, c.EffectImmediately = false, false, true
				}),
				connection("vco-1", "cgw-1", func(c *resource.VPNConnection) {
					c.IKE.Aggressive, c.IKE.LocalID, c.IKE.RemoteID = true, "", ""
					c.HealthCheck = resource.HealthCheck{Enabled: true, Source: netip.MustParseAddr("10.0.1.9"), Destination: netip.MustParseAddr("192.168.1.9"), Interval: 3, Retries: 4}
				}),
				connection("vco-3", "cgw-1", func(c *resource.VPNConnection) {
					c.Policies = dataplane.Product(c.Policies.Locals(), blocks("192.168.9.0/24", "192.168.3.0/24", "192.168.9.0/24"))
					c.HealthCheck = resource.HealthCheck{Interval: 3, Retries: 3} // off
				}),
				vpnRoute("", "192.168.2.0/24", "vco-2", false, true),
				vpnRoute("", "192.168.1.0/24", "vco-2", true, true),
				vpnRoute("", "192.168.1.0/24", "vco-1", false, true),
				vpnRoute("10.0.2.0/24", "192.168.3.0/24", "vco-3", false, false),
				vpnRoute("10.0.1.0/24", "192.168.3.0/24", "vco-3", false, true),
				vpnRoute("", "192.168.7.0/24", "vco-gone", false, true))
		}},
	}...)
}

func TestVPNContradictions(t *testing.T) {
	w := nattest.New(t)
	w.Put(append(vpc(), vpnGateway(), customerGateway("cgw-1", "198.51.100.7", 0), connection("vco-1", "cgw-1"))...)
	if _, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", nil); err == nil || !strings.Contains(err.Error(), "vco-1: nothing opens") {
		t.Errorf("without an opener: %v", err)
	}
	w.Put(connection("vco-1", "cgw-1", func(c *resource.VPNConnection) { c.IKE.PSK = seal("vco-2", "another's") }))
	if _, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", unseal); err == nil || !strings.Contains(err.Error(), "vco-1: does not open") {
		t.Errorf("with another's key: %v", err)
	}
	w.Put(connection("vco-1", "cgw-1"), func() resource.Resource {
		g := vpnGateway()
		g.SSL = true
		return g
	}(), func() resource.Resource {
		x := sslServer("vss-1")
		x.Keys.Key = seal(resource.SSLKeyName("vss-2"), "another's")
		return x
	}())
	if _, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", unseal); err == nil || !strings.Contains(err.Error(), "vss-1: does not open") {
		t.Errorf("with another server's key: %v", err)
	}
	w.Put(sslServer("vss-1"))
	w.Put(connection("vco-1", "cgw-gone"))
	if _, err := compile.Network(w.DB.View(), w.Settings, "vpc-a", unseal); err == nil || !strings.Contains(err.Error(), "customer gateway cgw-gone is gone") {
		t.Errorf("without its customer gateway: %v", err)
	}
}

// Connection leaves the resource as it is.
func TestConnectionSortsACopy(t *testing.T) {
	c := connection("vco-1", "cgw-1")
	x := compile.Connection(c, vpnGateway(), customerGateway("cgw-1", "198.51.100.7", 0), "k")
	if c.Policies.Locals()[0] != netip.MustParsePrefix("10.0.2.0/24") || x.Policies.Locals()[0] != netip.MustParsePrefix("10.0.1.0/24") {
		t.Errorf("%v, compiled from %v", x.Policies.Locals(), c.Policies.Locals())
	}
	if x.IKE.Lifetime != 86400 || x.ESP.Proposal != (dataplane.Proposal{Encryption: dataplane.AES256, Integrity: dataplane.SHA256, Group: 14}) {
		t.Errorf("%+v", x)
	}
}
