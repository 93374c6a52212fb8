package config

import (
	"errors"
	"strings"
	"testing"
)

// A public network, and what to put in its place or behind it.
const network = "public:\n- {name: p, mode: bridge, device: b0, prefix: 203.0.113.0/24, gateway: 203.0.113.1, pool: [203.0.113.10-203.0.113.20]"

func TestMistakes(t *testing.T) {
	for _, c := range []struct {
		name, text string
		line       int
		field      string
		want       string // part of the text
	}{
		{"not YAML", "listen: [", 1, "", "not YAML"},
		{"tab", "tls:\n\tkey: x", 2, "", "not YAML"},
		{"twice the same key", "listen: a:1\nlisten: b:1", 2, "", "already defined"},
		{"a list at the top", "- a", 1, "", "a mapping of fields is expected"},
		{"two documents", "listen: a:1\n---\nlisten: b:1", 3, "", "write one document"},
		{"anchor", "listen: &x a:1", 1, "listen", "write the value out"},
		{"merge", "tls:\n  <<: x", 2, "tls.<<", "unknown field"},
		{"unknown field with a suggestion", "lisen: a:1", 1, "lisen", "did you mean listen?"},
		{"hyphens for underscores", "\ndata-dir: /x", 2, "data-dir", "did you mean data_dir?"},
		{"unknown field without one", "tls:\n  passphrase_of_the_key: x", 2, "tls.passphrase_of_the_key", "known here: certificate, key"},
		{"unknown field in a list", "public:\n- name: p\n  gatway: 1.2.3.4", 3, "public[0].gatway", "did you mean gateway?"},
		{"no value", "listen:\n", 1, "listen", "has no value"},
		{"list for text", "listen: [a]", 1, "listen", "is a list; text is expected"},
		{"text for a list", "regions: x", 1, "regions", `is "x"; a list is expected`},
		{"mapping for a number", "max_connections: {a: 1}", 1, "max_connections", "is a mapping; a whole number is expected"},
		{"text for a number", "max_connections: many", 1, "max_connections", "a whole number is expected"},
		{"huge number", "max_connections: 18446744073709551615", 1, "max_connections", "too large"},
		{"text for a rate", "throttle: {total: {rate: fast}}", 1, "throttle.total.rate", "a number is expected"},
		{"text for a bool", network + ", create: yes}", 2, "public[0].create", "true or false is expected"},
		{"bad duration", "settle: 5", 1, "settle", "write a number and a unit"},
		{"bad prefix", "vswitches:\n- {cidr: 10.0.0.0}", 2, "vswitches[0].cidr", "is not a network"},
		{"bad address", network + ", address: x}", 2, "public[0].address", "is not an address"},

		{"listen without a port", "listen: localhost", 1, "listen", "is not an address and a port"},
		{"listen with a bad port", "listen: localhost:http", 1, "listen", "is not a port"},
		{"listen with a port too high", "listen: localhost:65536", 1, "listen", "is not a port"},
		{"TLS without a key", "tls:\n  certificate: /c", 1, "tls.key", "takes both"},
		{"TLS without a certificate", "tls:\n  key: /k", 1, "tls.certificate", "takes both"},
		{"TLS files missing", "tls: {certificate: /none/c, key: /none/k}", 1, "tls", "no such file"},
		{"TLS of a kind that there is not", "tls: on", 1, "tls", "write auto, or a certificate and a key"},
		{"TLS names beside files", "tls:\n  certificate: /c\n  names: [a]", 3, "tls.names", "leave it out"},
		{"TLS for no name", "tls:\n  names: [a.example, '*.example']", 2, "tls.names[1]", "no name of a host"},
		{"TLS for an address of a link", "tls:\n  names: ['fe80::1%eth0']", 2, "tls.names[0]", "no address"},
		{"TLS names that are none", "tls:\n  names: gateway", 2, "tls.names", "a list is expected"},
		{"relative data_dir", "data_dir: x", 1, "data_dir", "absolute"},
		{"relative run_dir", "run_dir: x", 1, "run_dir", "absolute"},
		{"relative bpf_dir", "bpf_dir: bpf", 1, "bpf_dir", "absolute"},
		{"relative socket", "admin_socket: x", 1, "admin_socket", "absolute"},
		{"long socket path", "run_dir: /" + strings.Repeat("x", 100), 0, "admin_socket", "at most 107"},
		{"log level", "log_level: loud", 1, "log_level", "write debug, info, warn or error"},
		{"log format", "log_format: xml", 1, "log_format", "write text or json"},
		{"no connections", "max_connections: 0", 1, "max_connections", "out of range"},
		{"more of a source than of all", "max_connections: 10\nmax_connections_per_source: 11", 2, "max_connections_per_source", "from 0 to 10"},
		{"all connections reserved", "max_connections: 10\nreserved_connections: 10", 2, "reserved_connections", "from 0 to 9"},
		{"negative rate", "throttle:\n  per_key:\n    rate: -1", 3, "throttle.per_key.rate", "out of range"},
		{"rate not a number", "throttle:\n  per_key:\n    rate: .nan", 3, "throttle.per_key.rate", "a number is expected"},
		{"no burst", "throttle: {total: {burst: 0}}", 1, "throttle.total.burst", "out of range"},
		{"settle too long", "settle: 1m", 1, "settle", "from 0s to 20s"},
		{"full audit too seldom", "full_audit_interval: 25h", 1, "full_audit_interval", "from 100ms to 24h"},
		{"audit too often", "audit_interval: 1ms", 1, "audit_interval", "from 100ms to 1h"},

		{"no regions", "regions: []", 1, "regions", "at least one region"},
		{"region without id", "regions:\n- zones: [a]", 2, "regions[0].id", "is missing"},
		{"region id", "regions: [{id: Cn, zones: [a]}]", 1, "regions[0].id", "is not an id"},
		{"duplicate region", "regions:\n- {id: r, zones: [a]}\n- {id: r, zones: [b]}", 3, "regions[1].id", "stands already at regions[0].id"},
		{"duplicate zone", "regions:\n- {id: r, zones: [a]}\n- {id: s, zones: [a]}", 3, "regions[1].zones[0]", "stands already at regions[0].zones[0]"},
		{"region without zones", "regions: [{id: r}]", 1, "regions[0].zones", "at least one zone"},
		{"area of a region", "regions:\n- {id: r, area: mars, zones: [a]}", 2, "regions[0].area", "no area"},
		{"unknown field of a zone", "regions: [{id: r, zones: [{name: z}]}]", 1, "regions[0].zones[0].name", "local_name"},

		{"negative quota", "quotas: {vpcs: -1}", 1, "quotas.vpcs", "out of range"},
		{"negative quota of an account", "accounts:\n  a1:\n    quotas:\n      elastic_ips: -1", 4, "accounts.a1.quotas.elastic_ips", "out of range"},
		{"unknown quota", "quotas: {vpc: 1}", 1, "quotas.vpc", "did you mean vpcs?"},
		{"unknown field of an account", "accounts: {a1: {quota: {}}}", 1, "accounts.a1.quota", "did you mean quotas?"},

		{"public without name", "public: [{mode: bridge}]", 1, "public[0].name", "is missing"},
		{"public name twice", network + "}\n- {name: p}", 3, "public[1].name", "stands already at public[0]"},
		{"no mode", "public: [{name: p}]", 1, "public[0].mode", "is missing"},
		{"bad mode", "public: [{name: p, mode: nat}]", 1, "public[0].mode", "write bridge, macvlan or device"},
		{"no device", "public: [{name: p, mode: bridge}]", 1, "public[0].device", "is missing"},
		{"long device", "public: [{name: p, mode: bridge, device: abcdefghijklmnop}]", 1, "public[0].device", "1 to 15 characters"},
		{"create in another mode", "public: [{name: p, mode: device, device: e, create: true}]", 1, "public[0].create", "only a bridge"},
		{"address without create", network + ", address: 203.0.113.2}", 2, "public[0].address", "add create: true"},
		{"MTU", network + ", mtu: 100}", 2, "public[0].mtu", "out of range"},
		{"no prefix", "public: [{name: p, mode: bridge, device: b}]", 1, "public[0].prefix", "is missing"},
		{"IPv6 prefix", "public: [{name: p, mode: bridge, device: b, prefix: '2001:db8::/64'}]", 1, "public[0].prefix", "IPv4"},
		{"prefix with host bits", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.1/24}]", 1, "public[0].prefix", "did you mean 203.0.113.0/24?"},
		{"gateway outside", "public:\n- name: p\n  mode: bridge\n  device: b\n  prefix: 203.0.113.0/24\n  gateway: 203.0.114.1", 6, "public[0].gateway", "not an address of a host in 203.0.113.0/24"},
		{"gateway is the broadcast address", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, gateway: 203.0.113.255}]", 1, "public[0].gateway", "not an address of a host"},
		{"no pool", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24}]", 1, "public[0].pool", "for example 203.0.113.2-203.0.113.254"},
		{"pool outside", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: [192.0.2.1]}]", 1, "public[0].pool[0]", "does not lie among the hosts"},
		{"pool has the network address", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: [203.0.113.0/24]}]", 1, "public[0].pool[0]", "does not lie among the hosts"},
		{"pool has the gateway", "public:\n- name: p\n  mode: bridge\n  device: b\n  prefix: 203.0.113.0/24\n  gateway: 203.0.113.9\n  pool:\n  - 203.0.113.2\n  - 203.0.113.8-203.0.113.10", 9, "public[0].pool[1]", "contains the gateway 203.0.113.9"},
		{"pool has the bridge", "public: [{name: p, mode: bridge, device: b, create: true, address: 203.0.113.9, prefix: 203.0.113.0/24, pool: [203.0.113.9]}]", 1, "public[0].pool[0]", "contains the bridge's own address"},
		{"pool backwards", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: [203.0.113.9-203.0.113.8]}]", 1, "public[0].pool[0]", "the smaller first"},
		{"pool is not an address", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: [x]}]", 1, "public[0].pool[0]", "not an address, range or CIDR block"},
		{"pool is not a block", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: [203.0.113.9/24]}]", 1, "public[0].pool[0]", "not a CIDR block"},
		{"pool of IPv6", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: ['2001:db8::1']}]", 1, "public[0].pool[0]", "not IPv4"},
		{"pool overlaps itself", "public: [{name: p, mode: bridge, device: b, prefix: 203.0.113.0/24, pool: [203.0.113.9, 203.0.113.8/30]}]", 1, "public[0].pool[1]", "overlaps public[0].pool[0]"},
		{"pools overlap", "regions: [{id: r, zones: [a]}, {id: s, zones: [b]}]\n" + network + ", regions: [r]}\n- {name: q, mode: bridge, device: b0, prefix: 203.0.113.0/24, pool: [203.0.113.20], regions: [s]}", 4, "public[1].pool[0]", "overlaps public[0].pool[0]"},
		{"prefixes overlap", "regions: [{id: r, zones: [a]}, {id: s, zones: [b]}]\n" + network + ", regions: [r]}\n- {name: q, mode: bridge, device: b1, prefix: 203.0.112.0/22, pool: [203.0.112.2], regions: [s]}", 4, "public[1].prefix", "overlaps 203.0.113.0/24 of public[0]"},
		{"unknown region", network + ", regions: [x]}", 2, "public[0].regions[0]", "is not a region"},
		{"region twice in one", network + ", regions: [cn-hangzhou, cn-hangzhou]}", 2, "public[0].regions[1]", "twice"},
		{"region in two", network + ", regions: [cn-hangzhou]}\n- {name: q, mode: bridge, device: b0, prefix: 203.0.113.0/24, pool: [203.0.113.30], regions: [cn-hangzhou]}", 3, "public[1].regions[0]", "served by public[0] already"},
		{"two for all regions", network + "}\n- {name: q, mode: bridge, device: b0, prefix: 203.0.113.0/24, pool: [203.0.113.30]}", 3, "public[1].regions", "collides with public[0]"},

		{"classic network elsewhere", "classic: [{region: mars, device: e1}]", 1, "classic[0].region", "is not a region"},
		{"classic network without a device", "classic: [{prefix: 10.200.0.0/16}]", 1, "classic[0].device", "is missing"},
		{"classic network without a prefix", "classic: [{device: e1}]", 1, "classic[0].prefix", "is missing"},
		{"classic network's prefix", "classic: [{device: e1, prefix: 10.200.0.1/16}]", 1, "classic[0].prefix", "did you mean 10.200.0.0/16"},
		{"classic network of two addresses", "classic: [{device: e1, prefix: 10.200.0.0/31}]", 1, "classic[0].prefix", "from /8 to /30"},
		{"classic network without a pool", "classic: [{device: e1, prefix: 10.200.0.0/16}]", 1, "classic[0].pool", "is empty"},
		{"classic network's pool", "classic: [{device: e1, prefix: 10.200.0.0/16, pool: [10.201.0.1]}]", 1, "classic[0].pool[0]", "does not lie among the hosts"},
		{"classic network in a public one", "classic: [{device: e1, prefix: 203.0.113.128/25, pool: [203.0.113.251]}]", 1, "classic[0].prefix", "overlaps 203.0.113.0/24 of public[0]"},
		{"classic network twice", "classic:\n- {device: e1, prefix: 10.200.0.0/16, pool: [10.200.0.1]}\n- {device: e2}", 3, "classic[1].region", "a region has one"},
		{"device of a classic network and a port", "classic: [{device: e1, prefix: 10.200.0.0/16, pool: [10.200.0.1]}]\naccess_points: [{id: a, ports: [e1]}]", 1, "classic[0].device", "used by access_points[0].ports[0].device"},
		{"access point without an id", "access_points: [{name: x}]", 1, "access_points[0].id", "is not an id"},
		{"access point twice", "access_points:\n- {id: a}\n- {id: a}", 3, "access_points[1].id", "stands already at access_points[0]"},
		{"access point elsewhere", "access_points: [{id: a, region: mars}]", 1, "access_points[0].region", "is not a region"},
		{"access point's use", "access_points: [{id: a, use: busy}]", 1, "access_points[0].use", "recommended, hot or full"},
		{"port without a device", "access_points: [{id: a, ports: [{number: 1}]}]", 1, "access_points[0].ports[0].device", "is missing"},
		{"port twice", "access_points: [{id: a, ports: [{number: 1, device: e1}, {number: 1, device: e2}]}]", 1, "access_points[0].ports[1].number", "that of device e1"},
		{"device of two ports", "access_points:\n- {id: a, ports: [e1]}\n- {id: b, ports: [e1]}", 3, "access_points[1].ports[0].device", "used by access_points[0].ports[0].device"},
		{"device of a port and a VSwitch", "vswitches: [{vswitch: a, mode: vlan, device: e1, vlan: 3}]\naccess_points: [{id: a, ports: [e1]}]", 2, "access_points[0].ports[0].device", "used by vswitches[0].device"},
		{"VSwitch without a match", "vswitches: [{mode: bridge}]", 1, "vswitches[0]", "matches nothing"},
		{"VSwitch CIDR with host bits", "vswitches: [{cidr: 10.0.0.1/24, mode: bridge}]", 1, "vswitches[0].cidr", "is not an IPv4 network"},
		{"VSwitch twice", "vswitches:\n- {vswitch: a, mode: bridge}\n- {vswitch: a, mode: bridge}", 3, "vswitches[1]", "same VSwitch as vswitches[0]"},
		{"VSwitch mode", "vswitches: [{vswitch: a, mode: tap}]", 1, "vswitches[0].mode", "write bridge, device, vlan or vxlan"},
		{"field of another mode", "vswitches: [{vswitch: a, mode: bridge, vlan: 3}]", 1, "vswitches[0].vlan", "does not belong to mode bridge"},
		{"device missing", "vswitches: [{vswitch: a, mode: device}]", 1, "vswitches[0].device", "is missing"},
		{"VLAN missing", "vswitches: [{vswitch: a, mode: vlan, device: e}]", 1, "vswitches[0].vlan", "from 1 to 4094"},
		{"VLAN twice", "vswitches:\n- {vswitch: a, mode: vlan, device: e, vlan: 3}\n- {vswitch: b, mode: vlan, device: e, vlan: 3}", 3, "vswitches[1]", "same vlan as vswitches[0]"},
		{"VNI too high", "vswitches: [{vswitch: a, mode: vxlan, vni: 16777216, remote: 192.0.2.1}]", 1, "vswitches[0].vni", "from 1 to 16777215"},
		{"VXLAN without a peer", "vswitches: [{vswitch: a, mode: vxlan, vni: 1}]", 1, "vswitches[0].remote", "is missing"},
		{"multicast without a device", "vswitches: [{vswitch: a, mode: vxlan, vni: 1, remote: 239.0.0.1}]", 1, "vswitches[0].device", "needs the device"},
		{"VXLAN families", "vswitches: [{vswitch: a, mode: vxlan, vni: 1, remote: 192.0.2.1, local: '::1'}]", 1, "vswitches[0].local", "different families"},
		{"VXLAN port", "vswitches: [{vswitch: a, mode: vxlan, vni: 1, remote: 192.0.2.1, port: 70000}]", 1, "vswitches[0].port", "out of range"},
		{"VNI twice", "vswitches:\n- {vswitch: a, mode: vxlan, vni: 1, remote: 192.0.2.1}\n- {vswitch: b, mode: vxlan, vni: 1, remote: 192.0.2.2, port: 4789}", 3, "vswitches[1]", "same vxlan"},
		{"VSwitch MTU", "vswitches: [{vswitch: a, mode: bridge, mtu: 70000}]", 1, "vswitches[0].mtu", "out of range"},
		{"device handed over twice", "vswitches:\n- {vswitch: a, mode: device, device: e}\n- {vswitch: b, mode: device, device: e}", 3, "vswitches[1].device", "is used by vswitches[0].device already"},
		{"device is a parent too", "public: []\nvswitches:\n- {vswitch: a, mode: vlan, device: e, vlan: 1}\n- {vswitch: b, mode: device, device: e}", 4, "vswitches[1].device", "is used by vswitches[0].device already"},
		{"uplink handed over twice", "public:\n- {name: p, mode: device, device: e, prefix: 203.0.113.0/24, pool: [203.0.113.9]}\nvswitches:\n- {vswitch: b, mode: device, device: e}", 4, "vswitches[0].device", "is used by public[0].device already"},

		{"UDP timeout", "nat: {timeouts: {udp: 119s}}", 1, "nat.timeouts.udp", "RFC 4787 REQ-5 asks for at least 2m0s"},
		{"TCP established timeout", "nat: {timeouts: {tcp_established: 2h}}", 1, "nat.timeouts.tcp_established", "RFC 5382 REQ-5"},
		{"TCP transitory timeout", "nat: {timeouts: {tcp_transitory: 1m}}", 1, "nat.timeouts.tcp_transitory", "RFC 5382 REQ-5"},
		{"ICMP timeout", "nat: {timeouts: {icmp: 30s}}", 1, "nat.timeouts.icmp", "RFC 5508 REQ-2"},
		{"RST timeout", "nat: {timeouts: {tcp_reset: 0s}}", 1, "nat.timeouts.tcp_reset", "at least 1s"},
		{"timeout too long", "nat: {timeouts: {udp: 10000h}}", 1, "nat.timeouts.udp", "too long"},
		{"timeout with a fraction", "nat: {timeouts: {udp: 150s500ms}}", 1, "nat.timeouts.udp", "whole number of seconds"},
		{"shortcut", "nat: {shortcut: sometimes}", 1, "nat.shortcut", "write on or off"},
		{"no share", "nat: {host_share: 0}", 1, "nat.host_share", "from 1 to 100"},
		{"share of more than all", "nat: {host_share: 101}", 1, "nat.host_share", "from 1 to 100"},
		{"no connections", "nat: {pay_by_use: {connections: 0}}", 1, "nat.pay_by_use.connections", "from 1 to 2000000"},
		{"too many new ones", "nat: {pay_by_use: {new_per_second: 100001}}", 1, "nat.pay_by_use.new_per_second", "from 1 to 100000"},
		{"source check", "nat: {source_check: on}", 1, "nat.source_check", "write strict or off"},
		{"port security", "port_security: on", 1, "port_security", "write strict or off"},
		{"bound", "nat: {bounds: {per_host: -1}}", 1, "nat.bounds.per_host", "from 0 to 67108864"},
		{"few addresses", "nat: {addresses: 254}", 1, "nat.addresses", "from 255 to 16383"},
		{"many addresses", "nat: {addresses: 16384}", 1, "nat.addresses", "from 255 to 16383"},
		{"few sessions", "nat: {sessions: 1}", 1, "nat.sessions", "from 1024 to 67108864, or 0"},
		{"many sessions", "nat: {sessions: 67108865}", 1, "nat.sessions", "out of range"},
		{"refusal", "nat: {refuse: reset}", 1, "nat.refuse", "write drop or reject"},

		{"limits", "bandwidth: {limits: some}", 1, "bandwidth.limits", "write on or off"},
		{"account without an id", "bandwidth: {nat_packages: ['']}", 1, "bandwidth.nat_packages[0]", "is empty"},
		{"account twice", "bandwidth: {nat_packages: [all, all]}", 1, "bandwidth.nat_packages[1]", "twice"},
		{"account twice for router interfaces", "router_interfaces: {accounts: [a1, a1]}", 1, "router_interfaces.accounts[1]", "twice"},
		{"price of no bandwidth", "prices: {vpn_gateways: [{month: 1}]}", 1, "prices.vpn_gateways[0].bandwidth", "from 1 to 1000"},
		{"price twice", "prices: {vpn_gateways: [{bandwidth: 5}, {bandwidth: 5}]}", 1, "prices.vpn_gateways[1].bandwidth", "twice"},
		{"price below nothing", "prices: {vpn_gateways: [{bandwidth: 5, hour: -1}]}", 1, "prices.vpn_gateways[0].hour", "from 0 to 1e9"},
		{"price of no number", "prices: {vpn_gateways: [{bandwidth: 5, month: .nan}]}", 1, "prices.vpn_gateways[0].month", "a number is expected"},
		{"nothing inbound", "bandwidth: {inbound_least: 0}", 1, "bandwidth.inbound_least", "from 1 to 5000"},

		{"dhcp of another kind", "dhcp: maybe", 1, "dhcp", "write on or off"},
		{"listener without a port", "listeners: [{family: tencent3, listen: localhost}]", 1, "listeners[0].listen", "write for example 127.0.0.1:8682"},
		{"listener on the API's port", "listeners:\n- {family: tencent3, listen: 127.0.0.1:8680}", 2, "listeners[0].listen", "is listened on already"},
		{"two listeners of one port", "listeners:\n- {family: tencent3, listen: 127.0.0.1:8682}\n- {family: aliyun, listen: 127.0.0.1:8682}", 3, "listeners[1].listen", "is listened on already"},
		{"listener of no family", "listeners:\n- listen: 127.0.0.1:8682", 2, "listeners[0].family", "write one of aliyun, tencent3"},
		{"metrics on a listener's port", "listeners: [{family: tencent3, listen: 127.0.0.1:8682}]\nmetrics:\n  listen: 127.0.0.1:8682", 3, "metrics.listen", "is the API's address already"},
		{"metrics without a port", "metrics: {listen: localhost}", 1, "metrics.listen", "write for example 127.0.0.1:8681 or [::]:8681"},
		{"metrics with a bad port", "metrics:\n  listen: localhost:-1", 2, "metrics.listen", "is not a port"},
		{"metrics on the API's port", "metrics:\n  listen: 127.0.0.1:8680", 2, "metrics.listen", "is the API's address already"},
		{"metrics of too many addresses", "metrics: {top_addresses: 1001}", 1, "metrics.top_addresses", "from 0 to 1000"},
		{"unknown field of metrics", "metrics: {top: 1}", 1, "metrics.top", "unknown field"},
		{"minutes kept too short", "metrics:\n  keep: 59m", 2, "metrics.keep", "from 1h to 8784h"},
		{"minutes kept too long", "metrics: {keep: 8785h}", 1, "metrics.keep", "from 1h to 8784h"},
		{"an audit log of what", "audit_log: {events: some}", 1, "audit_log.events", "write all, writes or off"},
		{"an audit log elsewhere", "audit_log:\n  dir: audit", 2, "audit_log.dir", "is not an absolute path"},
		{"audit files too small", "audit_log: {max_size: 0}", 1, "audit_log.max_size", "from 1 to 10000"},
		{"no older audit files", "audit_log: {files: 0}", 1, "audit_log.files", "from 1 to 10000"},
		{"audit files for hours", "audit_log: {keep: 25h}", 1, "audit_log.keep", "write whole days in hours"},
		{"minutes kept for days", "metrics: {keep: 31d}", 1, "metrics.keep", "write a number and a unit"},
	} {
		t.Run(c.name, func(t *testing.T) {
			_, err := parse("t.yaml", []byte(c.text))
			e, ok := errors.AsType[*Error](err)
			if !ok {
				t.Fatalf("got %v, want an *Error", err)
			}
			if e.Line != c.line || e.Field != c.field || !strings.Contains(e.Text, c.want) {
				t.Errorf("got %v\nwant line %d, field %q, and %q in the text", e, c.line, c.field, c.want)
			}
			if strings.Contains(e.Error(), "\n") || !strings.HasPrefix(e.Error(), "t.yaml:") {
				t.Errorf("not one line that names the file: %q", e.Error())
			}
		})
	}
}

// FuzzParse: whatever stands in the file, the answer is a configuration or one
// line.
func FuzzParse(f *testing.F) {
	f.Add("listen: a:1\nregions: [{id: r, zones: [a, {id: b}]}]\n")
	f.Add(network + "}\nvswitches: [{vswitch: a, mode: vlan, device: e, vlan: 3}]\nnat: {timeouts: {udp: 5m}}")
	f.Add("accounts: {a: {quotas: {vpcs: 1}}}\nthrottle: {total: {rate: 1.5, burst: 3}}")
	f.Fuzz(func(t *testing.T, text string) {
		c, err := parse("t.yaml", []byte(text))
		if err != nil && strings.Contains(err.Error(), "\n") {
			t.Errorf("more than one line: %q", err)
		}
		if err == nil && len(c.Settings.Regions) == 0 {
			t.Error("accepted without a region")
		}
	})
}
