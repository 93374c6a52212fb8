// Package audit keeps the audit log: who called what, from where, when, and how it was
// answered; one JSON object a line, with the field names of Alibaba Cloud's ActionTrail.
//
// Whoever answers calls fills an [Event] and gives it to [Log.Record]: the signed API
// for each request, the admin socket for each of its own. What of a request may stand
// in an event is decided there, by lists of what is allowed. [Log.Read] gives lines back.
//
// The package knows no action, no format of requests and no state of resources.
package audit
