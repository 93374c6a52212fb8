// Package admin is the operator's side door: HTTP and JSON over a Unix socket
// that only root, or the user that sluiced runs as, may use. It does what the
// documents have no action for: accounts and access keys, the inventory of
// instances, the state of the dataplane. The package holds the server and the
// client; there is one file for each subject, with its types, its handlers and
// the client's methods.
//
// It takes the control plane's services through small interfaces. It must not
// know the signed API's wire words, the store, or the kernel.
package admin
