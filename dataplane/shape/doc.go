// Package shape holds what passes through the tunnels of each VPN gateway to the
// gateway's bandwidth, each way.
//
// For each gateway and direction there is an IFB device in the namespace, vpn-in for
// what comes out of the first one's tunnels and vpn-out for what goes into them, vpn-in1
// and vpn-out1 for the next one's, and so on, with a token
// bucket filter (TBF) as its queue. A filter at the ingress and at the egress of
// every tunnel's link leads all packets there. They wait their turn, and go on
// where they were. So all tunnels share one bandwidth, however many links they
// have, and however they are carried: a TUN device or XFRM interfaces.
//
// The bandwidth is that of IP packets, with their headers. TCP makes about 96 %
// of it into payload, with packets of the tunnels' size (1400 bytes).
//
// The filters are u32 with the action mirred, because these are in every kernel
// and in the same way: bpf_redirect leaves out what IFB needs, at ingress before
// Linux 6.4 and at egress always. CONFIG_IFB, CONFIG_NET_SCH_TBF,
// CONFIG_NET_CLS_U32 and CONFIG_NET_ACT_MIRRED are needed.
//
// The package knows nothing of tunnels but the names of their links.
package shape
