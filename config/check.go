package config

import (
	"crypto/tls"
	"fmt"
	"maps"
	"net"
	"net/netip"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// checker checks a document and fills the settings from it. Its first finding
// is the answer.
type checker struct {
	*places
	doc    *document
	config *Config
}

func (k *checker) check() error {
	for _, step := range []func() error{
		k.machine, k.listen, k.tls, k.directories, k.process, k.throttle, k.durations,
		k.regions, k.quotas, k.public, k.vswitches, k.accessPoints, k.classic, k.devices, k.timeouts, k.nat, k.bandwidth, k.routerInterfaces, k.prices, k.metrics, k.auditLog,
	} {
		if err := step(); err != nil {
			return err
		}
	}
	return nil
}

// machine checks the name by which the store knows this machine.
func (k *checker) machine() error {
	if !machineName.MatchString(k.doc.Machine) {
		return k.errorf("machine", "%q is not a name of a machine; write 1 to 64 lower-case letters, digits, '.' and '-', the first a letter or digit", k.doc.Machine)
	}
	k.config.Settings.Machine = k.doc.Machine
	return nil
}

var machineName = regexp.MustCompile(`^[a-z0-9][a-z0-9.-]{0,63}$`)

func (k *checker) listen() error {
	if err := k.address("listen", k.doc.Listen, 8680); err != nil {
		return err
	}
	taken := []string{k.doc.Listen}
	for i, l := range k.doc.Listeners {
		at := fmt.Sprintf("listeners[%d]", i)
		if err := k.address(at+".listen", l.Listen, 8682); err != nil {
			return err
		}
		if slices.Contains(taken, l.Listen) && !strings.HasSuffix(l.Listen, ":0") {
			return k.errorf(at+".listen", "%q is listened on already; write another port", l.Listen)
		}
		if !slices.Contains(Families(), l.Family) {
			return k.errorf(at+".family", "%q is no family; write one of %s", l.Family, strings.Join(Families(), ", "))
		}
		taken = append(taken, l.Listen)
	}
	return nil
}

// address checks the address and port of a listener; the message suggests a port.
func (k *checker) address(field, v string, suggested int) error {
	_, port, err := net.SplitHostPort(v)
	if err != nil {
		return k.errorf(field, "%q is not an address and a port; write for example 127.0.0.1:%d or [::]:%[2]d", v, suggested)
	}
	if n, err := strconv.Atoi(port); err != nil || n < 0 || n > 65535 {
		return k.errorf(field, "%q is not a port; write a number from 1 to 65535, or 0 for any free one", port)
	}
	return nil
}

func (k *checker) tls() error {
	t := k.doc.TLS
	switch {
	case t.Names != nil && (t.Certificate != "" || t.Key != ""):
		return k.errorf("tls.names", "is for certificates that are made; leave it out, or certificate and key")
	case t.Certificate == "" && t.Key == "":
		for i, name := range t.Names {
			if len(name) > 253 || !hostName.MatchString(name) {
				if a, err := netip.ParseAddr(name); err != nil || a.Zone() != "" {
					return k.errorf(fmt.Sprintf("tls.names[%d]", i), "%q is no name of a host and no address; write for example gateway.example.org or 192.0.2.1", name)
				}
			}
		}
		return nil
	case t.Certificate == "":
		return k.errorf("tls.certificate", "is missing; tls takes both a certificate and a key file")
	case t.Key == "":
		return k.errorf("tls.key", "is missing; tls takes both a certificate and a key file")
	}
	if _, err := tls.LoadX509KeyPair(t.Certificate, t.Key); err != nil {
		return k.errorf("tls", "cannot be used: %v; name a PEM certificate chain and its PEM key", err)
	}
	return nil
}

// hostName is a name that a certificate can be for: labels of letters, digits and hyphens.
var hostName = regexp.MustCompile(`^[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?(\.[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?)*$`)

func (k *checker) directories() error {
	for _, d := range []struct{ field, path string }{
		{"data_dir", k.doc.DataDir}, {"run_dir", k.doc.RunDir}, {"bpf_dir", k.doc.BPFDir}, {"admin_socket", k.config.AdminSocket}, {"audit_log.dir", k.config.AuditLog.Dir},
	} {
		if !filepath.IsAbs(d.path) {
			return k.errorf(d.field, "%q is not an absolute path; write one that begins with /", d.path)
		}
	}
	// sun_path of a Unix socket address holds 108 bytes with its final zero.
	if n := len(k.config.AdminSocket); n > 107 {
		return k.errorf("admin_socket", "is %d bytes long; a socket's path has at most 107", n)
	}
	return nil
}

func (k *checker) process() error {
	if f := k.doc.LogFormat; f != "text" && f != "json" {
		return k.errorf("log_format", "%q is not a format; write text or json", f)
	}
	if err := k.between("max_connections", k.doc.MaxConnections, 1, 1_000_000); err != nil {
		return err
	}
	if err := k.between("max_connections_per_source", k.doc.MaxPerSource, 0, k.doc.MaxConnections); err != nil {
		return err
	}
	return k.between("reserved_connections", k.doc.Reserved, 0, k.doc.MaxConnections-1)
}

func (k *checker) between(field string, v, low, high int) error {
	if v < low || v > high {
		return k.errorf(field, "%d is out of range; write a number from %d to %d", v, low, high)
	}
	return nil
}

func (k *checker) throttle() error {
	for _, r := range []struct {
		field string
		rateDoc
	}{{"throttle.per_key", k.doc.Throttle.PerKey}, {"throttle.total", k.doc.Throttle.Total}} {
		if !(r.Rate >= 0 && r.Rate <= 1e9) {
			return k.errorf(r.field+".rate", "%v is out of range; write the number of calls a second, or 0 for no limit", r.Rate)
		}
		if err := k.between(r.field+".burst", r.Burst, 1, 1_000_000_000); err != nil {
			return err
		}
	}
	return nil
}

func (k *checker) durations() error {
	if d := k.doc.Settle; d < 0 || d > 20*time.Second {
		return k.errorf("settle", "%v is out of range; write a duration from 0s to 20s", d)
	}
	k.config.Settings.Settle, k.config.Settings.HidePSKs = k.doc.Settle, k.doc.HidePSKs
	if d := k.doc.AuditInterval; d < 100*time.Millisecond || d > time.Hour {
		return k.errorf("audit_interval", "%v is out of range; write a duration from 100ms to 1h", d)
	}
	if d := k.doc.FullAuditInterval; d < 100*time.Millisecond || d > 24*time.Hour {
		return k.errorf("full_audit_interval", "%v is out of range; write a duration from 100ms to 24h", d)
	}
	return nil
}

func (k *checker) regions() error {
	if len(k.doc.Regions) == 0 {
		return k.errorf("regions", "is empty; the service needs at least one region with a zone")
	}
	seen := map[string]string{} // id → field that has it
	name := func(field, id string) error {
		switch other, twice := seen[id]; {
		case id == "":
			return k.errorf(field, "is missing; write an id, for example cn-hangzhou")
		case strings.ContainsFunc(id, func(r rune) bool { return !strings.ContainsRune("abcdefghijklmnopqrstuvwxyz0123456789-", r) }):
			return k.errorf(field, "%q is not an id; write lower-case letters, digits and hyphens", id)
		case twice:
			return k.errorf(field, "%q stands already at %s; ids of regions and zones are unique", id, other)
		}
		seen[id] = field
		return nil
	}
	for i, r := range k.doc.Regions {
		field := fmt.Sprintf("regions[%d]", i)
		if err := name(field+".id", r.ID); err != nil {
			return err
		}
		if len(r.Zones) == 0 {
			return k.errorf(field+".zones", "is empty; a region needs at least one zone, for example %s-a", r.ID)
		}
		region := settings.Region{ID: r.ID, LocalName: or(r.LocalName, r.ID), Area: resource.Area(r.Area)}
		if r.Area != "" && !slices.Contains(resource.Areas, region.Area) {
			return k.errorf(field+".area", "%q is no area that global acceleration knows; write one of %v, or leave it out", r.Area, resource.Areas)
		}
		for j, z := range r.Zones {
			if err := name(fmt.Sprintf("%s.zones[%d]", field, j), z.ID); err != nil {
				return err
			}
			region.Zones = append(region.Zones, settings.Zone{ID: z.ID, LocalName: or(z.LocalName, z.ID)})
		}
		k.config.Settings.Regions = append(k.config.Settings.Regions, region)
	}
	return nil
}

func or(s, other string) string {
	if s == "" {
		return other
	}
	return s
}

func (k *checker) quotas() (err error) {
	s := &k.config.Settings
	if s.Quotas, err = k.quotasOver(state.DefaultQuotas(), "quotas", k.doc.Quotas); err != nil {
		return err
	}
	s.Accounts = make(map[string]settings.Quotas, len(k.doc.Accounts))
	for id, a := range k.doc.Accounts {
		if s.Accounts[id], err = k.quotasOver(s.Quotas, "accounts."+id+".quotas", a.Quotas); err != nil {
			return err
		}
	}
	return nil
}

// quotasOver returns base with the quotas that stand at a path put over it.
func (k *checker) quotasOver(base settings.Quotas, path string, given map[string]int) (settings.Quotas, error) {
	over := maps.Clone(base)
	for _, name := range slices.Sorted(maps.Keys(given)) {
		at := path + "." + name
		if _, ok := base[name]; !ok {
			return nil, k.errorf(at, "unknown field; %s", suggest(name, slices.Collect(maps.Keys(base))))
		}
		if err := k.between(at, given[name], 0, 10_000_000); err != nil {
			return nil, err
		}
		over[name] = given[name]
	}
	return over, nil
}

// minimum is a timeout's field, its value, and the least that its RFC allows.
type minimum struct {
	field  string
	value  time.Duration
	least  time.Duration
	source string
}

func (k *checker) timeouts() error {
	t := k.doc.NAT.Timeouts
	for _, m := range []minimum{
		{"udp", t.UDP, 2 * time.Minute, "RFC 4787 REQ-5"},
		{"tcp_established", t.TCPEstablished, 2*time.Hour + 4*time.Minute, "RFC 5382 REQ-5"},
		{"tcp_transitory", t.TCPTransitory, 4 * time.Minute, "RFC 5382 REQ-5"},
		{"icmp", t.ICMP, time.Minute, "RFC 5508 REQ-2"},
		{"tcp_reset", t.TCPReset, time.Second, "the kernel's resolution"},
	} {
		field := "nat.timeouts." + m.field
		const most = 30 * 24 * time.Hour
		switch {
		case m.value < m.least:
			return k.errorf(field, "%v is too short; %s asks for at least %v", m.value, m.source, m.least)
		case m.value > most:
			return k.errorf(field, "%v is too long; write at most %v", m.value, most)
		case m.value%time.Second != 0:
			return k.errorf(field, "%v is not a whole number of seconds; write for example %v", m.value, m.value.Round(time.Second))
		}
	}
	k.config.Settings.Timeouts = dataplane.Timeouts(t)
	return nil
}

func (k *checker) nat() error {
	switch r := dataplane.Refusal(k.doc.NAT.Refuse); r {
	case dataplane.RefuseDrop, dataplane.RefuseReject:
		k.config.Settings.Refusal = r
	default:
		return k.errorf("nat.refuse", "%q is not a way to refuse; write drop or reject", r)
	}
	if s := k.doc.NAT.Shortcut; s != "on" && s != "off" {
		return k.errorf("nat.shortcut", "%q is neither; write on or off", s)
	}
	k.config.Settings.Shortcut = k.doc.NAT.Shortcut == "on"
	if s := k.doc.NAT.SourceCheck; s != "strict" && s != "off" {
		return k.errorf("nat.source_check", "%q is neither; write strict or off", s)
	}
	k.config.Settings.SourceCheck = k.doc.NAT.SourceCheck == "strict"
	if err := k.between("nat.host_share", k.doc.NAT.HostShare, 1, 100); err != nil {
		return err
	}
	k.config.Settings.HostShare = k.doc.NAT.HostShare
	// What the cloud's enhanced NAT gateways can be raised to.
	const mostByUse, fastestByUse = 2_000_000, 100_000
	if err := k.between("nat.pay_by_use.connections", k.doc.NAT.ByUse.Connections, 1, mostByUse); err != nil {
		return err
	}
	if err := k.between("nat.pay_by_use.new_per_second", k.doc.NAT.ByUse.NewPerSecond, 1, fastestByUse); err != nil {
		return err
	}
	k.config.Settings.ByUse = dataplane.Limits(k.doc.NAT.ByUse)
	for _, b := range []struct {
		field string
		value int
	}{
		{"per_entry", k.doc.NAT.Bounds.PerEntry}, {"per_elastic_ip", k.doc.NAT.Bounds.PerElasticIP}, {"per_host", k.doc.NAT.Bounds.PerHost},
	} {
		if err := k.between("nat.bounds."+b.field, b.value, 0, 1<<26); err != nil {
			return err
		}
	}
	k.config.Settings.Bounds = dataplane.Bounds(k.doc.NAT.Bounds)
	// More than dataplane.MostAddresses means as many: earlier versions had one more place
	// for each gateway that there can be now.
	const fewestAddresses, mostAddresses = 255, 16383
	if err := k.between("nat.addresses", k.doc.NAT.Addresses, fewestAddresses, mostAddresses); err != nil {
		return err
	}
	const fewest, most = 1 << 10, 1 << 26 // most: a BPF hash map has two elements for each
	if s := k.doc.NAT.Sessions; s != 0 && (s < fewest || s > most) {
		return k.errorf("nat.sessions", "%d is out of range; write a number from %d to %d, or 0 for as many as the kernel tracks connections", s, fewest, most)
	}
	return nil
}

func (k *checker) bandwidth() error {
	b := k.doc.Bandwidth
	if b.Limits != "on" && b.Limits != "off" {
		return k.errorf("bandwidth.limits", "%q is neither; write on or off", b.Limits)
	}
	const fastest = 5000 // that an elastic IP can have
	if err := k.between("bandwidth.inbound_least", b.InboundLeast, 1, fastest); err != nil {
		return err
	}
	if err := k.allowed("bandwidth.nat_packages", b.NATPackages); err != nil {
		return err
	}
	k.config.Settings.Bandwidth = settings.Bandwidth{Held: b.Limits == "on", InboundLeast: b.InboundLeast, NATPackages: b.NATPackages}
	return nil
}

// allowed refuses a list of accounts that may do something if one stands there twice, or none.
func (k *checker) allowed(field string, accounts []string) error {
	for i, account := range accounts {
		if at := fmt.Sprintf("%s[%d]", field, i); account == "" {
			return k.errorf(at, "is empty; write the id of an account, or all")
		} else if slices.Contains(accounts[:i], account) {
			return k.errorf(at, "%q stands there twice", account)
		}
	}
	return nil
}

func (k *checker) prices() error {
	for i, p := range k.doc.Prices.VPNGateways {
		at := fmt.Sprintf("prices.vpn_gateways[%d]", i)
		if err := k.between(at+".bandwidth", p.Bandwidth, 1, 1000); err != nil {
			return err
		}
		if _, twice := k.config.Settings.Prices[p.Bandwidth]; twice {
			return k.errorf(at+".bandwidth", "%d stands there twice", p.Bandwidth)
		}
		for _, x := range []struct {
			name  string
			price float64
		}{{"month", p.Month}, {"hour", p.Hour}, {"traffic", p.Traffic}} {
			if !(x.price >= 0 && x.price <= 1e9) {
				return k.errorf(at+"."+x.name, "%v is out of range; write a number from 0 to 1e9", x.price)
			}
		}
		if k.config.Settings.Prices == nil {
			k.config.Settings.Prices = map[int]settings.VPNGatewayPrice{}
		}
		k.config.Settings.Prices[p.Bandwidth] = settings.VPNGatewayPrice{Month: p.Month, Hour: p.Hour, Traffic: p.Traffic}
	}
	return nil
}

func (k *checker) routerInterfaces() error {
	k.config.Settings.RouterInterfaces = k.doc.RouterInterfaces.Accounts
	return k.allowed("router_interfaces.accounts", k.doc.RouterInterfaces.Accounts)
}

func (k *checker) metrics() error {
	m := k.doc.Metrics
	if m.Listen != "" {
		if err := k.address("metrics.listen", m.Listen, 8681); err != nil {
			return err
		}
		ofAPI := func(l Listener) bool { return l.Listen == m.Listen }
		if (m.Listen == k.doc.Listen || slices.ContainsFunc(k.doc.Listeners, ofAPI)) && !strings.HasSuffix(m.Listen, ":0") {
			return k.errorf("metrics.listen", "%q is the API's address already; write another port", m.Listen)
		}
	}
	const least, most = time.Hour, 366 * 24 * time.Hour
	if m.Keep < least || m.Keep > most {
		return k.errorf("metrics.keep", "%v is out of range; write a duration from 1h to 8784h, which is 366 days", m.Keep)
	}
	return k.between("metrics.top_addresses", m.TopAddresses, 0, 1000)
}

func (k *checker) auditLog() error {
	const day = 24 * time.Hour
	a := k.doc.AuditLog
	if a.Events != AuditAll && a.Events != AuditWrites && a.Events != AuditOff {
		return k.errorf("audit_log.events", "%q says nothing; write all, writes or off", a.Events)
	}
	if err := k.between("audit_log.max_size", a.MaxSize, 1, 10_000); err != nil {
		return err
	}
	if err := k.between("audit_log.files", a.Files, 1, 10_000); err != nil {
		return err
	}
	if a.Keep < day || a.Keep > 3660*day || a.Keep%day != 0 {
		return k.errorf("audit_log.keep", "%v is out of range; write whole days in hours, from 24h to 87840h, which is ten years", a.Keep)
	}
	return nil
}

// isDevice says whether a name can be that of a network link.
func isDevice(name string) bool {
	return name != "" && len(name) <= 15 && name != "." && name != ".." &&
		!strings.ContainsFunc(name, func(r rune) bool { return r <= ' ' || r >= 0x7f || r == '/' || r == ':' })
}

func (k *checker) device(field, name string) error {
	if name == "" {
		return k.errorf(field, "is missing; write the name of a network device")
	}
	if !isDevice(name) {
		return k.errorf(field, "%q is not a device name; write 1 to 15 characters without blanks, / and :", name)
	}
	return nil
}

func (k *checker) mtu(field string, mtu int) error {
	if mtu != 0 && (mtu < 576 || mtu > 65535) {
		return k.errorf(field, "%d is out of range; write a number from 576 to 65535, or leave it out for the kernel's choice", mtu)
	}
	return nil
}

// devices makes sure that a device that is handed over is handed over once,
// and is nobody's parent: once moved, it is gone for everyone else. A line's device is its
// own: what is held at it would hold for others, and its VLANs are the border routers'.
func (k *checker) devices() error {
	type use struct {
		field, namespace, device string
		exclusive                bool
	}
	var uses []use
	for i, p := range k.doc.Public {
		uses = append(uses, use{fmt.Sprintf("public[%d].device", i), p.Namespace, p.Device, p.Mode == string(dataplane.UplinkDevice)})
	}
	for i, v := range k.doc.VSwitches {
		if v.Device != "" {
			uses = append(uses, use{fmt.Sprintf("vswitches[%d].device", i), "", v.Device, v.Mode == string(dataplane.AttachDevice)})
		}
	}
	for i, a := range k.doc.AccessPoints {
		for j, p := range a.Ports {
			uses = append(uses, use{fmt.Sprintf("access_points[%d].ports[%d].device", i, j), "", p.Device, true})
		}
	}
	for i, c := range k.doc.Classic {
		uses = append(uses, use{fmt.Sprintf("classic[%d].device", i), c.Namespace, c.Device, false})
	}
	for i, u := range uses {
		j := slices.IndexFunc(uses[:i], func(o use) bool {
			return o.device == u.device && o.namespace == u.namespace && (o.exclusive || u.exclusive)
		})
		if j >= 0 {
			return k.errorf(u.field, "%s is used by %s already; a device in mode device serves one network alone, and a port's device one line", u.device, uses[j].field)
		}
	}
	return nil
}
