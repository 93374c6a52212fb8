// Package garp tells the neighbours on a link that an address is here now,
// by gratuitous ARP: as a request and as an answer, because there are
// neighbours that learn from one and not from the other (RFC 5227, section
// 3; RFC 5944, section 4.6), and three times, because a frame may be lost.
// Rounds that cannot be sent, while the link is down, are sent later; an address
// that is withdrawn is not announced any more.
//
// It must not know what an address is for.
package garp
