// Package openvpntest makes what SSL-VPN servers need in tests, a certificate authority and
// keys, and runs Debian's openvpn as a client.
package openvpntest
