// Package egressfilter keeps off the public side what must never be there, whatever
// becomes of the nftables ruleset: private sources, answers of the gateway's
// own stack to packets that are not for it, and anything but IPv4 and ARP.
//
// It is a small BPF program at the egress of a network's uplink, before every
// other filter. It drops
//
//   - IPv4 packets whose source lies in private or shared address space or in
//     the VPC, and is neither in the public prefix nor an elastic IP;
//   - TCP resets, and ICMP port and protocol unreachable messages, that the
//     gateway itself has made. Without its ruleset the stack takes packets for
//     an elastic IP as its own and would end the connections of hosts behind it
//     (RFC 5382, REQ-4). The same packets from hosts pass, and so do the
//     gateway's time exceeded and fragmentation needed messages, and its resets
//     from where it listens itself (SSL-VPN by TCP);
//   - what is neither IPv4 nor ARP, and frames with a VLAN tag.
//
// The program keeps no state; which one is attached is told by its tag, the
// kernel's hash of it, so that a daemon that starts finds out without asking a
// predecessor. The addresses that it knows are constants in it, and only
// exceptions from private space are among them: an elastic IP that comes or
// goes elsewhere leaves the program as it is. A program that must change is
// exchanged as a whole: each packet meets the old one or the new one.
//
// Programs attached by tcx run before all traffic filters and are not looked
// for.
//
// The program is written in BPF assembly: a search among addresses and a few
// comparisons need no compiler.
package egressfilter
