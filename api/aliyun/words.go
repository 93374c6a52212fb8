package aliyun

import (
	"fmt"
	"slices"

	"sluice/controlplane/acceleration"
	"sluice/controlplane/havip"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/resource"
	"sluice/controlplane/routerinterface"
	"sluice/controlplane/settings"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// words are the documents' words for the values of something, both ways.
type words[T comparable] []word[T]

type word[T comparable] struct {
	wire  string
	value T
}

// of returns the value of a word, of nothing given nothing. The decoder lets no other words
// pass; one without a value would otherwise come to mean what the zero value does (no perfect
// forward secrecy), so that it panics.
func (w words[T]) of(wire *string) *T {
	if wire == nil {
		return nil
	}
	value, ok := w.find(*wire)
	if !ok {
		panic(fmt.Sprintf("aliyun: no value for the word %q, which the catalog lets pass", *wire))
	}
	return &value
}

// find returns the value of a word, if it has one.
func (w words[T]) find(wire string) (value T, ok bool) {
	i := slices.IndexFunc(w, func(x word[T]) bool { return x.wire == wire })
	if i < 0 {
		return value, false
	}
	return w[i].value, true
}

// wire returns the word for a value; empty for one that the documents have no word for.
func (w words[T]) wire(value T) string {
	i := slices.IndexFunc(w, func(x word[T]) bool { return x.value == value })
	if i < 0 {
		return ""
	}
	return w[i].wire
}

var (
	encryptionWords = words[dataplane.Encryption]{
		{"aes", dataplane.AES128}, {"aes192", dataplane.AES192}, {"aes256", dataplane.AES256}, {"des", dataplane.DES}, {"3des", dataplane.TripleDES}}
	integrityWords = words[dataplane.Integrity]{
		{"md5", dataplane.MD5}, {"sha1", dataplane.SHA1}, {"sha256", dataplane.SHA256}, {"sha384", dataplane.SHA384}, {"sha512", dataplane.SHA512}}
	groupWords      = words[dataplane.DHGroup]{{"group1", 1}, {"group2", 2}, {"group5", 5}, {"group14", 14}, {"group24", 24}, {"disabled", 0}}
	ikeVersionWords = words[int]{{"ikev1", 1}, {"ikev2", 2}}
	ikeModeWords    = words[bool]{{"main", false}, {"aggressive", true}}

	sslCipherWords = words[dataplane.SSLCipher]{
		{"AES-128-CBC", dataplane.SSLAES128}, {"AES-192-CBC", dataplane.SSLAES192}, {"AES-256-CBC", dataplane.SSLAES256}, {"none", dataplane.SSLNone}}
	validityWords = words[vpn.Validity]{{"normal", vpn.Valid}, {"expiring-soon", vpn.ExpiringSoon}, {"expired", vpn.Expired}}

	protocolWords = words[resource.Protocol]{{"TCP", resource.TCP}, {"UDP", resource.UDP}, {"Any", resource.AnyProtocol}}
	// As today's clients compare them; the documents' examples have both.
	protocolShownWords = words[resource.Protocol]{{"tcp", resource.TCP}, {"udp", resource.UDP}, {"any", resource.AnyProtocol}}
	bindingWords       = words[resource.BindingType]{
		{"EcsInstance", resource.BoundToHost}, {"SlbInstance", resource.BoundToLoadBalancer}, {"Nat", resource.BoundToNATGateway}, {"HaVip", resource.BoundToVirtualIP},
		{"NetworkInterface", resource.BoundToInterface}} // of today's API; bound and unbound by another family's actions
	nextHopWords = words[resource.NextHopType]{
		{"Instance", resource.NextHopHost}, {"Tunnel", resource.NextHopTunnel}, {"HaVip", resource.NextHopVirtualIP},
		{"RouterInterface", resource.NextHopRouterInterface}, {"RouterInterface", resource.NextHopLine}, {"VpnGateway", resource.NextHopVPNGateway}, {"NatGateway", resource.NextHopNATGateway}}
	routerWords = words[resource.RouterKind]{{routerVPC, resource.VPCRouter}, {routerVBR, resource.BorderRouter}}
	// Whether a router interface is the one that initiates.
	roleWords = words[bool]{{"InitiatingSide", true}, {"AcceptingSide", false}}
	// The specifications of router interfaces in Mbit/s.
	interfaceSpecWords = words[int]{
		{"Mini.2", 2}, {"Mini.5", 5}, {"Small.1", 10}, {"Small.2", 20}, {"Small.5", 50}, {"Middle.1", 100}, {"Middle.2", 200}, {"Middle.5", 500},
		{"Large.1", 1_000}, {"Large.2", 2_000}, {"Large.5", 5_000}, {"Xlarge.1", 10_000}, {"Negative", 0}}
	interfaceStateWords = words[routerinterface.State]{
		{"Idle", routerinterface.Idle}, {"Connecting", routerinterface.Connecting}, {"AcceptingConnect", routerinterface.Accepting}, {"Active", routerinterface.Active},
		{"Deactivating", routerinterface.Deactivating}, {"Inactive", routerinterface.Inactive}, {"Activating", routerinterface.Activating}}
	// The kinds of resources that package state has registered to have tags.
	taggedWords = words[resource.Kind]{
		{"VPC", resource.KindVPC}, {"VSWITCH", resource.KindVSwitch}, {"ROUTETABLE", resource.KindRouteTable},
		{"EIP", resource.KindElasticIP}, {"NATGATEWAY", resource.KindNATGateway}, {"VpnGateway", resource.KindVPNGateway},
		{"CUSTOMERGATEWAY", resource.KindCustomerGateway}, {"VPNCONNECTION", resource.KindVPNConnection},
		{"COMMONBANDWIDTHPACKAGE", resource.KindCommonPackage}, {"HAVIP", resource.KindHaVip}, {"ROUTERINTERFACE", resource.KindRouterInterface}}
	// Those of which one has a resource group of its own.
	groupedWords = words[resource.Kind]{
		{"vpc", resource.KindVPC}, {"eip", resource.KindElasticIP}, {"natgateway", resource.KindNATGateway},
		{"VpnGateway", resource.KindVPNGateway}, {"CustomerGateway", resource.KindCustomerGateway},
		{"bandwidthpackage", resource.KindCommonPackage}, {"havip", resource.KindHaVip}, {"routerinterface", resource.KindRouterInterface}}

	haVipStatusWords = words[havip.Status]{
		{"Creating", havip.Creating}, {"Available", havip.Available}, {"InUse", havip.InUse}, {"Associating", havip.Associating}, {"Unassociating", havip.Unassociating}}
	areaWords = words[resource.Area]{
		{"china-mainland", resource.ChinaMainland}, {"north-america", resource.NorthAmerica}, {"asia-pacific", resource.AsiaPacific}, {"europe", resource.Europe}}
	backendWords       = words[resource.InstanceKind]{{"EcsInstance", resource.Host}, {"SlbInstance", resource.LoadBalancer}}
	accelerationStates = words[acceleration.Status]{
		{"Available", acceleration.Available}, {"Associating", acceleration.Associating}, {"InUse", acceleration.InUse}, {"Unassociating", acceleration.Unassociating}}

	// The specifications of a NAT gateway (NAT Gateway API reference, CreateNatGateway), and
	// XLarge.1, of which the documents know only the name.
	specWords = words[dataplane.Limits]{
		{"Small", dataplane.Limits{Connections: 10_000, NewPerSecond: 1_000}},
		{"Middle", dataplane.Limits{Connections: 50_000, NewPerSecond: 5_000}},
		{"Large", dataplane.Limits{Connections: 200_000, NewPerSecond: 10_000}},
		{"XLarge.1", dataplane.Limits{Connections: 1_000_000, NewPerSecond: 30_000}}}
	// Whether a NAT gateway is enhanced, whether it is charged by what goes through it, and
	// whether a private address was asked for beside each elastic IP.
	natTypeWords   = words[bool]{{"Normal", false}, {"Enhanced", true}}
	natChargeWords = words[bool]{{"PayBySpec", false}, {"PayByLcu", true}}
	natBindWords   = words[bool]{{"MULTI_BINDED", false}, {"NAT", true}}

	// Who operates a leased line, what it ends in, and how far it and its border routers have
	// come. The data type writes "Allocation Failed", the actions AllocationFailed.
	carrierWords = words[resource.Carrier]{
		{"CT", resource.ChinaTelecom}, {"CU", resource.ChinaUnicom}, {"CM", resource.ChinaMobile}, {"CO", resource.OtherInChina},
		{"Equinix", resource.Equinix}, {"Other", resource.OtherCarriers}}
	portTypeWords = words[resource.PortType]{
		{"E1", resource.PortE1}, {"100Base-T", resource.Port100BaseT}, {"1000Base-T", resource.Port1000BaseT}, {"1000Base-LX", resource.Port1000BaseLX},
		{"10GBase-T", resource.Port10GBaseT}, {"10GBase-LR", resource.Port10GBaseLR}, {"Other", resource.PortOther}}
	lineStateWords = words[resource.LineState]{
		{"Initial", resource.LineApplied}, {"Approved", resource.LineApproved}, {"Allocating", leasedline.Allocating}, {"Allocated", resource.LineAllocated},
		{"Confirmed", resource.LineConfirmed}, {"Enabled", resource.LineEnabled}, {"Rejected", resource.LineRejected}, {"Canceled", resource.LineCanceled},
		{"AllocationFailed", resource.LineFailed}, {"Terminating", leasedline.Terminating}, {"Terminated", resource.LineTerminated}}
	// The documents call one state Active and Enabled, and give no example of an answer; today's
	// clients wait for these, in small letters. The documents' are taken where one filters.
	borderStateWords = words[resource.BorderState]{
		{"unconfirmed", resource.BorderUnconfirmed}, {"active", resource.BorderEnabled}, {"terminating", leasedline.BorderTerminating},
		{"terminated", resource.BorderTerminated}, {"recovering", leasedline.BorderRecovering},
		{"Unconfirmed", resource.BorderUnconfirmed}, {"Active", resource.BorderEnabled}, {"Enabled", resource.BorderEnabled}, {"Terminating", leasedline.BorderTerminating},
		{"Terminated", resource.BorderTerminated}, {"Recovering", leasedline.BorderRecovering}}
	accessPointWords = words[settings.AccessPointUse]{
		{"Recommended", settings.AccessPointRecommended}, {"Hot", settings.AccessPointHot}, {"Full", settings.AccessPointFull}}

	// Whether something is prepaid: an elastic IP, a VPN gateway that is made, and one
	// that is shown, as today's clients compare it.
	eipChargeWords      = words[bool]{{"PostPaid", false}, {"PrePaid", true}}
	vpnChargeWords      = words[bool]{{"POSTPAY", false}, {"PREPAY", true}}
	vpnChargeShownWords = words[bool]{{"PostpayByFlow", false}, {"Prepay", true}}
	// Whether it is charged by traffic.
	trafficChargeWords = words[bool]{{"PayByBandwidth", false}, {"PayByTraffic", true}}
	packageChargeWords = words[resource.PackageCharge]{
		{"PayByBandwidth", resource.ByBandwidth}, {"PayBy95", resource.By95thPercentile}, {"PayByTraffic", resource.ByVolume}, {"PayByDominantTraffic", resource.ByDominantTraffic}}
)

// Spec returns the specification that a NAT gateway with these limits has; empty if the
// documents have none.
func Spec(l dataplane.Limits) string { return specWords.wire(l) }

// nextHopType returns the type of a next hop; of none given none.
func nextHopType(wire *string) (none resource.NextHopType) {
	if t := nextHopWords.of(wire); t != nil {
		return *t
	}
	return none
}

// The weights of a route of a VPN gateway.
const (
	weightActive  = 100
	weightStandby = 0
)

func weight(standby bool) int {
	if standby {
		return weightStandby
	}
	return weightActive
}
