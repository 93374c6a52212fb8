package resource

import (
	"cmp"
	"net/netip"
	"time"
)

// Kind names a kind of resource, and the part of the store that it lives in.
type Kind string

// Meta is what all resources share. The state package maintains the revision
// fields; everything else is set once, when the resource is made.
type Meta struct {
	ID        string    `json:"id"`
	Account   string    `json:"account"`          // id of the owning account; other accounts don't see the resource
	Region    string    `json:"region,omitempty"` // id of the region that it is in
	Group     string    `json:"group,omitempty"`  // id of its resource group; empty: the account's default one
	CreatedAt time.Time `json:"createdAt"`
	Protected bool      `json:"protected,omitempty"` // no call deletes it; see change.Do

	Created    int64 `json:"created"`    // store revision of the transaction that made it
	Generation int64 `json:"generation"` // revision of the last change that the dataplane has to follow
	Revision   int64 `json:"revision"`   // revision of the last change of any kind
}

// Metadata gives access to the shared part of any resource.
func (m *Meta) Metadata() *Meta { return m }

// Resource is anything that the store keeps. Implementations are pointers to
// the structs of this package.
type Resource interface {
	Metadata() *Meta
	Kind() Kind
	// Network returns the id of the network whose dataplane follows this resource,
	// or "" if none does.
	Network() string
	// Clone returns a deep copy that may be changed.
	Clone() Resource
}

// Addressed is a resource that has a public address of its own.
type Addressed interface {
	Resource
	// PublicAddress is what nobody else may have while its network holds it; invalid where that
	// does not.
	PublicAddress() netip.Addr
}

// Networked is a resource of a kind that may have a network of its own in the dataplane. It
// has one, under its own id, while Network returns that.
type Networked interface {
	Resource
	// Carrier returns the name of the machine whose dataplane carries the network.
	Carrier() string
}

// Phase says how far the dataplane has followed a resource.
type Phase int

// The phases of a resource.
const (
	Creating Phase = iota // the dataplane has not had it yet
	Changing              // the dataplane has an older generation
	Ready                 // the dataplane has it as it is
)

// Phase returns the phase of the resource when the dataplane of its network
// holds everything up to revision applied.
func (m *Meta) Phase(applied int64) Phase {
	switch {
	case m.Generation <= applied:
		return Ready
	case m.Created <= applied:
		return Changing
	default:
		return Creating
	}
}

// Naming changes the name and the description of something; nil leaves one as it is.
type Naming struct {
	Name        *string
	Description *string
}

// Apply changes both in place. What is given an empty name gets the name unnamed.
func (n Naming) Apply(name, description *string, unnamed string) {
	if n.Name != nil {
		*name = cmp.Or(*n.Name, unnamed)
	}
	if n.Description != nil {
		*description = *n.Description
	}
}
