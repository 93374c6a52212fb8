package ipsec

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"maps"
	"net/netip"
	"strings"
	"time"

	"sluice/dataplane"
)

// section is a part of a VICI message.
type section = map[string]any

// groups are strongSwan's words for Diffie-Hellman groups, by IANA number: in a
// proposal, and in the answer to get-algorithms.
var groups = map[dataplane.DHGroup][2]string{
	1:  {"modp768", "MODP_768"},
	2:  {"modp1024", "MODP_1024"},
	5:  {"modp1536", "MODP_1536"},
	14: {"modp2048", "MODP_2048"},
	24: {"modp2048s256", "MODP_2048_256"},
}

// proposal returns a proposal in strongSwan's notation.
func proposal(p dataplane.Proposal) string {
	s := fmt.Sprintf("%s-%s", p.Encryption, p.Integrity)
	if g, ok := groups[p.Group]; ok {
		s += "-" + g[0]
	}
	return s
}

const (
	dpdDelay   = 5 * time.Second
	dpdTimeout = 35 * time.Second // IKEv1; looked at every dpdDelay
)

// waits are how long charon waits for its peers, and we for charon. They are others in tests only.
type waits struct {
	retransmit float64       // as retransmitTimeout, in seconds
	tries      int           // as retransmitTries
	dpd        time.Duration // as dpdDelay; dpdTimeout grows with it
	partial    time.Duration // as partialTime
	answer     time.Duration // as answerTimeout
}

var usualWaits = waits{retransmitTimeout, retransmitTries, dpdDelay, partialTime, answerTimeout}

// children returns the CHILD_SAs of a connection that are asked for first, by name: with
// IKEv2 one for all subnets (RFC 7296, section 2.9; pairs.go), or, where not each local one
// may talk to each remote one, several; one for each pair with IKEv1, which knows only one
// selector a side (RFC 2409, section 5.5).
func children(c *dataplane.VPNConnection) map[string][2][]string {
	if c.IKE.Version == 1 {
		return bySubnet(c)
	}
	all := map[string][2][]string{}
	for i, s := range c.Policies.Selectors() {
		all[jointName(c, i)] = [2][]string{texts(s.Locals), texts(s.Remotes)}
	}
	return all
}

// jointName is the name of the CHILD_SA for a connection's selectors, counted from 0.
func jointName(c *dataplane.VPNConnection, i int) string {
	if i == 0 {
		return c.ID
	}
	return fmt.Sprintf("%s-all%d", c.ID, i+1)
}

func texts(prefixes []netip.Prefix) []string {
	out := make([]string, len(prefixes))
	for i, p := range prefixes {
		out[i] = p.String()
	}
	return out
}

// connection returns the message for load-conn, without the key.
//
// Negotiation is begun by initiate, not by the configuration: loading it again is
// then without effect on what is established.
//
// What must be so is written down even where it is strongSwan's default: defaults
// change (settings).
func connection(local netip.Addr, path dataplane.VPNPath, w waits, n numbers, c *dataplane.VPNConnection) section {
	conn := section{
		"version":       fmt.Sprint(c.IKE.Version),
		"local_addrs":   []string{local.String()},
		"local_port":    "500",
		"remote_addrs":  []string{c.Remote.String()},
		"remote_port":   "500",
		"proposals":     []string{proposal(c.IKE.Proposal)},
		"aggressive":    yes(c.IKE.Version == 1 && c.IKE.Aggressive),
		"keyingtries":   "1", // an attempt ends, and maintain begins the next one
		"unique":        "replace",
		"mobike":        "no", // both addresses are given
		"fragmentation": "yes",
		"childless":     "allow",
		"dscp":          "000000",
		"ppk_required":  "no",
		"send_certreq":  "no",
		"send_cert":     "never",
		"reauth_time":   "0s",
		"local":         section{"auth": "psk", "id": c.LocalID},
		"remote":        section{"auth": "psk", "id": c.RemoteID},
		// strongSwan always says what it needs to find a NAT, and encapsulates where
		// there is one; neither can be switched off. What is switched here is
		// encapsulation without a NAT.
		"encap": yes(path == dataplane.VPNByLibipsec),
	}
	rekey, margin, jitter := limits(c.IKE.Lifetime.Duration())
	conn["rekey_time"], conn["over_time"], conn["rand_time"] = rekey, margin, jitter
	if c.DPD {
		conn["dpd_delay"], conn["dpd_timeout"] = seconds(w.dpd), seconds(dpdTimeout*(w.dpd/time.Second)/(dpdDelay/time.Second))
	} else {
		conn["dpd_delay"] = "0s"
	}
	if c.IKE.Version != 1 {
		// Charon takes the IKE_SA of one connection for that of another (reuse_ikesa,
		// unique) if their configurations are equal. They are not.
		maps.Copy(conn, n.interfaces())
	}
	conn["children"] = childSections(path, n, c)
	return section{c.ID: conn}
}

// interfaces returns the settings that name the XFRM interface.
func (n numbers) interfaces() section {
	return section{"if_id_in": fmt.Sprint(n.own()), "if_id_out": fmt.Sprint(n.own())}
}

// childSections returns what charon is told of a connection's CHILD_SAs, by name.
func childSections(path dataplane.VPNPath, n numbers, c *dataplane.VPNConnection) section {
	kids := section{}
	for name, ts := range configured(c, n.split) {
		kid := section{
			"local_ts":         ts[0],
			"remote_ts":        ts[1],
			"esp_proposals":    []string{proposal(c.ESP.Proposal)},
			"sha256_96":        "no",
			"mode":             "tunnel",
			"policies":         "yes",
			"policies_fwd_out": "no",
			"priority":         "0", // from the selectors
			"hostaccess":       "no",
			"ipcomp":           "no",
			"tfc_padding":      "0",
			"replay_window":    "32",
			"hw_offload":       "no",
			"copy_df":          "yes",
			"copy_ecn":         "yes",
			"copy_dscp":        "out",
			"inactivity":       "0s",
			"reqid":            fmt.Sprint(n.children[name]),
			"dpd_action":       "clear",
			"start_action":     "none",
			"close_action":     "none",
		}
		kid["rekey_time"], _, kid["rand_time"] = limits(c.ESP.Lifetime.Duration())
		kid["life_time"] = seconds(c.ESP.Lifetime.Duration())
		for _, of := range []string{"bytes", "packets"} {
			kid["rekey_"+of], kid["life_"+of], kid["rand_"+of] = "0", "0", "0"
		}
		if most := c.ESP.Traffic << 10; most > 0 {
			kid["rekey_bytes"], kid["life_bytes"], kid["rand_bytes"] = fmt.Sprint(most/10*9), fmt.Sprint(most), fmt.Sprint(most/20)
		}
		// What the peer closes, or does not answer any more, is begun again by us, not
		// by charon: it would answer a peer that only closes what it has twice by making
		// it anew, and would go on beside a peer that has begun itself.
		if !starts(path, c) && !passive(c, n.split, name) {
			kid["start_action"], kid["close_action"], kid["dpd_action"] = "trap", "trap", "trap"
		}
		if path == dataplane.VPNByXFRM {
			maps.Copy(kid, n.interfaces())
		}
		kids[name] = kid
	}
	return kids
}

// siblings returns the CHILD_SAs of the connections with which c may have an IKE_SA
// in common (see share), by name. Where the peer begins, charon takes the first
// connection that fits the peers, and looks for the subnets in that one only; so
// each has those of all. They are begun by their own connection only.
func siblings(path dataplane.VPNPath, numbers func(*dataplane.VPNConnection) numbers, c *dataplane.VPNConnection, connections []dataplane.VPNConnection) section {
	all := section{}
	for i := range connections {
		other := &connections[i]
		if other.ID == c.ID || !share(c, other) {
			continue
		}
		for name, kid := range childSections(path, numbers(other), other) {
			kid := kid.(section)
			kid["start_action"], kid["close_action"], kid["dpd_action"] = "none", "none", "clear"
			all[name] = kid
		}
	}
	return all
}

// owns reports whether a CHILD_SA of that name is one of a connection's.
func owns(connection, child string) bool {
	rest, ok := strings.CutPrefix(child, connection)
	return ok && (rest == "" || rest[0] == '-')
}

// share reports whether charon may have the CHILD_SAs of two connections in one
// IKE_SA. With IKEv1 there is one for a pair of peers: a second one would take the
// place of the first. With IKEv2 it depends on what the peer does, if that begins.
func share(a, b *dataplane.VPNConnection) bool {
	return a.ID == b.ID || a.IKE.Version == b.IKE.Version && samePeer(a, b)
}

// samePeer reports whether two connections are between the same two peers.
func samePeer(a, b *dataplane.VPNConnection) bool {
	return a.Remote == b.Remote && dataplane.SameVPNIdentity(a.LocalID, b.LocalID) && dataplane.SameVPNIdentity(a.RemoteID, b.RemoteID)
}

// starts reports whether a connection is negotiated without traffic.
func starts(path dataplane.VPNPath, c *dataplane.VPNConnection) bool {
	return c.Start || path == dataplane.VPNByLibipsec
}

// limits returns when an SA is rekeyed, so that it is before its lifetime ends:
// between 85 and 90 % of it.
func limits(lifetime time.Duration) (rekey, over, random string) {
	return seconds(lifetime * 9 / 10), seconds(lifetime / 10), seconds(lifetime / 20)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%ds", int64(d/time.Second)) }

func yes(b bool) string {
	if b {
		return "yes"
	}
	return "no"
}

// digest returns what tells one configuration, which has no key in it, from
// another.
func digest(conn section) (string, error) {
	text, err := json.Marshal(conn) // keys in ascending order
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(text)
	return hex.EncodeToString(sum[:16]), nil
}
