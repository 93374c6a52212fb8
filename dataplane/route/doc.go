// Package route holds the routes and routing rules of a network's namespace.
//
// The rules, in the order of their priority:
//
//	0     lookup local                              the kernel's own
//	510   from VPN-GATEWAY iif lo lookup 200        the VPN gateway's IKE and ESP leave by the public side,
//	511   from VPN-GATEWAY iif lo lookup 400        or not at all
//	512   from 240.0.0.0/16 lookup 200              likewise those of charons with a namespace of their own
//	513   from 240.0.0.0/16 lookup 400
//	514   to 240.0.0.0/16 lookup main               and what they are sent
//	515   to 240.0.0.0/16 lookup 400
//	1000  lookup main                               the VSwitches, and clients of SSL-VPN servers
//	1005  fwmark 0x8 iif lo lookup 200              the gateway's ICMP errors about what came in by the public side
//	1010  fwmark 0x1 lookup 200                     replies leave the way the connection came in
//	1095  iif TUNNEL lookup 300                     out of one VPN tunnel, an SSL-VPN client's among them, into another
//	1100… from SOURCE to DESTINATION lookup TABLE   policy routes of the VPN gateway, the most specific first
//	2200  iif lo lookup 310                         the gateway's ICMP errors to what is behind tunnels
//	2210  iif VSWITCH lookup TABLE suppress_prefixlength 0
//	2211  iif VSWITCH fwmark 0x2 lookup 200         for a VSwitch that is bound to another route table
//	2212  iif VSWITCH lookup TABLE                  than the VPC's own: what 2220 to 2240 are to others,
//	2213  iif VSWITCH goto 2250                     which are passed over
//	2220  lookup 100 suppress_prefixlength 0        the VPC's own route table, but for its default route
//	2230  fwmark 0x2 lookup 200                     hosts with an elastic IP of their own need no default route
//	2235  iif lo lookup TABLE                       2200, where a tunnel leads everywhere
//	2240  lookup 100                                the VPC's default route
//	2250  iif lo lookup 200                         what else the gateway itself sends
//	32766 lookup main, 32767 lookup default         the kernel's own; nothing more is found there
//
// The marks are put on packets by package nft. Table main has the kernel's
// routes to the VSwitches and SSL-VPN servers' pools, and must not have a default route, since it is asked
// early. Table VPCTable has the entries of the VPC's own route table, PublicTable the
// way to the public side; each other route table of the VPC has one numbered by a hash
// of its id. The public prefix is in these, too, where their default route leads to the
// public side; it never stands above a route of the VPC's own for that prefix.
//
// Destination routes of a VPN gateway are in TunnelTable; those that are published
// in VPCTable, too, and those that lie in an entry that leads to the gateway in that
// entry's table. Each connection has a table of its own with a default route into its
// tunnel, for policy routes. OwnTable has the destinations of both.
//
// # What is meant for a tunnel
//
// Links of tunnels go: charon dies, somebody deletes one, a change replaces it. The
// kernel removes a link's routes with it, and what they were for would leave by the
// next best: a shorter prefix, a later rule, the NAT gateway. So behind each route
// into a tunnel stands an unreachable one to the same destination with a higher
// metric (HoldMetric), in the same table. It needs no link, is made before the route
// and removed after it, and stays whatever becomes of the daemon. The VPC's default
// route alone has none: nothing comes after it, and it must not hide rule 2230.
//
// A destination that a peer has told of (BGP) is held in the same way when the session
// is lost, until the peer is back and does not tell of it, or has withdrawn it.
//
// A rule that leads to an unreachable route ends the search, and
// suppress_prefixlength does not look at such routes. An entry whose next hop
// does not exist is therefore made unreachable, except a default route, which
// is left out: what nothing else routes is unreachable anyway.
//
// # Whose routes these are
//
// Routes and rules that we add carry protocol number Protocol. Those that do
// and are not wanted are removed. Of others, only what stands in the way goes:
// a default route in table main, a route with the key of ours in our tables or one
// that comes before a route that holds, a rule with one of our priorities.
//
// What Routing returns is in the form in which the kernel gives it back (prefixes
// without host bits, no selector for 0.0.0.0/0, one route for a destination and
// metric, hops in order), so that what is applied compares as equal.
package route
