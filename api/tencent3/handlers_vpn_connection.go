package tencent3

import (
	"context"
	"net/netip"
	"strconv"
	"strings"

	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// words are the document's words for values, both ways.
type words[T comparable] map[string]T

// of returns the value of a word; nil for nothing given. The decoder lets no other words pass.
func (w words[T]) of(word *string) *T {
	if word == nil {
		return nil
	}
	v := w[*word]
	return &v
}

// wire returns the word for a value; empty for one of another cloud's that the document has no
// word for.
func (w words[T]) wire(value T) string {
	for word, v := range w {
		if v == value {
			return word
		}
	}
	return ""
}

var (
	encryptionWords = words[dataplane.Encryption]{
		"3DES-CBC": dataplane.TripleDES, "AES-CBC-128": dataplane.AES128, "AES-CBC-192": dataplane.AES192, "AES-CBC-256": dataplane.AES256, "DES-CBC": dataplane.DES, "NULL": dataplane.Null}
	// The document has the first two.
	integrityWords = words[dataplane.Integrity]{"MD5": dataplane.MD5, "SHA1": dataplane.SHA1, "SHA-256": dataplane.SHA256, "SHA-384": dataplane.SHA384, "SHA-512": dataplane.SHA512}
	groupWords     = words[dataplane.DHGroup]{"GROUP1": 1, "GROUP2": 2, "GROUP5": 5, "GROUP14": 14, "GROUP24": 24}
	pfsWords       = words[dataplane.DHGroup]{"NULL": 0, "DH-GROUP1": 1, "DH-GROUP2": 2, "DH-GROUP5": 5, "DH-GROUP14": 14, "DH-GROUP24": 24}
	modeWords      = words[bool]{"MAIN": false, "AGGRESSIVE": true}
	versionWords   = words[int]{"IKEV1": 1, "IKEV2": 2}
)

// The document's words for the kind of an IKE identity.
const (
	addressWord = "ADDRESS"
	nameWord    = "FQDN"
)

// CreateVpnConnection implements Actions.
func (s *Service) CreateVpnConnection(ctx context.Context, c Caller, r *CreateVpnConnectionRequest) (*CreateVpnConnectionResponse, error) {
	g, err := s.vpn.Gateway(c.Caller, c.Region, r.VpnGatewayId)
	if err != nil {
		return nil, err
	}
	if r.VpcId != nil && *r.VpcId != g.VPC {
		return nil, refusal("ResourceNotFound", "VPN gateway "+r.VpnGatewayId+" is not one of VPC "+*r.VpcId+".")
	}
	in := vpn.ConnectionSettings{Name: &r.VpnConnectionName}
	in.IKE.PSK = &r.PreShareKey
	for _, p := range r.SecurityPolicyDatabases {
		in.Policies = append(in.Policies, dataplane.VPNPolicy{Local: p.LocalCidrBlock, Remotes: p.RemoteCidrBlock})
	}
	if refused := ikeSettings(&in.IKE, r.IKEOptionsSpecification); refused != nil {
		return nil, refused
	}
	if refused := espSettings(&in.IPsec, r.IPSECOptionsSpecification); refused != nil {
		return nil, refused
	}
	made, err := s.vpn.CreateConnection(ctx, c.Caller, vpn.NewConnection{Region: c.Region, Gateway: r.VpnGatewayId, CustomerGateway: r.CustomerGatewayId, Settings: in})
	if err != nil {
		return nil, err
	}
	x, err := s.vpn.Connection(ctx, c.Caller, c.Region, made.ID)
	if err != nil {
		return nil, err
	}
	return &CreateVpnConnectionResponse{VpnConnection: vpnConnection(x)}, nil
}

// ikeSettings reads the settings of phase 1, and puts those that are given into others.
func ikeSettings(into *vpn.IKESettings, r *CreateVpnConnectionIKEOptionsSpecification) *Error {
	if r == nil {
		return nil
	}
	into.Proposal = vpn.ProposalSettings{Encryption: encryptionWords.of(r.PropoEncryAlgorithm), Integrity: integrityWords.of(r.PropoAuthenAlgorithm), Group: groupWords.of(r.DhGroupName)}
	into.Aggressive, into.Version = modeWords.of(r.ExchangeMode), versionWords.of(r.IKEVersion)
	into.Lifetime = lifetime(r.IKESaLifetimeSeconds)
	kind, refused := one("IKEOptionsSpecification.RemoteIdentity", r.RemoteIdentity, "RemotIdentity", r.RemotIdentity)
	if refused == nil {
		into.LocalID, refused = ikeIdentity("Local", r.LocalIdentity, r.LocalAddress, r.LocalFqdnName)
	}
	if refused == nil {
		into.RemoteID, refused = ikeIdentity("Remote", kind, r.RemoteAddress, r.RemoteFqdnName)
	}
	return refused
}

// espSettings reads the settings of phase 2.
func espSettings(into *vpn.IPsecSettings, r *CreateVpnConnectionIPSECOptionsSpecification) *Error {
	if r == nil {
		return nil
	}
	integrity, refused := one("IPSECOptionsSpecification.IntegrityAlgorithm", r.IntegrityAlgorithm, "IntegrityAlgorith", r.IntegrityAlgorith)
	into.Proposal = vpn.ProposalSettings{Encryption: encryptionWords.of(r.EncryptAlgorithm), Integrity: integrityWords.of(integrity), Group: pfsWords.of(r.PfsDhGroup)}
	into.Lifetime, into.Traffic = lifetime(r.IPSECSaLifetimeSeconds), r.IPSECSaLifetimeTraffic
	return refused
}

// one returns the value of a member that the document spells in two ways. It refuses both with
// different values.
func one(name string, v *string, other string, w *string) (*string, *Error) {
	if v != nil && w != nil && *v != *w {
		return nil, refusal("InvalidParameter.Coexist", "The parameter `"+name+"` and its other spelling `"+other+"` have different values.")
	}
	if v == nil {
		v = w
	}
	return v, nil
}

// ikeIdentity returns an IKE identity of a side, nil if it stays as it is. The kind follows from
// what is given, if it is not said. Of both an address and a name it refuses the one that is
// not of the kind.
func ikeIdentity(side string, kind *string, address *netip.Addr, name *string) (*string, *Error) {
	const at = "IKEOptionsSpecification."
	if name != nil && *name == "" {
		name = nil // as the clients have it that read what they send
	}
	switch {
	case address != nil && name != nil:
		return nil, refusal("InvalidParameter.Coexist", "The parameters `"+at+side+"Address` and `"+at+side+"FqdnName` exclude each other.")
	case kind != nil && *kind == nameWord && address != nil:
		return nil, refusal("InvalidParameter.Coexist", "The parameters `"+at+side+"Address` and `"+at+side+"Identity` "+nameWord+" exclude each other.")
	case kind != nil && *kind == nameWord && name == nil:
		return nil, missingParameter(at + side + "FqdnName")
	case kind != nil && *kind == addressWord && name != nil:
		return nil, refusal("InvalidParameter.Coexist", "The parameters `"+at+side+"FqdnName` and `"+at+side+"Identity` "+addressWord+" exclude each other.")
	case name != nil:
		if !domainName(*name) {
			return nil, refusal("InvalidParameterValue", "The value of the parameter `"+at+side+"FqdnName` is not valid: it is to be a domain name.")
		}
		return name, nil
	case address != nil:
		text := address.String()
		return &text, nil
	case kind != nil:
		unnamed := ""
		return &unnamed, nil // the gateway's own address
	}
	return nil, nil
}

// domainName says whether IKE takes a text for a domain name: letters, digits, hyphens,
// underscores and dots, and no address.
func domainName(s string) bool {
	if _, err := netip.ParseAddr(s); err == nil {
		return false
	}
	return !strings.ContainsFunc(s, func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_' && c != '.'
	})
}

func lifetime(n *int) *dataplane.Seconds {
	if n == nil {
		return nil
	}
	s := dataplane.Seconds(*n)
	return &s
}

// ModifyVpnConnectionAttribute implements Actions. What is not given stays, single members of
// the settings included; pairs that are given take the place of all.
func (s *Service) ModifyVpnConnectionAttribute(ctx context.Context, c Caller, r *ModifyVpnConnectionAttributeRequest) (*ModifyVpnConnectionAttributeResponse, error) {
	in := vpn.ConnectionSettings{Name: r.VpnConnectionName}
	in.IKE.PSK = r.PreShareKey
	for i, p := range r.SecurityPolicyDatabases {
		at := "SecurityPolicyDatabases." + strconv.Itoa(i)
		if p.LocalCidrBlock == nil {
			return nil, missingParameter(at + ".LocalCidrBlock")
		}
		if len(p.RemoteCidrBlock) == 0 {
			return nil, missingParameter(at + ".RemoteCidrBlock")
		}
		in.Policies = append(in.Policies, dataplane.VPNPolicy{Local: *p.LocalCidrBlock, Remotes: p.RemoteCidrBlock})
	}
	if refused := ikeSettings(&in.IKE, (*CreateVpnConnectionIKEOptionsSpecification)(r.IKEOptionsSpecification)); refused != nil {
		return nil, refused
	}
	if refused := espSettings(&in.IPsec, (*CreateVpnConnectionIPSECOptionsSpecification)(r.IPSECOptionsSpecification)); refused != nil {
		return nil, refused
	}
	_, err := s.vpn.ModifyConnection(ctx, c.Caller, vpn.ConnectionChange{Region: c.Region, ID: r.VpnConnectionId, Settings: in})
	return &ModifyVpnConnectionAttributeResponse{}, err
}

// DescribeVpnConnections implements Actions.
func (s *Service) DescribeVpnConnections(ctx context.Context, c Caller, r *DescribeVpnConnectionsRequest) (*DescribeVpnConnectionsResponse, error) {
	q := vpn.ConnectionQuery{Region: c.Region, IDs: r.VpnConnectionIds, Absent: true, Page: pageOf(r.Offset, r.Limit)}
	refused := listed("VpnConnectionIds", r.VpnConnectionIds, r.Filters)
	none := false
	if refused == nil {
		none, refused = narrowed(r.Filters, map[string]func([]string) *Error{
			"vpn-connection-id": texts(&q.IDs), "vpn-connection-name": texts(&q.Names), "vpc-id": texts(&q.VPCs),
			"vpn-gateway-id": texts(&q.Gateways), "customer-gateway-id": texts(&q.CustomerGateways),
		})
	}
	if refused != nil {
		return nil, refused
	}
	out := &DescribeVpnConnectionsResponse{}
	list, err := s.vpn.Connections(ctx, c.Caller, q)
	if err != nil || none {
		return out, err
	}
	if refused := found("VPN connection", r.VpnConnectionIds, list.Total); refused != nil {
		return nil, refused
	}
	out.TotalCount = int64(list.Total)
	for _, x := range list.Items {
		out.VpnConnectionSet = append(out.VpnConnectionSet, vpnConnection(x))
	}
	return out, nil
}

// vpnConnection shows a connection. Its tunnel is there when all its pairs are carried.
func vpnConnection(x vpn.ConnectionStatus) VpnConnection {
	out := VpnConnection{
		VpnConnectionId: x.ID, VpnConnectionName: x.Name, VpcId: x.VPC, VpnGatewayId: x.Gateway, CustomerGatewayId: x.CustomerGateway, PreShareKey: string(x.PSK),
		VpnProto: "IPSEC", EncryptProto: "IKE", RouteType: "STATIC", CreatedTime: timestamp(x.CreatedAt), State: stateOf(x.Phase), NetStatus: "UNAVAILABLE",
	}
	if x.DPD {
		out.DpdEnable, out.DpdAction = 1, "restart"
	}
	if x.Whole() {
		out.NetStatus = "AVAILABLE"
	}
	for _, p := range x.Policies {
		one := SecurityPolicyDatabase{LocalCidrBlock: p.Local.String()}
		for _, r := range p.Remotes {
			one.RemoteCidrBlock = append(one.RemoteCidrBlock, r.String())
		}
		out.SecurityPolicyDatabaseSet = append(out.SecurityPolicyDatabaseSet, one)
	}
	integrity := integrityWords.wire(x.IKE.Proposal.Integrity)
	o := IKEOptionsSpecification{
		PropoEncryAlgorithm: encryptionWords.wire(x.IKE.Proposal.Encryption), PropoAuthenAlgorithm: integrity, DhGroupName: groupWords.wire(x.IKE.Proposal.Group),
		ExchangeMode: modeWords.wire(x.IKE.Aggressive), IKEVersion: versionWords.wire(x.IKE.Version), IKESaLifetimeSeconds: int64(x.IKE.Lifetime),
	}
	o.LocalIdentity, o.LocalAddress, o.LocalFqdnName = identityShown(x.IKE.LocalID, x.Local.Address)
	o.RemoteIdentity, o.RemoteAddress, o.RemoteFqdnName = identityShown(x.IKE.RemoteID, x.Peer.Address)
	o.RemotIdentity = o.RemoteIdentity
	out.IKEOptionsSpecification = o
	integrity = integrityWords.wire(x.IPsec.Proposal.Integrity)
	out.IPSECOptionsSpecification = IPSECOptionsSpecification{
		EncryptAlgorithm: encryptionWords.wire(x.IPsec.Proposal.Encryption), IntegrityAlgorith: integrity, IntegrityAlgorithm: integrity, PfsDhGroup: pfsWords.wire(x.IPsec.Proposal.Group),
		IPSECSaLifetimeSeconds: int64(x.IPsec.Lifetime), IPSECSaLifetimeTraffic: int64(x.IPsec.Traffic), EncapMode: "TUNNEL", SecurityProto: "ESP",
	}
	return out
}

// identityShown returns the kind of an identity, and the identity at the place of its kind; an
// empty one is the end's own address.
func identityShown(id string, own netip.Addr) (kind, address, name string) {
	if id == "" {
		id = own.String()
	}
	if _, err := netip.ParseAddr(id); err == nil {
		return addressWord, id, ""
	}
	return nameWord, "", id
}

// DeleteVpnConnection implements Actions.
func (s *Service) DeleteVpnConnection(ctx context.Context, c Caller, r *DeleteVpnConnectionRequest) (*DeleteVpnConnectionResponse, error) {
	if err := s.ofGateway(ctx, c, r.VpnGatewayId, r.VpnConnectionId); err != nil {
		return nil, err
	}
	return &DeleteVpnConnectionResponse{}, s.vpn.DeleteConnection(ctx, c.Caller, c.Region, r.VpnConnectionId)
}

// ResetVpnConnection implements Actions.
func (s *Service) ResetVpnConnection(ctx context.Context, c Caller, r *ResetVpnConnectionRequest) (*ResetVpnConnectionResponse, error) {
	if err := s.ofGateway(ctx, c, r.VpnGatewayId, r.VpnConnectionId); err != nil {
		return nil, err
	}
	return &ResetVpnConnectionResponse{}, s.vpn.ResetConnection(ctx, c.Caller, c.Region, r.VpnConnectionId)
}

// ofGateway refuses a connection that is not one of the gateway that is named beside it. A
// connection's gateway never changes.
func (s *Service) ofGateway(ctx context.Context, c Caller, gateway, connection string) error {
	if _, err := s.vpn.Gateway(c.Caller, c.Region, gateway); err != nil {
		return err
	}
	x, err := s.vpn.Connection(ctx, c.Caller, c.Region, connection)
	if err == nil && x.Gateway != gateway {
		return refusal("ResourceNotFound", "VPN gateway "+gateway+" has no VPN connection "+connection+".")
	}
	return err
}
