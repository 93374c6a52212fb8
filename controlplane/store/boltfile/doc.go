// Package boltfile makes and opens the files of bbolt, such that one which is
// damaged gives an error and never a panic or a fault. It knows nothing of what
// is in them.
package boltfile
