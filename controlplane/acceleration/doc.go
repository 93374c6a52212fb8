// Package acceleration carries out the actions on global acceleration instances: public
// addresses in one region that lead to a backend in another.
//
// The package decides which backend an instance may have, and what state it is in: that
// follows from what the dataplanes of its own network and of the backend's VPC have
// reported. It knows no wire word and no kernel.
package acceleration
