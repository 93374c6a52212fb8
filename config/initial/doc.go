// Package initial writes the first configuration of a machine: what the machine's network
// looks like and answers to a few questions in, the text of a file with comments out, which
// package config has accepted.
//
// It reads answers and writes questions. It must not know how the machine is looked at, nor
// where the text goes.
package initial
