// Package sequence sends the same packets through two gateways that differ in
// nothing but the shortcut, and compares what becomes of them: the packets that
// come out, and conntrack's entry after each one. Conntrack sees every packet of
// the one and some of the other, and must come to the same.
//
// The packets are those of single connections: of all kinds of translation, TCP and
// UDP, made by chance after a grammar of what hosts, networks and strangers do
// (Generate), with idle times between them, which are not waited for (see
// Gateways.pause).
//
// What may differ is said in compare.go, and nowhere else.
package sequence
