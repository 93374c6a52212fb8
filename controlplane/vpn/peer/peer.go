// Package peer writes what the device at the other end of an IPsec connection
// has to be told: the connection as seen from there, in the form of the
// programs that people run.
//
// It takes a compiled connection and gives text. It knows no resources.
package peer

import (
	"embed"
	"encoding/base64"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"text/template"
	"time"

	"sluice/dataplane"
)

// Formats are the forms that Render writes, in order of their names.
func Formats() []string { return []string{"frr-strongswan", "generic", "libreswan", "strongswan"} }

//go:embed templates
var files embed.FS

var templates = template.Must(template.New("").ParseFS(files, "templates/*.tmpl"))

// Render writes the configuration of c's peer. gateway is the VPN gateway's
// public address. It fails for an unknown format, and for what a program has no
// way to say.
func Render(format string, c dataplane.VPNConnection, gateway netip.Addr) (string, error) {
	if !slices.Contains(Formats(), format) {
		return "", fmt.Errorf("format %q is none of %s", format, strings.Join(Formats(), ", "))
	}
	x := &end{VPNConnection: c, Gateway: gateway}
	if err := x.possible(format); err != nil {
		return "", err
	}
	return x.write(format)
}

// write writes a template.
func (e *end) write(format string) (string, error) {
	var b strings.Builder
	if err := templates.ExecuteTemplate(&b, format+".tmpl", e); err != nil {
		return "", fmt.Errorf("write %s configuration: %w", format, err)
	}
	return b.String(), nil
}

// end is a connection as its peer sees it.
type end struct {
	dataplane.VPNConnection
	Gateway   netip.Addr
	Interface string                       // of the device, to the Internet; empty: not known
	words     map[string]map[string]string // of a device; see deviceWords
}

func (e *end) possible(format string) error {
	switch format {
	case "frr-strongswan":
		if e.BGP == nil {
			return fmt.Errorf("connection %s has no BGP, which frr would be for: use strongswan", e.ID)
		}
	case "libreswan":
		for _, p := range []dataplane.Proposal{e.IKE.Proposal, e.ESP.Proposal} {
			// Group 2 left with 3.30, of 2020 (RFC 8247, section 2.4).
			if p.Encryption == dataplane.DES || p.Group == 1 || p.Group == 2 || p.Group == 24 {
				return fmt.Errorf("libreswan has neither DES nor the groups 1, 2 and 24, which connection %s uses: choose others, such as group14", e.ID)
			}
		}
	}
	return nil
}

// Own and Other are the IKE identities.
func (e *end) Own() string { return e.RemoteID }

// Other is the gateway's identity.
func (e *end) Other() string { return e.LocalID }

// child is one CHILD_SA, with the subnets of its ends.
type child struct {
	Name       string
	Own, Other []netip.Prefix
}

// Children are the CHILD_SAs: with IKEv2 as few as carry the pairs and no other, one for each
// pair with IKEv1. The gateway offers the same; strongSwan would narrow an offer of
// all subnets to the one child that it takes, and the others had no tunnel.
func (e *end) Children() []child {
	var list []child
	for _, s := range e.Policies.Selectors() {
		if e.IKE.Version == 2 {
			list = append(list, child{fmt.Sprintf("net-%d", len(list)+1), s.Remotes, s.Locals})
			continue
		}
		for _, own := range s.Remotes {
			for _, other := range s.Locals {
				list = append(list, child{fmt.Sprintf("net-%d", len(list)+1), []netip.Prefix{own}, []netip.Prefix{other}})
			}
		}
	}
	return list
}

// Conns are the subnets of the connections that libreswan needs, which pairs all of one end
// with all of the other, with names for them.
func (e *end) Conns() []child {
	var list []child
	for i, s := range e.Policies.Selectors() {
		name := e.ID
		if i > 0 {
			name = fmt.Sprintf("%s-%d", e.ID, i+1)
		}
		list = append(list, child{name, s.Remotes, s.Locals})
	}
	return list
}

// Key is the pre-shared key in the form that needs no quoting, and that no
// program takes for hexadecimal digits.
func (e *end) Key() string { return "0s" + base64.StdEncoding.EncodeToString([]byte(e.PSK)) }

// Clear is the pre-shared key as it is typed into a form.
func (e *end) Clear() string { return string(e.PSK) }

// groups are the MODP groups by IANA number, as strongSwan and libreswan call
// them.
var groups = map[dataplane.DHGroup]string{1: "modp768", 2: "modp1024", 5: "modp1536", 14: "modp2048", 24: "modp2048s256"}

// StrongSwan writes a proposal.
func (e *end) StrongSwan(p dataplane.Proposal) string {
	parts := []string{string(p.Encryption), string(p.Integrity)}
	if p.Group != 0 {
		parts = append(parts, groups[p.Group])
	}
	return strings.Join(parts, "-")
}

// Libreswan writes a proposal.
func (e *end) Libreswan(p dataplane.Proposal) string {
	hash := string(p.Integrity)
	if strings.HasPrefix(hash, "sha") && hash != "sha1" {
		hash = "sha2_" + strings.TrimPrefix(hash, "sha")
	}
	text := string(p.Encryption) + "-" + hash
	if p.Group != 0 {
		text += ";" + groups[p.Group]
	}
	return text
}

// mostMargin is how long before the end of an SA libreswan renews it, and up to
// twice that: its default.
const mostMargin = 9 * time.Minute

// Margin is how long before the end of its shortest-lived SA libreswan shall
// renew it, so that one that does not live for long is not renewed all the time.
func (e *end) Margin() time.Duration {
	margin := mostMargin
	for _, lifetime := range []time.Duration{e.IKE.Lifetime.Duration(), e.ESP.Lifetime.Duration()} {
		if lifetime > 0 {
			margin = min(margin, lifetime/10)
		}
	}
	return margin
}

// LibreswanID marks a domain name as one.
func (e *end) LibreswanID(id string) string {
	if _, err := netip.ParseAddr(id); err == nil || strings.HasPrefix(id, "@") {
		return id
	}
	return "@" + id
}

// Bytes are what an ESP key is used for at most.
func (e *end) Bytes() int { return e.ESP.Traffic << 10 }

// List joins subnets.
func (e *end) List(list []netip.Prefix) string {
	var out []string
	for _, p := range list {
		out = append(out, p.String())
	}
	return strings.Join(out, ", ")
}

// PeerIP is this end's address in the tunnel.
func (e *end) PeerIP() netip.Addr {
	first := e.BGP.Tunnel.Masked().Addr().Next()
	if e.BGP.LocalIP == first {
		return first.Next()
	}
	return first
}
