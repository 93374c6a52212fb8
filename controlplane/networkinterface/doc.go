// Package networkinterface carries out the actions on network interfaces and their private
// addresses: it makes them, attaches them to hosts of the inventory, and moves both. The
// primary interfaces of hosts are made by the inventory; further addresses and attributes
// they are given here.
//
// It knows no wire format, and nothing of what becomes of it in the kernel.
package networkinterface
