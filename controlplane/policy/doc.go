// Package policy reads policy documents of RAM (version 1) and decides by them.
//
// Parse compiles a document, and refuses what it would not understand in full: a
// document that is accepted means what it says. Decide takes documents and a request,
// which has an action, a resource and values of condition keys, and says whether they
// allow it, and by which statement. What no statement allows is denied, and one that
// denies decides before all that allow.
//
// The package knows no account, user or action by name, and keeps no state.
//
// Source: Alibaba Cloud, RAM documentation, "Policy structure and syntax", "Policy
// elements" and "Conditional operators"; VPC developer guide, chapter about RAM.
// docs/ram.md says how they were read where they are silent.
package policy
