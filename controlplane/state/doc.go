// Package state is the control plane's memory: an indexed, typed view of the
// store, transactions over it, and what the dataplane has reported back.
//
// A View is an immutable snapshot: reading one takes no lock, and everything
// read from one View fits together. Writes go through DB.Update, one at a
// time: the function checks the rules on the transaction's own view and
// changes resources; the changes are made durable in the store, and only then
// become visible. What is the same for every kind of resource is registered in
// kinds.go; the package knows no other rule about them.
package state
