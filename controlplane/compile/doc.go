// Package compile turns the resources of one network into the dataplane's input.
//
// Network is pure and deterministic: the same resources and settings give the
// same Network, byte for byte, so that "what should the kernel hold" can be
// read, compared and tested without a kernel. All rules of precedence between
// resources that packets feel are here: which entry takes effect, and which is
// left out although it is in the table.
package compile
