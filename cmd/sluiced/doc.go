// Sluiced turns a Linux machine into a cloud-style NAT gateway: it answers
// signed API calls and programs the kernel.
//
// The package only parses, wires and exits. The daemon stays in the
// foreground, logs to standard error, and ends on SIGTERM or SIGINT. Exit
// status: 0 an orderly end, 1 a failure, 78 a wrong configuration or command
// line.
package main
