// Package conntrack ends connections whose translation has been withdrawn.
//
// A connection that is once translated stays so after its DNAT or SNAT entry
// or its elastic IP is gone: the kernel remembers it, not the entry. Sweep goes
// through the connections of a namespace once and deletes those that no entry
// of the Network stands behind any more. A connection that an entry would make
// anew, or that another entry now stands before, is kept: what is added never
// ends what is there.
//
// If the outside speaks next on a deleted connection, the gateway must stay
// silent; that is for package nft to see to.
package conntrack
