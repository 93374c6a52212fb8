// Package session counts, limits and speeds up what a network sends to the
// public side and receives from it, by the BPF programs of package bpf at the
// network's links.
//
// For each connection that is translated the programs keep a session: a copy of
// what conntrack knows of it. It is made before conntrack's entry where a host
// of the VPC opens the connection, so that one too many is refused at no cost,
// and else with the first packet that conntrack let pass. It holds the path that
// the kernel chose for the connection's packets, once it is established, so that
// those that follow need not ask again (the shortcut). Each packet is counted
// once: by the shortcut, or where it leaves if it took the kernel's path.
//
// # What ends a session
//
// Conntrack alone decides how long a connection lives. Nothing in BPF hears of
// its end, so a Network listens to conntrack's events, and has the program
// sync_sessions remove the sessions of connections that are gone; events that were
// lost, and whatever happened while nobody listened, are made up for by
// comparing both tables. A connection that is closed (TCP, RFC 9293) counts no
// longer as open from the packet on that closes it, though conntrack remembers
// it for minutes.
//
// # What ends a path
//
// A path is void as soon as its generation is not the network's (Renew), which
// is one store to memory; and it ends by itself within Lifetime. Then the next
// packet takes the kernel's path, which refreshes conntrack and the neighbour,
// and from which a path is learned again. Nothing is ever evicted: without a
// session, or without room for one, packets take the kernel's path.
//
// # Where a connection is
//
// The programs note how far either side of a TCP connection has sent and
// acknowledged, and drop a RST or FIN that is elsewhere before conntrack sees it
// (bpf/window.h). Conntrack could not tell: it does not see the packets of the
// shortcut.
//
// # Kernels
//
// Programs are attached by tcx, or by clsact before Linux 6.6; and in the driver
// (native XDP) of those links that are devices which were handed over, and say
// (from Linux 6.3) that they can be redirected to, if the uplink and a VSwitch are
// among them. Maps, programs and
// links are pinned under <dir>/<network>/ and work on while no daemon runs. They
// are adopted by the next one unless it has other programs, which then take the
// place of the old ones in one step.
//
// The package must not know routes, translation rules, or where a Network
// comes from.
package session
