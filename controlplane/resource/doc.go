// Package resource holds what the control plane keeps: one typed struct per
// kind of resource, with the metadata they share, and the ids they are known by.
//
// Resources are plain data. A resource that has been handed to the store or
// read from a view is immutable: clone it, change the clone, write it back.
// The package knows no wire format and no kernel.
package resource
