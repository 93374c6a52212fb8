// Package lineport watches the devices behind leased lines: whether they are there, set up,
// and have a link. It sets them up where a network is on one, and tells what kinds of links
// the kernel can put on them.
//
// It takes the names of devices in one namespace, and logs when one changes. The package
// must not know what a line is for, nor what is held at it.
package lineport
