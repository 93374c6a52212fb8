package probe

import "fmt"

// withoutSessions is what it costs when the programs of package bpf cannot run.
const withoutSessions = "no connection limits, no traffic counters, no shortcut; nftables alone translates"

// kernelFeatures lists what is asked of the kernel.
func kernelFeatures() []Feature {
	return []Feature{
		{"network namespaces", Required, "3.0", "no VPC can be made", tryNamespace},
		{"veth", Required, "2.6.24", "no VPC reaches the public network through a bridge, no host can be plugged in", tryVeth},
		{"bridge", Required, "2.2", "no VSwitch can be made", tryBridge},
		{"nftables NAT", Required, "5.2", "no SNAT, no DNAT", tryNAT},
		{"nftables interval sets over several fields", Required, "5.6", "NAT entries cannot be held as elements", tryConcatenatedIntervals},
		{"connection tracking", Required, "4.18", "no translation", tryConntrack},
		{"nftables connection timeouts", Required, "4.19", "idle UDP mappings end after 30 s instead of 5 min (RFC 4787 REQ-5)", tryTimeouts},
		{"policy routing", Required, "2.2", "replies do not leave by the way that a connection came", tryRules},
		{"clsact and BPF classifiers", Required, "4.5", "no second barrier against private sources on the public side", tryClsact},
		{"tcx", Optional, "6.6", "BPF programs are attached by clsact", tryTCX},
		{"XDP on veth", Optional, "4.19", "the shortcut runs behind the stack's receive path", tryXDP},
		{"XDP features of devices", Optional, "6.3", "the shortcut runs behind the stack's receive path, as no device says that its driver can be redirected to", tryXDPFeatures},
		{"kernel type information (BTF)", Optional, "5.4", withoutSessions, tryBTF},
		{"conntrack functions for BPF", Optional, "5.18", withoutSessions, tryKfuncs},
		{"session programs", Optional, "6.1", withoutSessions, trySessions},
		{"program at dropped packets", Optional, "6.1", "connections for which no port of an elastic IP is free are neither counted nor answered", tryDropped},
		{"macvlan", Optional, "2.6.23", "no uplink of mode macvlan; use bridge", tryMacvlan},
		{"VLAN", Optional, "2.4", "no VSwitch of mode vlan; use bridge, vxlan or device", tryVLAN},
		{"VXLAN", Optional, "3.7", "no VSwitch of mode vxlan; use bridge, vlan or device", tryVXLAN},
		{"nftables flowtables", Optional, "4.16", "none: nothing here uses them", tryFlowtable},
		{"HTB", Optional, "2.6", "no bandwidth limits of elastic IPs and packages", tryHTB},
		{"TBF", Optional, "2.6", "no bandwidth limits of elastic IPs, packages and VPN gateways", tryTBF},
		{"IFB", Optional, "2.6.16", "no bandwidth limits of elastic IPs, packages and VPN gateways", tryIFB},
		{"TUN", VPN, "2.4", "no SSL-VPN, no IPsec in user space", tryTUN},
		{"ESP", VPN, "2.6", "IPsec runs in user space (kernel-libipsec), slower", tryESP},
		{"XFRM interfaces", VPN, "4.19", "IPsec runs in user space (kernel-libipsec), slower", tryXFRMInterface},
	}
}

func tryNamespace(*stage) (string, error) { return "", nil } // the stage is one

// built is what makes a kernel have a feature.
type built struct {
	option string // of the kernel's configuration, without CONFIG_
	module string // that it may be in; empty: it is in the kernel itself or nowhere
}

// lacking says what of it a kernel that refuses the feature lacks, and what helps.
func (b built) lacking() string {
	if b.module == "" {
		return fmt.Sprintf("this kernel was built without CONFIG_%s: take another one", b.option)
	}
	return fmt.Sprintf("this kernel has no CONFIG_%s, and no module %s can be loaded: modprobe %[2]s says why, or take another kernel", b.option, b.module)
}

// builtBy says so by the names of features; of some no single option decides.
var builtBy = map[string]built{
	"network namespaces": {"NET_NS", ""},
	"veth":               {"VETH", "veth"},
	"bridge":             {"BRIDGE", "bridge"},
	"nftables NAT":       {"NFT_NAT", "nft_chain_nat"},
	"nftables interval sets over several fields": {"NF_TABLES", "nf_tables"},
	"connection tracking":                        {"NF_CT_NETLINK", "nf_conntrack_netlink"},
	"nftables connection timeouts":               {"NF_CONNTRACK_TIMEOUT", "nft_ct"},
	"policy routing":                             {"IP_MULTIPLE_TABLES", ""},
	"clsact and BPF classifiers":                 {"NET_CLS_BPF", "cls_bpf"},
	"tcx":                                        {"NET_XGRESS", ""},
	"kernel type information (BTF)":              {"DEBUG_INFO_BTF", ""},
	"macvlan":                                    {"MACVLAN", "macvlan"},
	"VLAN":                                       {"VLAN_8021Q", "8021q"},
	"VXLAN":                                      {"VXLAN", "vxlan"},
	"nftables flowtables":                        {"NF_FLOW_TABLE", "nf_flow_table"},
	"HTB":                                        {"NET_SCH_HTB", "sch_htb"},
	"TBF":                                        {"NET_SCH_TBF", "sch_tbf"},
	"IFB":                                        {"IFB", "ifb"},
	"TUN":                                        {"TUN", "tun"},
	"ESP":                                        {"INET_ESP", "esp4"},
	"XFRM interfaces":                            {"XFRM_INTERFACE", "xfrm_interface"},
}
