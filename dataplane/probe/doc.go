// Package probe finds out what this kernel and machine can do for a gateway.
//
// Each feature is tried, in a network namespace that is thrown away, rather than
// looked up: configuration files may lie about a running kernel, and version
// numbers say nothing about what was left out. The answer is yes, no or could
// not tell, with what the lack costs and since which kernel the feature exists.
//
// The package changes nothing outside its namespace, and knows nothing of what
// a caller makes of the answers.
package probe
