// Package shape holds what passes to bandwidths, by shaping: what is too fast waits for a
// moment, and is dropped if there is no room for it. There are two kinds of bandwidth. Both
// lead packets to a queue at an IFB device, from which they go on where they were.
//
// # Tunnels of VPN gateways
//
// Plan holds what passes through the tunnels of each VPN gateway to the gateway's
// bandwidth, each way. For each gateway and direction there is an IFB device in the
// network's namespace, vpn-in for what comes out of the first one's tunnels and vpn-out for
// what goes into them, vpn-in1 and vpn-out1 for the next one's, and so on, with a token
// bucket filter (TBF) as its queue. A filter at the ingress and at the egress of every
// tunnel's link leads all packets there. So all tunnels share one bandwidth, however many
// links they have, and however they are carried: a TUN device or XFRM interfaces.
//
// # Elastic IPs
//
// A Shaper holds dataplane.Bandwidths, at the public device that the networks which have
// them share, in its namespace: there a package with elastic IPs of several networks is one
// thing, and packets have their public addresses, whatever path they took to there. For
// each public device and direction there is an IFB device (dataplane.BandwidthLink) with
// HTB: a class for each bandwidth, in that of the whole where it is a part, and in it a
// class for each elastic IP, so that these take turns of the same size. In each of these
// packets wait in a FIFO, below a token bucket filter whose only work is to split what is
// larger than a few milliseconds (GSO).
//
// Only what is over a limit waits there. The filters at the networks' links are BPF
// programs (bpf/shape.c) that reckon what passes: see bpf/bandwidth.h. What the maps say is
// enough to know later what has which class, so that the next process adopts what it finds.
// It finds programs and maps by the filters; nothing is pinned. A file for each public
// device says which networks have something there.
//
// # Both
//
// The bandwidth is that of IP packets, with their headers. TCP makes about 96 % of it into
// payload, with packets of 1400 to 1500 bytes.
//
// Filters lead by the action mirred, because that works in every kernel and in the same
// way: bpf_redirect leaves out what IFB needs, at ingress before Linux 6.4 and at egress
// always. A packet that has waited passes by the programs of tcx and the filters of its hook, which
// have seen it before.
//
// The package knows nothing of tunnels but the names of their links, and nothing of
// networks but where they cross the public side.
package shape
