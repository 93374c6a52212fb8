// Command bench measures Sluice on the machine that it runs on, and writes the
// figures to a JSON file: an object of name to value, unit and whether more of
// it is better.
//
// The control plane is measured on a real sluiced in a lab of its own (package
// test/lab), through the signed API and by looking at the kernel; the
// forwarding rate on namespaces that dataplane/engine has built, or that were
// made by hand for comparison, between a packet generator and a sink made of
// XDP programs, or between ordinary sockets. docs/performance.md says what each
// figure means and how it comes about.
//
// Everything that is compared is measured in the same run and in turns, so
// that what else the machine does falls on both sides; of repeated
// measurements the median counts. All that a run makes (processes, namespaces,
// files) or changes (settings of the machine) is undone when it ends, also when
// it fails or is interrupted, and what a killed run left is undone by the next
// one.
//
// The package has no opinion on whether a figure is good: the goals are only
// printed beside them, and no figure makes the program fail.
package main
