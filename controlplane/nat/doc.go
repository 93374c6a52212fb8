// Package nat holds the rules of NAT gateways, their DNAT tables and their
// SNAT tables.
//
// It takes plain, typed values from the edge, checks them against the rules of
// the documents in one transaction per call, and writes resources. It knows no
// wire words (its refusals are fault reasons) and no kernel: what the entries
// do to packets is compiled from the resources afterwards.
package nat
