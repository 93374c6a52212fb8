// Package applied records what the dataplane of each machine has applied, so that others
// can say of a network that is not theirs how far its owner has come.
//
// The records are a store of their own: they have revisions of their own, so that they
// bar no change of resources, and are written behind, so that no call waits for them. A
// crash before loses an observation, which the next look at the network makes anew; a
// record is never ahead of what was seen. A machine writes of its own networks, and
// believes the records of others' alone: what it has recorded before it was started, its
// kernel may have lost since.
package applied
