package eip

import (
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// Status is the state of an elastic IP.
type Status int

// The states of an elastic IP (VPC API reference, DescribeEipAddresses).
const (
	Available     Status = iota // bound to nothing, and nowhere in the kernel
	Associating                 // bound, and the dataplane does not have it yet
	InUse                       // bound
	Unassociating               // bound to nothing, and the dataplane may still have it
)

// StatusOf returns the state of an elastic IP.
func StatusOf(o *state.Observed, e *resource.ElasticIP) Status {
	followed := e.Phase(o.Applied(e.VPC)) == resource.Ready
	switch {
	case e.Binding != nil && followed:
		return InUse
	case e.Binding != nil:
		return Associating
	case e.VPC == "" || followed || !o.Holds(e.VPC):
		return Available
	default:
		return Unassociating
	}
}
