package edge

import (
	"errors"
	"io"
	"net/http"
	"time"

	"golang.org/x/sync/semaphore"
)

// MaxBody is how many bytes the body of a request may have.
const MaxBody = 1 << 20

const (
	maxBodies = 64 << 20 // bytes of all larger bodies that are being read at once
	smallBody = 64 << 10 // a body up to this does not count for maxBodies
)

// Request is a request as it came. A family reads the body by ReadBody alone.
type Request struct {
	*http.Request
	Received time.Time // by the server's clock

	w      http.ResponseWriter
	bodies *semaphore.Weighted
	refuse func(Reason) *Error
}

// ReadBody reads the body, at most once; nil if there is none. It refuses for
// BodyTooLarge, BodyUnreadable, or Busy.
func (r *Request) ReadBody() ([]byte, *Error) {
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	size := r.ContentLength
	if size > MaxBody {
		return nil, r.refuse(BodyTooLarge)
	}
	if size < 0 {
		size = MaxBody // chunked: as large as it may become
	}
	if size > smallBody {
		if !r.bodies.TryAcquire(size) {
			return nil, r.refuse(Busy)
		}
		defer r.bodies.Release(size)
	}
	body, err := io.ReadAll(http.MaxBytesReader(r.w, r.Body, MaxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return nil, r.refuse(BodyTooLarge)
		}
		return nil, r.refuse(BodyUnreadable)
	}
	return body, nil
}
