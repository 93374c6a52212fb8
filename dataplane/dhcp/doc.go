// Package dhcp answers DHCP (RFC 2131) at the links of VSwitches: each host is given the
// address that the Network has for its Ethernet address, with the VSwitch's gateway, and the
// VPC's DNS servers and domain name. Others are not answered, as somebody else may (RFC 2131
// section 4.3.2).
//
// Nothing is remembered: what a host has follows from the Network alone, so that a restart,
// or another machine that takes over, gives the same answers. Messages are read and sent by
// packet sockets, past the namespace's netfilter rules, which let nobody in.
package dhcp
