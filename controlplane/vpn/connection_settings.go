package vpn

import (
	"fmt"
	"io"
	"net/netip"
	"reflect"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// ConnectionSettings are what of a connection can be chosen and changed; nil
// leaves a value as it is, which for a new connection is the default.
type ConnectionSettings struct {
	Name              *string
	LocalSubnets      []netip.Prefix // each may talk to each remote one
	RemoteSubnets     []netip.Prefix
	Policies          dataplane.VPNPolicies // in place of both
	EffectImmediately *bool
	IKE               IKESettings
	IPsec             IPsecSettings
	HealthCheck       HealthCheckSettings
	BGP               BGPSettings
	AutoConfigRoute   *bool
	DPD               *bool
	NATTraversal      *bool
}

// negotiation reports whether there is anything among them that the dataplane may not be
// able to carry.
func (s *ConnectionSettings) negotiation() bool {
	return s.IKE.Version != nil || s.IKE.Aggressive != nil || s.IKE.Proposal != ProposalSettings{} || s.IPsec.Proposal != ProposalSettings{}
}

// IKESettings are those of phase 1; see resource.IKEConfig.
type IKESettings struct {
	PSK               *string // in clear
	Version           *int    // 1 or 2
	Aggressive        *bool
	Proposal          ProposalSettings
	Lifetime          *dataplane.Seconds
	LocalID, RemoteID *string
}

// IPsecSettings are those of phase 2; see dataplane.ESP.
type IPsecSettings struct {
	Proposal ProposalSettings
	Lifetime *dataplane.Seconds
	Traffic  *int // KiB
}

// ProposalSettings are algorithms.
type ProposalSettings struct {
	Encryption *dataplane.Encryption
	Integrity  *dataplane.Integrity
	Group      *dataplane.DHGroup
}

func (p ProposalSettings) apply(to *dataplane.Proposal) {
	set(&to.Encryption, p.Encryption)
	set(&to.Integrity, p.Integrity)
	set(&to.Group, p.Group)
}

// HealthCheckSettings say how a connection is probed.
type HealthCheckSettings struct {
	Enabled             *bool
	Source, Destination *netip.Addr
	Interval            *int // s
	Retries             *int
}

// BGPSettings say how routes are exchanged over a connection.
type BGPSettings struct {
	Enabled  *bool
	Tunnel   *netip.Prefix
	LocalIP  *netip.Addr
	LocalASN *uint32
}

// The defaults of BGP and of the health check, which are not documented.
const (
	defaultInterval = 3 // s
	defaultRetries  = 3
	defaultLocalASN = 45104
)

// newConnection returns a connection with all defaults.
func (s *Service) newConnection(g *resource.VPNGateway, peer *resource.CustomerGateway) *resource.VPNConnection {
	return &resource.VPNConnection{
		VPC: g.VPC, Gateway: g.ID, CustomerGateway: peer.ID, Exclusive: s.rules.Exclusive, EffectImmediately: s.rules.Begin,
		IKE:             resource.IKEConfig{IKE: s.rules.IKE, LocalID: g.Address.String(), RemoteID: peer.Address.String()},
		IPsec:           s.rules.ESP,
		HealthCheck:     resource.HealthCheck{Interval: defaultInterval, Retries: defaultRetries},
		BGP:             resource.BGPConfig{LocalASN: defaultLocalASN},
		AutoConfigRoute: true,
		DPD:             true,
		NATTraversal:    true,
	}
}

// apply puts the settings that are given into a connection.
func (s *Service) apply(x *resource.VPNConnection, in ConnectionSettings) error {
	set(&x.Name, in.Name)
	if err := in.pairs(x); err != nil {
		return err
	}
	set(&x.EffectImmediately, in.EffectImmediately)
	set(&x.AutoConfigRoute, in.AutoConfigRoute)
	set(&x.DPD, in.DPD)
	set(&x.NATTraversal, in.NATTraversal)

	set(&x.IKE.Version, in.IKE.Version)
	set(&x.IKE.Aggressive, in.IKE.Aggressive)
	in.IKE.Proposal.apply(&x.IKE.Proposal)
	set(&x.IKE.Lifetime, in.IKE.Lifetime)
	set(&x.IKE.LocalID, in.IKE.LocalID)
	set(&x.IKE.RemoteID, in.IKE.RemoteID)
	in.IPsec.Proposal.apply(&x.IPsec.Proposal)
	set(&x.IPsec.Lifetime, in.IPsec.Lifetime)
	set(&x.IPsec.Traffic, in.IPsec.Traffic)

	set(&x.HealthCheck.Enabled, in.HealthCheck.Enabled)
	set(&x.HealthCheck.Source, in.HealthCheck.Source)
	set(&x.HealthCheck.Destination, in.HealthCheck.Destination)
	set(&x.HealthCheck.Interval, in.HealthCheck.Interval)
	set(&x.HealthCheck.Retries, in.HealthCheck.Retries)
	set(&x.BGP.Enabled, in.BGP.Enabled)
	set(&x.BGP.LocalIP, in.BGP.LocalIP)
	set(&x.BGP.LocalASN, in.BGP.LocalASN)
	if in.BGP.Tunnel != nil && *in.BGP.Tunnel != x.BGP.Tunnel {
		x.BGP.Tunnel = *in.BGP.Tunnel
		if in.BGP.LocalIP == nil {
			x.BGP.LocalIP, _ = resource.TunnelHosts(x.BGP.Tunnel)
		}
	}
	return s.setKey(x, in.IKE.PSK)
}

// pairs puts the subnets that are given into a connection. One side alone is a change of a
// connection whose local subnets have all the same remote ones: of another it would let more
// pairs talk than those that anybody has asked for. Reasons: VPNLocalSubnets, VPNRemoteSubnets.
func (in *ConnectionSettings) pairs(x *resource.VPNConnection) error {
	several := len(x.Policies.Selectors()) > 1
	refuse := func(reason fault.Reason) error {
		return fault.Explained(reason, "not each local subnet of connection %s may talk to each remote one: both sides are needed", x.ID)
	}
	switch {
	case in.Policies != nil:
		x.Policies = in.Policies.Clone()
	case in.LocalSubnets != nil && in.RemoteSubnets != nil:
		x.Policies = dataplane.Product(in.LocalSubnets, in.RemoteSubnets)
	case in.LocalSubnets != nil && several:
		return refuse(fault.VPNLocalSubnets)
	case in.LocalSubnets != nil:
		x.Policies = dataplane.Product(in.LocalSubnets, x.Policies.Remotes())
	case in.RemoteSubnets != nil && several:
		return refuse(fault.VPNRemoteSubnets)
	case in.RemoteSubnets != nil:
		x.Policies = dataplane.Product(x.Policies.Locals(), in.RemoteSubnets)
	}
	return nil
}

// setKey seals a new pre-shared key; the one that is there already stays as it
// is sealed, so that nothing has changed.
func (s *Service) setKey(x *resource.VPNConnection, psk *string) error {
	if psk == nil {
		return nil
	}
	if x.IKE.PSK != nil {
		old, err := s.sealer.Open(x.ID, x.IKE.PSK)
		if err != nil {
			return err
		}
		if string(old) == *psk {
			return nil
		}
	}
	var err error
	x.IKE.PSK, err = s.sealer.Seal(x.ID, []byte(*psk))
	return err
}

// Random pre-shared keys: letters and digits with which every device copes,
// 24 of them, 142 bits.
const (
	keyAlphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	keyLength   = 24
)

func (s *Service) randomKey() (string, error) {
	key := make([]byte, 0, keyLength)
	// A byte beyond the last whole multiple of the alphabet is thrown away:
	// else the first characters would come up more often.
	const limit = 256 - 256%len(keyAlphabet)
	var b [1]byte
	for len(key) < keyLength {
		if _, err := io.ReadFull(s.random, b[:]); err != nil {
			return "", fmt.Errorf("make a pre-shared key: %w", err)
		}
		if int(b[0]) < limit {
			key = append(key, keyAlphabet[int(b[0])%len(keyAlphabet)])
		}
	}
	return string(key), nil
}

// difference is how far a change of a connection goes.
type difference int

const (
	unchanged difference = iota
	renamed              // nothing that the dataplane or a rule is about
	changed
)

func compare(old, x *resource.VPNConnection) difference {
	if reflect.DeepEqual(old, x) {
		return unchanged
	}
	named := old.Clone().(*resource.VPNConnection)
	named.Name = x.Name
	if reflect.DeepEqual(named, x) {
		return renamed
	}
	return changed
}

// set puts a new value in place of an old one, if there is a new one.
func set[T any](old *T, value *T) {
	if value != nil {
		*old = *value
	}
}
