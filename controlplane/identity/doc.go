// Package identity knows who may call: accounts and their access keys.
//
// It does not know how a request is signed; it hands the secret of a key to
// the wire family that does.
package identity
