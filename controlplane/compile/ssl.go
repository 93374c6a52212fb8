package compile

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/controlplane/resource"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// sslServers are the SSL-VPN servers of a VPN gateway, by id; none where SSL-VPN is off. It
// fails if a key does not open.
func sslServers(v *state.View, g *resource.VPNGateway, open Opener) (list []dataplane.SSLServer, err error) {
	if !g.SSL {
		return nil, nil
	}
	for x := range v.SSLServers.By(state.ByGateway, g.ID).All() {
		out := dataplane.SSLServer{
			ID: x.ID, Protocol: uint8(x.Protocol), Port: x.Port, Pool: x.Pool, Reach: widest(x.Local), Cipher: x.Cipher, Clients: max(g.SSLConnections, 1),
			CA: x.Keys.Authority, Certificate: x.Keys.Certificate,
		}
		if open == nil {
			return nil, fmt.Errorf("SSL-VPN server %s: nothing opens its keys", x.ID)
		}
		if out.Key, err = opened(open, resource.SSLKeyName(x.ID), x.Keys.Key); err != nil {
			return nil, fmt.Errorf("SSL-VPN server %s: %w", x.ID, err)
		}
		if out.TLSCrypt, err = opened(open, resource.SSLTLSCryptName(x.ID), x.Keys.TLSCrypt); err != nil {
			return nil, fmt.Errorf("SSL-VPN server %s: %w", x.ID, err)
		}
		for c := range v.SSLCertificates.By(state.ByServer, x.ID).All() {
			out.Certificates = append(out.Certificates, dataplane.SSLCertificate{ID: c.ID, Serial: c.Serial, Expires: c.Expires.UTC()})
		}
		slices.SortFunc(out.Certificates, func(a, b dataplane.SSLCertificate) int { return strings.Compare(a.ID, b.ID) })
		for _, r := range x.Revoked {
			out.Revoked = append(out.Revoked, r.Serial)
		}
		slices.Sort(out.Revoked)
		list = append(list, out)
	}
	slices.SortFunc(list, func(a, b dataplane.SSLServer) int { return strings.Compare(a.ID, b.ID) })
	return list, nil
}

func opened(open Opener, name string, sealed []byte) (dataplane.Secret, error) {
	secret, err := open(name, sealed)
	return dataplane.Secret(secret), err
}

// widest returns the blocks that lie in no other one of the list, ascending.
func widest(list []netip.Prefix) (out []netip.Prefix) {
	for _, p := range list {
		inAnother := slices.ContainsFunc(list, func(q netip.Prefix) bool { return q.Bits() < p.Bits() && q.Contains(p.Addr()) })
		if !inAnother {
			out = append(out, p)
		}
	}
	return ascending(out)
}
