// Package memory keeps a store in the memory of the process: for tests, and as the
// second implementation of the interface, which several writers can open at a time, as
// machines do with a database that they share.
package memory
