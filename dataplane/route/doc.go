// Package route holds the routes and routing rules of a network's namespace.
//
// The rules, in the order of their priority:
//
//	0     lookup local                              the kernel's own
//	1000  lookup main                               the VSwitches
//	1010  fwmark 0x1 lookup 200                     replies leave the way the connection came in
//	1095  iif TUNNEL lookup 300                     out of one VPN tunnel into another
//	1100… from SOURCE to DESTINATION lookup TABLE   policy routes of the VPN gateway, the most specific first
//	2020  lookup 100 suppress_prefixlength 0        the VPC's route table, but for its default route
//	2030  fwmark 0x2 lookup 200                     hosts with an elastic IP of their own need no default route
//	2040  lookup 100                                the VPC's default route
//	2050  iif lo lookup 200                         the gateway's own ICMP errors to the outside
//	32766 lookup main, 32767 lookup default         the kernel's own; nothing more is found there
//
// The marks are put on packets by package nft. Table main has the kernel's
// routes to the VSwitches, and must not have a default route, since it is asked
// first. Table VPCTable has the VPC's route entries, PublicTable the way to the
// public side. The public prefix is in VPCTable, too, where the VPC's default
// route leads to the public side; it never stands above an entry of the VPC's
// own for that prefix.
//
// Destination routes of a VPN gateway are in TunnelTable, and those that are
// published in VPCTable, too. Each connection has a table of its own with a
// default route into its tunnel, for policy routes.
//
// A rule that leads to an unreachable route ends the search, and
// suppress_prefixlength does not look at such routes. An entry whose next hop
// does not exist is therefore made unreachable, except a default route, which
// is left out: what nothing else routes is unreachable anyway.
//
// Routes and rules that we add carry protocol number Protocol. Those that do
// and are not wanted are removed. Of others, only what stands in the way goes:
// a default route in table main, a route to the same destination in our
// tables, a rule with one of our priorities.
package route
