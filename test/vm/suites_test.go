package main

// suite is a selection of a package's tests that run in the machine. There are
// few, since programs run 10 to 30 times slower in there: what stands or falls
// with the kernel, and one case of the whole.
type suite struct {
	pkg string // relative to the module
	run string // for -test.run; empty: all
}

var suites = []suite{
	{pkg: "dataplane/egressfilter"},
	{pkg: "dataplane/conntrack"},
	{pkg: "dataplane/nft", run: `^Test(RulesReadAsWritten|IncrementalChanges|Packets|SSLReadsAsWritten|SSLClients|SSLFlood|SSLFloodTCP)$`},
	{pkg: "dataplane/openvpn", run: `^Test(Connect|Revoke|Adopt)$`},
	{pkg: "dataplane/shape", run: `^TestBandwidthsAreHeld$`},
	{pkg: "dataplane/session", run: `^Test(XDP|VerifiedInstructions$)`},
	{pkg: "dataplane/securitygroup"},
	{pkg: "dataplane/dhcp"},
	{pkg: "dataplane/engine", run: `^Test(BuildAdoptRemove|Traffic|Shortcut|ConnectionLimit|PortsExhausted|UnansweredFromOutside|ForgottenConnectionsMakeRoom|TrafficOverVLANs|ExactCountsOfVLANs|ForgedSources|TwoVPNGateways|Bandwidths|BandwidthOfDevice|RouterInterfaces|BorderRoutersOfVLANs|HaVipOverVLAN)$`},
	{pkg: "dataplane/engine", run: `^TestGroups(OnLinks|FailClosed)?$/^(vlan|kernel)`},
	{pkg: "dataplane/ipsec", run: `^Test(OnDemand|Policies)$/^xfrm`},
	{pkg: "test/bench", run: `^TestFlowtables$`},
	// One through the uplink, and one through an XFRM interface.
	{pkg: "test/e2e", run: `^Test(SNAT|VPNLegacy)$`},
}
