// Package store is where resources survive: a small interface over a
// transactional, revisioned key-value store, which the embedded store
// (package store/bolt) implements. Package store/storetest holds the conformance test that
// every implementation passes.
//
// The store moves bytes. It knows nothing of what they mean.
package store
