package probe

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
		{"TBF", Optional, "2.6", "no simple bandwidth limits", tryTBF},
		{"TUN", VPN, "2.4", "no SSL-VPN, no IPsec in user space", tryTUN},
		{"ESP", VPN, "2.6", "IPsec runs in user space (kernel-libipsec), slower", tryESP},
		{"XFRM interfaces", VPN, "4.19", "IPsec runs in user space (kernel-libipsec), slower", tryXFRMInterface},
	}
}

func tryNamespace(*stage) (string, error) { return "", nil } // the stage is one
