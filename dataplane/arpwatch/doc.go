// Package arpwatch hears who has addresses on a link, by what hosts say by ARP (RFC 826), and
// asks for them.
//
// It takes a link of a namespace and addresses, and tells of each message in which somebody
// says that one of them is theirs: announcements (RFC 5227, section 3), requests and answers.
// It must not know what an address is for, nor who may have it.
package arpwatch
