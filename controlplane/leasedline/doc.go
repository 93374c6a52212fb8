// Package leasedline carries out the actions on physical connections and virtual border
// routers, and the steps that the operator takes between them.
//
// A physical connection is a customer's leased line to an access point, which the
// configuration names with its ports. The customer applies for it, the operator approves,
// gives it a port and confirms that it is built, and the customer enables it. A border router
// is a router on such a line, made by the line's owner for itself or for another account,
// which accepts it by giving it its addresses.
//
// States are what calls and the operator's steps have brought about. What takes its time (a
// device that is not there yet, a border router that the kernel is still to give up) is seen
// in the dataplane, and shown in their place.
package leasedline
