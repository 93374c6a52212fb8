// Package health probes the tunnels of a network by ICMP echo requests, and says
// which have failed.
//
// # Verdicts
//
// Every Interval a request is sent. One that is lost is repeated sooner, so that
// all Retries take one interval, but half a second each at least: a tunnel that dies
// is found within two intervals. A request is lost if it is not answered by the time
// at which it would be repeated, or within Patience if that is shorter.
//
// Retries losses in a row make a check failed, and as many answers in a row, an
// Interval from one to the next, make it good again; whatever is in between
// changes nothing. Before the first verdict, which is the first answer or that many
// losses, a check counts as unchecked.
//
// # Which way a probe takes
//
// It is sent out of the link that is named like its connection, which is the
// tunnel's, whatever the routes say: else the probe of a failed tunnel would be
// answered over the standby's. Where there is no such link the routes decide.
// The answer may come in by any link.
//
// Its source is the check's Source if that is an address of the namespace. It
// usually is not: it is some address of the VPC, which a host may have, so that
// the gateway must neither take it nor would get the answer. Then the probe is
// sent from the gateway's address in the same subnet (the longest, if several
// hold Source), which a VSwitch's route leads to like to Source itself. A peer
// whose selectors or filters let Source pass but not that address makes the check
// fail. If there is no such subnet, no probe can be sent, and each counts as
// lost.
//
// The package must not know what a verdict is good for.
package health
