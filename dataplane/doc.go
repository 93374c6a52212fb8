// Package dataplane is the input language of the dataplane: plain, comparable
// data that says what the kernel of one VPC's namespace should hold.
//
// A Network is compiled from resources by package controlplane/compile and
// consumed by package dataplane/engine. It knows addresses, links and ports;
// it must not know accounts, action names, or the store.
package dataplane
