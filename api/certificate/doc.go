// Package certificate makes the certificates of a server that nobody else gives any: an
// authority of its own, which clients are told once to trust, and by it the server's
// certificate. That one is made anew before it expires, and when the server is reached
// by another name or address than before; the authority only when it nears its end.
//
// Or it has the certificate that somebody else writes to files, and takes each new one over.
//
// It knows a directory and names, and nothing of requests.
package certificate
