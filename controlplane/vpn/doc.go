// Package vpn holds the rules of VPN gateways, customer gateways, IPsec
// connections, their routes, and of tags (VPN Gateway API reference).
//
// It knows what may be asked for and in which state it is. It does not know how
// a tunnel is made: that is package dataplane's, which reports how it is.
package vpn
