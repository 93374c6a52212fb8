package aliyun

import (
	"fmt"
	"time"

	"sluice/api/edge"
)

// The documents' words for a time that is not accepted, and for a signature that does
// not match, are the same whatever is wrong. Behind them stands what this server saw: the
// clock of the one who asks may be wrong, or what is between may have changed the request.

// because adds to a refusal what was wrong, and what would be right.
func (e *Error) because(format string, of ...any) *Error {
	e.Message += " Reason: " + fmt.Sprintf(format, of...)
	return e
}

// notInTime refuses a time that is none, or is too far from this server's clock.
func (c *call) notInTime() *Error {
	e, now := reasonError(edge.NotInTime), c.request.Received.UTC()
	if c.at.IsZero() {
		return e.because("the time is to be in UTC and of the form %s.", now.Format(timestampLayout))
	}
	off, way := c.at.Sub(now), "ahead of"
	if off < 0 {
		off, way = -off, "behind"
	}
	return e.because("%s is %s %s the server's clock, which says %s; %s is the most.",
		c.at.Format(timestampLayout), off.Round(time.Second), way, now.Format(timestampLayout), edge.MaxSkew)
}

// wrongSignature refuses a signature that was not made with the secret of the key, or not
// over what has arrived. It is answered to somebody who may not have the secret: it tells
// only what his own request had.
func (c *call) wrongSignature() *Error {
	return reasonError(edge.SignatureWrong).because("the secret is not that of the access key, or what was signed is not what has arrived: %s.", c.scheme.signedText())
}
