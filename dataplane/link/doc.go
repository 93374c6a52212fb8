// Package link makes the links of a network's namespace and puts addresses on
// them: one link for each VSwitch, by the name that dataplane.LinkName has for it,
// with the gateway address; the uplink, named dataplane.UplinkName, with the
// elastic IPs; and a TUN device for each SSL-VPN server, with the server's end of its
// clients' tunnels. It stays when nobody has it open.
//
// Read takes in what a namespace holds, Plan compares it with a
// dataplane.Network and says what to change, without changing anything.
// RemoveAll takes away every link, and gives devices that were moved in back
// under their old names. Plug makes a link a port of a VSwitch's bridge,
// EnsureBridge makes a bridge for the public side.
//
// Links that are ours are in link group Group, or have an alias that begins
// with "sluice "; addresses on them that a Network does not name are removed.
// Links that are not wanted any more go last, but for those that have what only one
// can have (a device, a VNI, a VLAN) and a link that is made asks for: they go first.
// All other links in the namespace are left alone, except that ports whose
// alias is "port of VSWITCH" are put back when their bridge had to be made
// again.
//
// The package must not know routes, translation, or what a VSwitch is for.
package link
