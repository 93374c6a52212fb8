// Package eip carries out the actions on elastic IPs: allocating them from the
// pool of a region's public network, binding them to instances and NAT
// gateways, and giving them back.
//
// It takes a caller and plain values, and gives resources with their status or
// a *fault.Error. It knows no wire words, and nothing of how an address comes to
// be on the public network.
//
// Source: VPC API reference, chapter elastic IP.
package eip
