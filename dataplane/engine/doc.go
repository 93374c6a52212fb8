// Package engine makes the kernel match a dataplane.Network: one network
// namespace for each, with its links, addresses, routes, sysctls, translation
// and egress filter.
//
// Apply compares and changes only what differs. What it once made is
// remembered, so that a small change costs little; the kernel is read again
// when the daemon has just started, when the caller says so (Invalidate), and
// when somebody else changed something, which Changed reports. Applying what
// is there already, also what an earlier process left, changes nothing.
//
// # Order
//
// A namespace is built in this order, so that no packet leaves untranslated:
// sysctls with forwarding off; the nftables table; links, down; the egress filter on
// the uplink; addresses; links up; routes and rules; then forwarding;
// then the announcement of elastic IPs.
//
// A change adds links, addresses and routes first, then changes the
// translation in one batch, then removes routes and rules, then ends the
// connections of which all that would make something else now, and then removes
// addresses and links. A new elastic IP thus is an address before it translates:
// an address without an entry is silent, while an entry without an address would
// give connections a source that nobody answers for. For the same reason it goes
// in the reverse order. Links are an exception whose device or VNI another one is
// to have: they go before that is made. Where the table is gone or damaged, it comes first in any
// case.
//
// # Ownership
//
// A file <RunDir>/networks/<id> marks each network. It is there before
// anything else is made and removed after everything else is gone: whatever a
// crash leaves, Networks lists it, and Remove cleans it up.
//
// The package must not know resources, accounts, actions or the store.
package engine
