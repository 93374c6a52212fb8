// Package conntrack ends connections of which something else would be made now.
//
// What is once decided about a connection stays: the kernel remembers how it is
// translated, not why. A connection that left by SNAT keeps its public source
// when a route into a tunnel comes for its destination, and each packet keeps the
// entry alive; one that was not translated is dropped for ever when its route
// turns to the public side. A Model says, from a Network and the state of its
// tunnels, what would become of a connection if it began now; Sweep goes through
// the connections of a namespace once and deletes those of which that is something
// else. Their next packets make them again, by what is right now. Differ says
// whether there may be any.
//
// # Order
//
// Routes, rules and translation come first, all of them, and then the Sweep: a
// packet that comes after them is decided on by what is right. One that is under
// way just then was decided on before; Sweep waits until it is in the table
// (Settle), and only then lists it.
//
// When an entry has been deleted, answers may still be on their way. The first of
// them would open a connection from the other side, of which the next packets of
// the deleted one would be answers: they would go on as before. So an entry that
// takes such packets is put in the place of the deleted one for some seconds
// (absorber).
//
// If the outside speaks next on a deleted connection, the gateway must stay
// silent; that is for package nft to see to.
package conntrack
