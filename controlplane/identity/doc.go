// Package identity knows who may call: accounts, their access keys, and the
// sealing of secrets at rest.
//
// It does not know how a request is signed; it hands the secret of a key to
// the wire family that does.
package identity
