// Package lab builds a private gateway with an Internet and hosts around it,
// out of network namespaces of one machine: a sluiced of its own (data, run
// directory, socket, port), a public network 203.0.113.0/24 in the namespace
// <name>-internet with an HTTP server that answers the caller's address and
// port, and hosts in namespaces <name>-<host> that are plugged into VSwitches.
//
// In go a name, a directory and the programs to run; out come a handle to
// drive it, environment variables for clients, and connections, listeners,
// commands and packet captures in any of its namespaces. It is what sluicectl
// lab, the end-to-end tests and the benchmarks stand on.
//
// Everything is written down in the lab's directory before it is made, and
// every process of a lab carries the directory in its environment, so that
// Down leaves no trace whatever happened before, and touches nothing else.
//
// The package must not know how the gateway does its work: it speaks to
// sluiced through the signed API and the admin socket only. The one exception
// is Down, which has the dataplane's engine remove what a daemon that is no
// longer there has made.
package lab
