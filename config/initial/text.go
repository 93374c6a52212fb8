package initial

import (
	"fmt"
	"net"
	"regexp"
	"strconv"
	"strings"

	"sluice/config"
	"sluice/dataplane"
)

// Text returns the configuration file. Whether it is right, config.Parse tells.
func (a Answers) Text() string {
	var b strings.Builder
	b.WriteString(`# Configuration of sluiced, written by "sluicectl init". It is read when sluiced starts.
# What is left out has its default; sluiced.yaml(5) or docs/configuration.md has all
# fields. "sluiced --check" checks this file, and changes nothing.

# Host and port of the signed API.
`)
	fmt.Fprintf(&b, "listen: %s\n", scalar(a.Listen))
	if !Loopback(a.Listen) {
		b.WriteString(`
# Others can reach it, and signatures keep requests from being forged, not from being
# read: it speaks HTTPS alone, with a certificate of its own authority, which clients are
# told once to trust (tls/ca.pem in data_dir). For one that they trust already write
# tls: {certificate: FILE, key: FILE}.
tls: auto
`)
	}
	b.WriteString(`
# Names that clients call the place of their resources by. They separate resources,
# not machines. Don't rename one in use.
regions:`)
	if len(a.Regions) == 0 {
		b.WriteString(" []")
	}
	b.WriteString("\n")
	for _, r := range a.Regions {
		fmt.Fprintf(&b, "  - id: %s\n    zones: %s\n", scalar(r.ID), list(r.Zones))
	}
	b.WriteString(`
# Where elastic IPs and the addresses of VPN gateways come from.
public:
`)
	for _, p := range a.Public {
		p.text(&b)
	}
	return b.String()
}

func (p Public) text(b *strings.Builder) {
	fmt.Fprintf(b, "  - name: %s # elastic IPs remember it: don't rename it\n", scalar(p.Name))
	why := map[string]string{
		string(dataplane.UplinkBridge):  "each VPC is a port of this bridge",
		string(dataplane.UplinkMacvlan): "each VPC has an Ethernet address of its own on this device; the machine itself is not reached by it",
		string(dataplane.UplinkDevice):  "this device is moved into the one VPC that it serves",
	}[p.Mode]
	fmt.Fprintf(b, "    # %s\n    mode: %s\n    device: %s\n", why, scalar(p.Mode), scalar(p.Device))
	if p.Create {
		b.WriteString("    create: true # sluiced makes the bridge when it is absent\n")
	}
	if p.Address != "" {
		fmt.Fprintf(b, "    address: %s # of the machine itself, on that bridge\n", scalar(p.Address))
	}
	fmt.Fprintf(b, "    # the network on the link, and the next hop to everything else\n    prefix: %s\n", scalar(p.Prefix))
	if p.Gateway != "" {
		fmt.Fprintf(b, "    gateway: %s\n", scalar(p.Gateway))
	}
	fmt.Fprintf(b, "    # addresses to give out, which nobody else uses\n    pool: %s\n", list(p.Pool))
	if len(p.Regions) > 0 {
		fmt.Fprintf(b, "    regions: %s\n", list(p.Regions))
	}
}

// Loopback says whether only this machine reaches a listener.
func Loopback(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	if err != nil {
		return false
	}
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

// plain is what YAML takes for a text without quotes.
var plain = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9./:_-]*$`)

func scalar(s string) string {
	if _, err := strconv.ParseFloat(s, 64); err == nil || !plain.MatchString(s) || strings.HasSuffix(s, ":") || isWord(s) {
		return strconv.Quote(s)
	}
	return s
}

// isWord says whether YAML takes a text for something else than itself.
func isWord(s string) bool {
	switch strings.ToLower(s) {
	case "true", "false", "yes", "no", "on", "off", "y", "n", "null":
		return true
	}
	return false
}

func list(texts []string) string {
	var out []string
	for _, t := range texts {
		out = append(out, scalar(t))
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// file is the name in errors about answers that stand in no file yet.
const file = config.DefaultPath
