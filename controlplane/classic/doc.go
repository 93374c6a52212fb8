// Package classic links instances of the classic network with VPCs: the flat network of a
// region that instances of the operator's inventory are on which are in no VPC.
//
// A link lets exactly that instance and the VPC's VSwitches reach each other, by an address
// that the VPC's router has in the classic network. The router keeps the address as long as
// there is the VPC, so that routes of instances stay right.
package classic
