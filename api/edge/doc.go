// Package edge is where requests come in, whatever the format that they are
// written in: the site that listens, the limits of connections, bodies and calls,
// ids of requests, whether a signature is in time and fresh, whose key it was
// made with, and the log of what was answered.
//
// What is written how is a [Family]'s matter: package aliyun is one. Server asks
// the family of a request for each step of the way in turn. What an access key
// has used up, calls and nonces, is one and the same by whatever family it was.
//
// The package knows no action and no format, and keeps no state of resources.
package edge
