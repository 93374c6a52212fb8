package engine

import (
	"strconv"
	"time"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

func forwarding(on bool) netns.Sysctl {
	s := netns.Sysctl{Path: "ipv4/ip_forward", Value: "0"}
	if on {
		s.Value = "1"
	}
	return s
}

// earlySysctls are those that must be in place before there are links: a new
// link takes over conf/default.
func earlySysctls() []netns.Sysctl {
	var out []netns.Sysctl
	for _, dev := range []string{"all", "default"} {
		conf := func(name, value string) {
			out = append(out, netns.Sysctl{Path: "ipv4/conf/" + dev + "/" + name, Value: value})
		}
		conf("rp_filter", "0") // replies leave the way their connection came
		conf("accept_redirects", "0")
		conf("send_redirects", "0")
		conf("accept_source_route", "0")
		conf("proxy_arp", "0")
		conf("route_localnet", "0")
		// An address is answered for on its own link, and only that link's
		// addresses are shown to neighbours on it: elastic IPs stay on the
		// uplink, VSwitch gateways on their VSwitch.
		conf("arp_ignore", "1")
		conf("arp_announce", "2")
		conf("arp_filter", "0")
		// A gateway address that is changed must not take its successor along.
		conf("promote_secondaries", "1")
		out = append(out, netns.Sysctl{Path: "ipv6/conf/" + dev + "/disable_ipv6", Value: "1", Optional: true})
	}
	return append(out,
		// An ICMP error goes back the way that the packet came: its mark says so.
		netns.Sysctl{Path: "ipv4/fwmark_reflect", Value: "1"},
		// Which of several next hops a packet takes its addresses, protocol and ports say, not
		// its addresses alone: two machines can use all of them, and a connection keeps to one.
		// Fragments have been put together before. A kernel without multipath has no such
		// routes.
		netns.Sysctl{Path: "ipv4/fib_multipath_hash_policy", Value: "1", Optional: true},
		// Fragments wait in memory that all hosts of the network share, and strangers: with
		// the kernel's 4 MiB and 30 s, seventy fragments a second that are never completed
		// keep everybody else's from being put together. Those of a packet come together.
		netns.Sysctl{Path: "ipv4/ipfrag_time", Value: "3"},
		netns.Sysctl{Path: "ipv4/ipfrag_high_thresh", Value: "67108864"})
}

// lateSysctls are those that can be set when the nftables table and the links
// are there: only then a kernel with modules has loaded conntrack and the
// bridge filter. Forwarding is last.
func lateSysctls(n *dataplane.Network, links []string, by tracking) []netns.Sysctl {
	out := conntrackSysctls(&n.Timeouts, by)
	for _, name := range []string{"iptables", "ip6tables", "arptables"} {
		// Frames between hosts of a VSwitch are none of the gateway's business.
		out = append(out, netns.Sysctl{Path: "bridge/bridge-nf-call-" + name, Value: "0", Optional: true})
	}
	for _, link := range links {
		for _, name := range []string{"send_redirects", "proxy_arp"} {
			out = append(out, netns.Sysctl{Path: "ipv4/conf/" + link + "/" + name, Value: "0"})
		}
		// What no route leads back to the classic network is dropped by the kernel itself, too:
		// a second barrier, which needs no nftables.
		filter := netns.Sysctl{Path: "ipv4/conf/" + link + "/rp_filter", Value: "0"}
		if link == dataplane.ClassicName {
			filter.Value = "1"
		}
		out = append(out, filter)
	}
	for _, link := range links {
		// A neighbour that does not answer takes a place in the table of the whole machine
		// until it is given up: asked for three times within 0.9 s, not 3 s. One that has
		// answered before has as long as it always had. (300 ms are a whole number of jiffies.)
		out = append(out, netns.Sysctl{Path: "ipv4/neigh/" + link + "/retrans_time_ms", Value: "300"},
			netns.Sysctl{Path: "ipv4/neigh/" + link + "/ucast_solicit", Value: "10"})
	}
	out = append(out, forwarding(true))
	for _, link := range links {
		out = append(out, netns.Sysctl{Path: "ipv4/conf/" + link + "/forwarding", Value: "1"})
	}
	return out
}

// tracking says what conntrack sees, and who looks whether packets are in their
// connection's window.
type tracking struct {
	// unseen is for how long the packets of an open connection may go past
	// conntrack before it sees one again; 0 where it sees every packet.
	unseen time.Duration
	// alone says that conntrack sees every packet, always did, and nobody looks
	// before it.
	alone bool
}

// conntrackSysctls are those of connection tracking. An entry lives longer by what
// conntrack may not see, lest it end before its connection was idle for the
// timeout.
func conntrackSysctls(t *dataplane.Timeouts, by tracking) []netns.Sysctl {
	var out []netns.Sysctl
	set := func(value string, names ...string) {
		for _, name := range names {
			out = append(out, netns.Sysctl{Path: "netfilter/nf_conntrack_" + name, Value: value})
		}
	}
	seconds := func(d time.Duration) string { return strconv.FormatInt(int64((d+time.Second-1)/time.Second), 10) }
	set(seconds(t.UDP+by.unseen), "udp_timeout", "udp_timeout_stream")
	// Conntrack takes an open connection for half dead when data was not
	// acknowledged, packets were repeated, or a window is closed, and forgets it
	// sooner. It need not be (RFC 5382 REQ-5), and conntrack need not have seen the
	// acknowledgement.
	set(seconds(t.TCPEstablished+by.unseen), "tcp_timeout_established", "tcp_timeout_unacknowledged", "tcp_timeout_max_retrans")
	set(seconds(t.TCPTransitory), "tcp_timeout_syn_sent", "tcp_timeout_syn_recv", "tcp_timeout_fin_wait",
		"tcp_timeout_close_wait", "tcp_timeout_last_ack", "tcp_timeout_time_wait")
	set(seconds(t.TCPReset), "tcp_timeout_close")
	set(seconds(t.ICMP), "icmp_timeout")
	// Conntrack may see only some of a connection's packets, and must not call
	// the others invalid. What would end one was looked at by package session.
	liberal := "1"
	if by.alone {
		liberal = "0"
	}
	set(liberal, "tcp_be_liberal", "tcp_ignore_invalid_rst")
	// By default (2) the kernel tells of the end of those connections only that
	// began while somebody listened, which a restart is not to depend on.
	set("1", "events")
	return out
}
