// Package havip keeps HaVips: private addresses of VSwitches that move between instances.
// Which instances may have one it is told; which of them has it, it asks the dataplane,
// that has seen who announces the address.
//
// The documents know HaVips as what elastic IPs are bound to and routes lead to, and have
// no action that makes one: these are of today's API, and the operator's.
package havip
