// Package metrics shows Prometheus what the dataplane has counted of each
// network. Everything is read at the scrape, and nothing is kept between two
// but what ranks the private addresses that have series of their own.
//
// It takes the networks from the control plane's view and their counters
// through a small interface; it gives an HTTP handler. It must not know the
// kernel, the store, or the signed API. docs/metrics.md describes every series.
package metrics
