package config

import (
	"errors"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

var compareAddresses = cmp.Comparer(func(a, b netip.Addr) bool { return a == b })
var comparePrefixes = cmp.Comparer(func(a, b netip.Prefix) bool { return a == b })

func TestDefaultRunsOnOneMachine(t *testing.T) {
	c := Default()
	want := &Config{
		Listen:            "127.0.0.1:8680",
		DataDir:           "/var/lib/sluice",
		RunDir:            "/run/sluice",
		BPFDir:            "/sys/fs/bpf/sluice",
		AdminSocket:       "/run/sluice/admin.sock",
		LogFormat:         "text",
		Connections:       Connections{Most: 1024},
		Throttle:          Throttle{PerKey: Rate{1000, 2000}, Total: Rate{20000, 20000}},
		AuditInterval:     30 * time.Second,
		FullAuditInterval: 10 * time.Minute,
		Addresses:         dataplane.MostAddresses,
		Metrics:           Metrics{TopAddresses: 10, Keep: 744 * time.Hour},
		AuditLog:          AuditLog{Events: AuditAll, Dir: "/var/lib/sluice/audit", MaxSize: 100, Files: 10, Keep: 2160 * time.Hour},
		Bridges:           []Bridge{{Name: "sluice-public", Address: netip.MustParsePrefix("203.0.113.1/24")}},
		Settings: settings.Settings{
			Machine: "local",
			Regions: []settings.Region{{ID: "cn-hangzhou", LocalName: "cn-hangzhou", Zones: []settings.Zone{
				{ID: "cn-hangzhou-a", LocalName: "cn-hangzhou-a"}, {ID: "cn-hangzhou-b", LocalName: "cn-hangzhou-b"},
			}}},
			Public: []settings.PublicNetwork{{
				Name: "default",
				Uplink: dataplane.Uplink{Mode: dataplane.UplinkBridge, Device: "sluice-public",
					Prefix: netip.MustParsePrefix("203.0.113.0/24"), Gateway: netip.MustParseAddr("203.0.113.1")},
				Pool: []settings.Range{{First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.250")}},
			}},
			Quotas:   state.DefaultQuotas(),
			Accounts: map[string]settings.Quotas{},
			Timeouts: dataplane.DefaultTimeouts(),
			Refusal:  dataplane.RefuseDrop,
			Shortcut: true, SourceCheck: true, HostShare: 50, PortSecurity: true,
			ByUse:            dataplane.Limits{Connections: 500_000, NewPerSecond: 20_000},
			Bandwidth:        settings.Bandwidth{Held: true, InboundLeast: 10, NATPackages: []string{"all"}},
			RouterInterfaces: []string{"all"},
			Settle:           5 * time.Second,
		},
	}
	if diff := cmp.Diff(want, c, compareAddresses, comparePrefixes); diff != "" {
		t.Errorf("the built-in configuration differs (-want +got):\n%s", diff)
	}
}

func TestTLSIsMade(t *testing.T) {
	for text, want := range map[string]TLS{
		"listen: a:1":      {},
		"tls: auto":        {Auto: true, Names: []string{}},
		"tls: {names: []}": {Auto: true, Names: []string{}},
		"tls: {names: [gw.example.org, 192.0.2.1]}": {Auto: true, Names: []string{"gw.example.org", "192.0.2.1"}},
	} {
		c, err := parse("f.yaml", []byte(text))
		if err != nil {
			t.Errorf("%s: %v", text, err)
			continue
		}
		if diff := cmp.Diff(want, c.TLS); diff != "" || c.TLS.On() != want.Auto {
			t.Errorf("%s (-want +got):\n%s", text, diff)
		}
	}
}

func TestExampleFileLoads(t *testing.T) {
	c, err := Load("../deploy/sluiced.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	s := c.Settings
	if q := s.Allowed("1000000000000001"); q["forward_entries"] != 10000 || q["elastic_ips"] != 200 || q["vswitches_per_vpc"] != 24 {
		t.Errorf("quotas of the account: %+v", q)
	}
	if got := s.Regions[0].Zones[1]; got != (settings.Zone{ID: "cn-hangzhou-b", LocalName: "Hangzhou Zone B"}) {
		t.Errorf("second zone: %+v", got)
	}
	want := []settings.Range{
		{First: netip.MustParseAddr("203.0.113.10"), Last: netip.MustParseAddr("203.0.113.199")},
		{First: netip.MustParseAddr("203.0.113.224"), Last: netip.MustParseAddr("203.0.113.239")},
	}
	if diff := cmp.Diff(want, s.Public[0].Pool, compareAddresses); diff != "" {
		t.Errorf("pool (-want +got):\n%s", diff)
	}
	if len(c.Bridges) != 0 {
		t.Errorf("bridges to make: %+v, want none", c.Bridges)
	}
	if a := s.Attachments[2].Link; a.Kind != dataplane.AttachVXLAN || a.VNI != 30 || a.Remote.String() != "192.0.2.7" {
		t.Errorf("VXLAN attachment: %+v", a)
	}
}

func TestEveryFieldIsRead(t *testing.T) {
	c, err := parse("t.yaml", []byte(`
listen: "[::1]:0"
data_dir: /d
run_dir: /r
bpf_dir: /b
admin_socket: /a.sock
log_level: debug
log_format: json
max_connections: 7
max_connections_per_source: 5
reserved_connections: 3
throttle: {per_key: {rate: 0.5, burst: 1}, total: {rate: 0, burst: 2}}
settle: 0s
hide_pre_shared_keys: true
audit_interval: 250ms
full_audit_interval: 1h
regions: [{id: r1, area: europe, zones: [r1-a]}, {id: r2, local_name: Two, zones: [{id: r2-a}]}]
quotas: {vpcs: 1, router_interfaces: 24, router_interfaces_per_router: 25, secondary_cidrs: 20, route_tables: 21, vswitches_per_vpc: 2, route_entries: 3, ha_vip_route_entries: 4, user_cidrs: 5, elastic_ips: 6, elastic_ips_allocated_per_day: 93, public_addresses_reassigned_per_day: 94, elastic_ips_per_package: 61, common_bandwidth_packages: 62, global_acceleration_instances: 70, global_acceleration_instances_per_backend: 71, addresses_per_bandwidth_package: 63, bandwidth_packages_per_gateway: 64,
  nat_gateways_per_vpc: 66, forward_entries: 7, forward_entry_ports: 77, snat_entries: 8, snat_pool_addresses: 9, instances_per_vpc: 10, network_interfaces: 80, network_interfaces_per_instance: 81, addresses_per_network_interface: 82,
  templates: 83, items_per_template: 84, template_groups: 85, templates_per_group: 86, classic_links_per_vpc: 91, security_groups: 87, rules_per_security_group: 88, security_groups_per_network_interface: 89, ha_vips: 67, instances_per_ha_vip: 68,
  customer_gateways: 12, vpn_connections_per_gateway: 13, vpn_routes_per_gateway: 14, vpn_policy_routes_per_gateway: 15, tags: 16, ssl_vpn_servers_per_gateway: 67, ssl_vpn_certificates_per_server: 68,
  physical_connections_per_access_point: 69, physical_connections_not_enabled: 70, border_routers_per_physical_connection: 71, border_routers: 72,
  ram_users: 17, ram_policies: 18, ram_access_keys_per_user: 19, ram_policies_per_user: 22, ram_policy_versions: 23}
accounts: {a1: {quotas: {vpcs: 11}}, a2: {}}
public:
  - {name: one, mode: bridge, device: b0, namespace: outer, create: true, address: 192.0.2.1, prefix: 192.0.2.0/24, mtu: 1400, pool: [192.0.2.7], regions: [r1]}
  - {name: two, mode: macvlan, device: eth0, prefix: 198.51.100.0/31, pool: [198.51.100.0/31], regions: [r2]}
access_points:
  - {id: ap-1, region: r1, name: East, description: d, location: hall 1, host_operator: Telehouse, use: hot, ports: [{number: "7", device: eth7, location: rack 3}, eth8]}
classic:
  - {region: r2, device: br7, namespace: outer, prefix: 10.200.0.0/16, pool: [10.200.0.2, 10.200.255.0/25], mtu: 1400}
vswitches:
  - {vswitch: web, cidr: 10.0.0.0/24, mode: bridge, mtu: 9000}
  - {account: a1, vswitch: db, mode: vxlan, device: eth1, vni: 1, local: 192.0.2.1, remote: 239.1.1.1, port: 8472}
nat: {timeouts: {udp: 2m, tcp_established: 3h, tcp_transitory: 5m, icmp: 90s, tcp_reset: 4m}, sessions: 200000, addresses: 4000, bounds: {per_entry: 1, per_elastic_ip: 2, per_host: 3}}
bandwidth: {limits: off, inbound_least: 30, nat_packages: [a1, a2]}
router_interfaces: {accounts: [a2]}
prices: {vpn_gateways: [{bandwidth: 5, month: 380, hour: 0.48, traffic: 0.8}, {bandwidth: 10}]}
metrics: {listen: "[::1]:8681", top_addresses: 0, keep: 24h}
`))
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "[::1]:0" || c.DataDir != "/d" || c.RunDir != "/r" || c.BPFDir != "/b" || c.Sessions != 200000 || c.Addresses != 4000 || c.AdminSocket != "/a.sock" || c.LogLevel != slog.LevelDebug ||
		c.LogFormat != "json" || c.Connections != (Connections{7, 5, 3}) || c.AuditInterval != 250*time.Millisecond || c.FullAuditInterval != time.Hour || c.Settings.Settle != 0 || !c.Settings.HidePSKs {
		t.Errorf("process: %+v", c)
	}
	if c.Settings.Bounds != (dataplane.Bounds{PerEntry: 1, PerElasticIP: 2, PerHost: 3}) {
		t.Errorf("bounds: %+v", c.Settings.Bounds)
	}
	if b := c.Settings.Bandwidth; b.Held || b.InboundLeast != 30 || !b.MayPackage("a2") || b.MayPackage("a3") {
		t.Errorf("bandwidth: %+v", b)
	}
	if s := c.Settings; s.MayConnect("a1") || !s.MayConnect("a2") {
		t.Errorf("router interfaces: %q", s.RouterInterfaces)
	}
	if p := c.Settings.Prices; len(p) != 2 || p[5] != (settings.VPNGatewayPrice{Month: 380, Hour: 0.48, Traffic: 0.8}) || p[10] != (settings.VPNGatewayPrice{}) {
		t.Errorf("prices: %+v", p)
	}
	if c.Throttle != (Throttle{Rate{0.5, 1}, Rate{0, 2}}) {
		t.Errorf("throttle: %+v", c.Throttle)
	}
	if c.Metrics != (Metrics{Listen: "[::1]:8681", Keep: 24 * time.Hour}) {
		t.Errorf("metrics: %+v", c.Metrics)
	}
	quotas := settings.Quotas{"vpcs": 1, "router_interfaces": 24, "router_interfaces_per_router": 25, "secondary_cidrs": 20, "route_tables": 21, "vswitches_per_vpc": 2, "route_entries": 3, "ha_vip_route_entries": 4, "user_cidrs": 5, "elastic_ips": 6, "elastic_ips_allocated_per_day": 93, "public_addresses_reassigned_per_day": 94, "elastic_ips_per_package": 61, "common_bandwidth_packages": 62, "global_acceleration_instances": 70, "global_acceleration_instances_per_backend": 71, "addresses_per_bandwidth_package": 63, "bandwidth_packages_per_gateway": 64,
		"nat_gateways_per_vpc": 66, "forward_entries": 7, "forward_entry_ports": 77, "snat_entries": 8, "snat_pool_addresses": 9, "instances_per_vpc": 10, "network_interfaces": 80, "network_interfaces_per_instance": 81, "addresses_per_network_interface": 82, "templates": 83, "items_per_template": 84, "template_groups": 85, "templates_per_group": 86, "classic_links_per_vpc": 91, "security_groups": 87, "rules_per_security_group": 88, "security_groups_per_network_interface": 89, "ha_vips": 67, "instances_per_ha_vip": 68,
		"customer_gateways": 12, "vpn_connections_per_gateway": 13, "vpn_routes_per_gateway": 14, "vpn_policy_routes_per_gateway": 15, "tags": 16, "ssl_vpn_servers_per_gateway": 67, "ssl_vpn_certificates_per_server": 68,
		"physical_connections_per_access_point": 69, "physical_connections_not_enabled": 70, "border_routers_per_physical_connection": 71, "border_routers": 72,
		"ram_users": 17, "ram_policies": 18, "ram_access_keys_per_user": 19, "ram_policies_per_user": 22, "ram_policy_versions": 23}
	if !maps.Equal(c.Settings.Quotas, quotas) {
		t.Errorf("quotas: %+v", c.Settings.Quotas)
	}
	own := maps.Clone(quotas)
	own["vpcs"] = 11
	if got := c.Settings.Allowed("a1"); !maps.Equal(got, own) {
		t.Errorf("a1 inherits the rest: %+v", got)
	}
	if got := c.Settings.Allowed("a2"); !maps.Equal(got, quotas) {
		t.Errorf("a2 inherits everything: %+v", got)
	}
	wantBridges := []Bridge{{Name: "b0", Namespace: "outer", Address: netip.MustParsePrefix("192.0.2.1/24")}}
	if diff := cmp.Diff(wantBridges, c.Bridges, compareAddresses, comparePrefixes); diff != "" {
		t.Error(diff)
	}
	if p, _ := c.Settings.PublicNetworkOf("r2"); p.Name != "two" || p.Uplink.Gateway.IsValid() {
		t.Errorf("public network of r2: %+v", p)
	}
	wantPoints := []settings.AccessPoint{{ID: "ap-1", Region: "r1", Name: "East", Description: "d", Location: "hall 1", HostOperator: "Telehouse", Use: settings.AccessPointHot,
		Ports: []settings.Port{{Number: "7", Device: "eth7", Location: "rack 3"}, {Number: "eth8", Device: "eth8", Location: "hall 1"}}}}
	if diff := cmp.Diff(wantPoints, c.Settings.AccessPoints); diff != "" {
		t.Error(diff)
	}
	wantClassic := settings.ClassicNetwork{Region: "r2", Device: "br7", Namespace: "outer", MTU: 1400, Prefix: netip.MustParsePrefix("10.200.0.0/16"),
		Pool: []settings.Range{{First: netip.MustParseAddr("10.200.0.2"), Last: netip.MustParseAddr("10.200.0.2")}, {First: netip.MustParseAddr("10.200.255.0"), Last: netip.MustParseAddr("10.200.255.127")}}}
	if n, ok := c.Settings.ClassicNetworkOf("r2"); !ok || !reflect.DeepEqual(n, wantClassic) {
		t.Errorf("classic network of r2: %+v", n)
	}
	if n, ok := c.Settings.ClassicNetworkOf("r1"); ok {
		t.Errorf("r1 has a classic network: %+v", n)
	}
	wantTimeouts := dataplane.Timeouts{UDP: 2 * time.Minute, TCPEstablished: 3 * time.Hour, TCPTransitory: 5 * time.Minute, ICMP: 90 * time.Second, TCPReset: 4 * time.Minute}
	if c.Settings.Timeouts != wantTimeouts {
		t.Errorf("timeouts: %+v", c.Settings.Timeouts)
	}
	wantLink := dataplane.Attachment{Kind: dataplane.AttachVXLAN, Device: "eth1", VNI: 1, Local: netip.MustParseAddr("192.0.2.1"), Remote: netip.MustParseAddr("239.1.1.1"), Port: 8472}
	if got := c.Settings.Attachments[1]; got.VSwitch != "db" || got.Account != "a1" || got.Link != wantLink {
		t.Errorf("attachment: %+v", got)
	}
}

func TestEmptyListsAndFiles(t *testing.T) {
	for _, text := range []string{"", "# nothing\n", "---\n"} {
		c, err := parse("t.yaml", []byte(text))
		if err != nil || len(c.Settings.Public) != 1 {
			t.Errorf("%q: %v, %+v; want the defaults", text, err, c)
		}
	}
	c, err := parse("t.yaml", []byte("public: []\n"))
	if err != nil || len(c.Settings.Public) != 0 || len(c.Bridges) != 0 {
		t.Errorf("public: []: %v, %+v; want no public network", err, c)
	}
}

func TestFiles(t *testing.T) {
	missing := filepath.Join(t.TempDir(), "none.yaml")
	_, err := Load(missing)
	if e, ok := errors.AsType[*Error](err); !ok || e.File != missing || strings.Contains(err.Error(), "\n") {
		t.Errorf("Load of a missing file: %v", err)
	}
	path := filepath.Join(t.TempDir(), "c.yaml")
	if err := os.WriteFile(path, []byte("\nlisten: nowhere\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = Load(path)
	if want := path + `:2: listen: "nowhere" is not an address`; err == nil || !strings.HasPrefix(err.Error(), want) {
		t.Errorf("Load: %v, want %s…", err, want)
	}
}
