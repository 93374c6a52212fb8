// Package nattest builds small worlds for the tests of the NAT rules, of
// compilation and of the reconciler: a store in memory, settings with one
// region and one public network, and resources with given ids.
package nattest
