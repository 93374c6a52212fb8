// Package netns makes, opens, names and removes network namespaces, and runs
// code and reads and writes sysctls in them.
//
// Names are those of iproute2: a file under /run/netns on which the namespace
// is mounted, so that "ip netns exec NAME" works. The empty name stands for
// the namespace that the process was started in.
//
// An open Namespace keeps the kernel's namespace alive even when its name is
// deleted; Bind gives it the name back, with all that is in it.
//
// The package knows nothing of what is in a namespace, or why there is one.
package netns
