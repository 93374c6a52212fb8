// Package nstest makes network namespaces for tests, with hosts in them, and
// takes them away when the test ends.
package nstest
