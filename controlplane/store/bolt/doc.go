// Package bolt keeps the store in one file, by bbolt. It is the store of a
// single machine: one process at a time has the file open.
//
// Every commit is synced to disk before it is acknowledged. Watchers are served
// from memory: events of before the start, and those older than the newest few
// thousand, are compacted.
package bolt
