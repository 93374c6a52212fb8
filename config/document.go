package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"go4.org/netipx"

	"sluice/controlplane/settings"
	"sluice/dataplane"
)

// document is the file as it is written. docs/configuration.md describes every
// field.
type document struct {
	Machine           string             `yaml:"machine"`
	Listen            string             `yaml:"listen"`
	Listeners         []Listener         `yaml:"listeners"`
	TLS               tlsDoc             `yaml:"tls"`
	DataDir           string             `yaml:"data_dir"`
	RunDir            string             `yaml:"run_dir"`
	BPFDir            string             `yaml:"bpf_dir"`
	AdminSocket       string             `yaml:"admin_socket"`
	LogLevel          levelText          `yaml:"log_level"`
	LogFormat         string             `yaml:"log_format"`
	MaxConnections    int                `yaml:"max_connections"`
	MaxPerSource      int                `yaml:"max_connections_per_source"`
	Reserved          int                `yaml:"reserved_connections"`
	Throttle          throttleDoc        `yaml:"throttle"`
	Settle            time.Duration      `yaml:"settle"`
	HidePSKs          bool               `yaml:"hide_pre_shared_keys"`
	AuditInterval     time.Duration      `yaml:"audit_interval"`
	FullAuditInterval time.Duration      `yaml:"full_audit_interval"`
	Regions           []regionDoc        `yaml:"regions"`
	Quotas            map[string]int     `yaml:"quotas"` // by the names of state.Quotas
	Accounts          map[string]account `yaml:"accounts"`
	Public            []publicDoc        `yaml:"public"`
	VSwitches         []vswitchDoc       `yaml:"vswitches"`
	AccessPoints      []accessPointDoc   `yaml:"access_points"`
	Classic           []classicDoc       `yaml:"classic"`
	PortSecurity      string             `yaml:"port_security"`
	DHCP              string             `yaml:"dhcp"`
	NAT               natDoc             `yaml:"nat"`
	Bandwidth         bandwidthDoc       `yaml:"bandwidth"`
	RouterInterfaces  interfacesDoc      `yaml:"router_interfaces"`
	Prices            pricesDoc          `yaml:"prices"`
	Metrics           metricsDoc         `yaml:"metrics"`
	AuditLog          auditLogDoc        `yaml:"audit_log"`
}

type tlsDoc struct {
	Certificate string   `yaml:"certificate"`
	Key         string   `yaml:"key"`
	Names       []string `yaml:"names"` // not nil: certificates are made
}

// UnmarshalText reads the short form: certificates are made, for no further names.
func (t *tlsDoc) UnmarshalText(text []byte) error {
	if string(text) != "auto" {
		return fmt.Errorf("write auto, or a certificate and a key")
	}
	t.Names = []string{}
	return nil
}

type throttleDoc struct {
	PerKey rateDoc `yaml:"per_key"`
	Total  rateDoc `yaml:"total"`
}

type rateDoc struct {
	Rate  float64 `yaml:"rate"`
	Burst int     `yaml:"burst"`
}

type regionDoc struct {
	ID        string    `yaml:"id"`
	LocalName string    `yaml:"local_name"`
	Area      string    `yaml:"area"`
	Zones     []zoneDoc `yaml:"zones"`
}

type zoneDoc struct {
	ID        string `yaml:"id"`
	LocalName string `yaml:"local_name"`
}

// UnmarshalText reads the short form of a zone: its id.
func (z *zoneDoc) UnmarshalText(text []byte) error { z.ID = string(text); return nil }

type account struct {
	Quotas map[string]int `yaml:"quotas"` // what is left out is inherited
}

type publicDoc struct {
	Name      string       `yaml:"name"`
	Mode      string       `yaml:"mode"`
	Device    string       `yaml:"device"`
	Namespace string       `yaml:"namespace"`
	Create    bool         `yaml:"create"`
	Address   netip.Addr   `yaml:"address"`
	Prefix    netip.Prefix `yaml:"prefix"`
	Gateway   netip.Addr   `yaml:"gateway"`
	MTU       int          `yaml:"mtu"`
	Pool      []rangeText  `yaml:"pool"`
	Regions   []string     `yaml:"regions"`
}

// rangeText is a run of addresses: "first-last", a CIDR block, or one address.
type rangeText struct{ netipx.IPRange }

// UnmarshalText implements encoding.TextUnmarshaler.
func (r *rangeText) UnmarshalText(text []byte) error {
	s := string(text)
	switch {
	case strings.Contains(s, "/"):
		p, err := netip.ParsePrefix(s)
		if err != nil || p != p.Masked() {
			return fmt.Errorf("not a CIDR block; write for example 203.0.113.64/26")
		}
		r.IPRange = netipx.RangeOfPrefix(p)
	case strings.Contains(s, "-"):
		v, err := netipx.ParseIPRange(strings.ReplaceAll(s, " ", ""))
		if err != nil {
			return fmt.Errorf("not a range of addresses; write for example 203.0.113.10-203.0.113.250, the smaller first")
		}
		r.IPRange = v
	default:
		a, err := netip.ParseAddr(s)
		if err != nil {
			return fmt.Errorf("not an address, range or CIDR block; write for example 203.0.113.10")
		}
		r.IPRange = netipx.IPRangeFrom(a, a)
	}
	if !r.From().Is4() {
		return fmt.Errorf("not IPv4; elastic IPs are IPv4 addresses")
	}
	return nil
}

type vswitchDoc struct {
	Account string       `yaml:"account"`
	VSwitch string       `yaml:"vswitch"`
	CIDR    netip.Prefix `yaml:"cidr"`
	Mode    string       `yaml:"mode"`
	Device  string       `yaml:"device"`
	VLAN    int          `yaml:"vlan"`
	VNI     int          `yaml:"vni"`
	Local   netip.Addr   `yaml:"local"`
	Remote  netip.Addr   `yaml:"remote"`
	Port    int          `yaml:"port"`
	MTU     int          `yaml:"mtu"`

	MovesAddresses bool `yaml:"moves_addresses"`
}

type accessPointDoc struct {
	ID           string    `yaml:"id"`
	Region       string    `yaml:"region"`
	Name         string    `yaml:"name"`
	Description  string    `yaml:"description"`
	Location     string    `yaml:"location"`
	HostOperator string    `yaml:"host_operator"`
	Use          string    `yaml:"use"`
	Ports        []portDoc `yaml:"ports"`
}

type classicDoc struct {
	Region    string       `yaml:"region"`
	Device    string       `yaml:"device"`
	Namespace string       `yaml:"namespace"`
	Prefix    netip.Prefix `yaml:"prefix"`
	Pool      []rangeText  `yaml:"pool"`
	MTU       int          `yaml:"mtu"`
}

type portDoc struct {
	Number   string `yaml:"number"`
	Device   string `yaml:"device"`
	Location string `yaml:"location"`
}

// UnmarshalText reads the short form of a port: its device, whose name is the number, too.
func (p *portDoc) UnmarshalText(text []byte) error {
	p.Number, p.Device = string(text), string(text)
	return nil
}

type natDoc struct {
	Timeouts    timeoutsDoc `yaml:"timeouts"`
	Shortcut    string      `yaml:"shortcut"`
	Sessions    int         `yaml:"sessions"`
	Addresses   int         `yaml:"addresses"`
	Refuse      string      `yaml:"refuse"`
	HostShare   int         `yaml:"host_share"`
	ByUse       byUseDoc    `yaml:"pay_by_use"`
	SourceCheck string      `yaml:"source_check"`
	Bounds      boundsDoc   `yaml:"bounds"`
}

type byUseDoc struct {
	Connections  int `yaml:"connections"`
	NewPerSecond int `yaml:"new_per_second"`
}

type boundsDoc struct {
	PerEntry     int `yaml:"per_entry"`
	PerElasticIP int `yaml:"per_elastic_ip"`
	PerHost      int `yaml:"per_host"`
}

type timeoutsDoc struct {
	UDP            time.Duration `yaml:"udp"`
	TCPEstablished time.Duration `yaml:"tcp_established"`
	TCPTransitory  time.Duration `yaml:"tcp_transitory"`
	ICMP           time.Duration `yaml:"icmp"`
	TCPReset       time.Duration `yaml:"tcp_reset"`
}

type bandwidthDoc struct {
	Limits       string `yaml:"limits"`
	InboundLeast int    `yaml:"inbound_least"`

	NATPackages []string `yaml:"nat_packages"`
}

type interfacesDoc struct {
	Accounts []string `yaml:"accounts"`
}

type pricesDoc struct {
	VPNGateways []vpnGatewayPriceDoc `yaml:"vpn_gateways"`
}

type vpnGatewayPriceDoc struct {
	Bandwidth int     `yaml:"bandwidth"`
	Month     float64 `yaml:"month"`
	Hour      float64 `yaml:"hour"`
	Traffic   float64 `yaml:"traffic"`
}

type metricsDoc struct {
	Listen       string        `yaml:"listen"`
	TopAddresses int           `yaml:"top_addresses"`
	Keep         time.Duration `yaml:"keep"`
}

type auditLogDoc struct {
	Events  string        `yaml:"events"`
	Dir     string        `yaml:"dir"`
	MaxSize int           `yaml:"max_size"`
	Files   int           `yaml:"files"`
	Keep    time.Duration `yaml:"keep"`
}

type levelText struct{ slog.Level }

// UnmarshalText implements encoding.TextUnmarshaler.
func (l *levelText) UnmarshalText(text []byte) error {
	switch string(text) {
	case "debug", "info", "warn", "error":
		return l.Level.UnmarshalText(text)
	}
	return fmt.Errorf("write debug, info, warn or error")
}

// defaults is what holds where the file is silent: a service that runs on one
// machine and touches none of its networks.
func defaults() document {
	t := dataplane.DefaultTimeouts()
	return document{
		Machine:           "local",
		Listen:            "127.0.0.1:8680",
		DataDir:           "/var/lib/sluice",
		RunDir:            "/run/sluice",
		BPFDir:            "/sys/fs/bpf/sluice",
		LogFormat:         "text",
		MaxConnections:    1024,
		Throttle:          throttleDoc{PerKey: rateDoc{Rate: 1000, Burst: 2000}, Total: rateDoc{Rate: 20000, Burst: 20000}},
		Settle:            5 * time.Second,
		AuditInterval:     30 * time.Second,
		FullAuditInterval: 10 * time.Minute,
		PortSecurity:      "strict",
		DHCP:              "off",
		Regions:           []regionDoc{{ID: "cn-hangzhou", LocalName: "cn-hangzhou", Zones: []zoneDoc{{ID: "cn-hangzhou-a"}, {ID: "cn-hangzhou-b"}}}},
		Public: []publicDoc{{
			Name: "default", Mode: string(dataplane.UplinkBridge), Device: "sluice-public", Create: true,
			Prefix:  netip.MustParsePrefix("203.0.113.0/24"),
			Gateway: netip.MustParseAddr("203.0.113.1"),
			Address: netip.MustParseAddr("203.0.113.1"),
			Pool:    []rangeText{{netipx.IPRangeFrom(netip.MustParseAddr("203.0.113.10"), netip.MustParseAddr("203.0.113.250"))}},
		}},
		NAT: natDoc{
			Timeouts:    timeoutsDoc{UDP: t.UDP, TCPEstablished: t.TCPEstablished, TCPTransitory: t.TCPTransitory, ICMP: t.ICMP, TCPReset: t.TCPReset},
			Shortcut:    "on",
			HostShare:   50,
			ByUse:       byUseDoc{Connections: 500_000, NewPerSecond: 20_000},
			SourceCheck: "strict",
			Refuse:      string(dataplane.RefuseDrop),
			Addresses:   dataplane.MostAddresses,
		},
		Bandwidth: bandwidthDoc{
			Limits:       "on",
			InboundLeast: 10, // as the cloud documents
			NATPackages:  []string{settings.AllAccounts},
		},
		RouterInterfaces: interfacesDoc{Accounts: []string{settings.AllAccounts}},

		Metrics:  metricsDoc{TopAddresses: 10, Keep: 31 * 24 * time.Hour},
		AuditLog: auditLogDoc{Events: AuditAll, MaxSize: 100, Files: 10, Keep: 90 * 24 * time.Hour},
	}
}
