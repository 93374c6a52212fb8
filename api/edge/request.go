package edge

import (
	"errors"
	"io"
	"net/http"
	"time"
)

// MaxBody is how many bytes the body of a request may have.
const MaxBody = 1 << 20

const (
	maxBodies = 64 << 20 // bytes of all larger bodies that are being read at once
	smallBody = 64 << 10 // a body up to this does not count for maxBodies
)

// Request is a request as it came. Families read the body by ReadBody alone.
type Request struct {
	*http.Request
	Received time.Time // by the server's clock

	w      http.ResponseWriter
	bodies *bodyRoom
	refuse func(Reason) *Error

	read    bool // body and refused are what ReadBody returns
	body    []byte
	refused *Reason
}

// ReadBody reads the body, when it is called first; nil if there is none. It refuses for
// BodyTooLarge, BodyUnreadable, or Busy. Room for a body is taken as it comes: one that
// is announced and not sent takes none.
func (r *Request) ReadBody() ([]byte, *Error) {
	if !r.read {
		r.read = true
		r.body, r.refused = r.readBody()
	}
	if r.refused != nil {
		return nil, r.refuse(*r.refused)
	}
	return r.body, nil
}

func (r *Request) readBody() ([]byte, *Reason) {
	why := func(reason Reason) ([]byte, *Reason) { return nil, &reason }
	if r.Body == nil || r.Body == http.NoBody {
		return nil, nil
	}
	if r.ContentLength > MaxBody {
		return why(BodyTooLarge)
	}
	source, taken := sourceOf(r.RemoteAddr), int64(0)
	defer func() {
		if taken > 0 {
			r.bodies.give(source, taken)
		}
	}()
	from := http.MaxBytesReader(r.w, r.Body, MaxBody)
	body := make([]byte, 0, min(max(r.ContentLength, 0), smallBody)+1) // with room to see its end
	for {
		n, err := from.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		if err == io.EOF {
			return body, nil
		}
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return why(BodyTooLarge)
		}
		if err != nil {
			return why(BodyUnreadable)
		}
		if len(body) < cap(body) {
			continue
		}
		size := int64(min(2*cap(body)+512, MaxBody+1))
		if more := size - taken; size > smallBody && more > 0 {
			if !r.bodies.take(source, more) {
				return why(Busy)
			}
			taken = size
		}
		body = append(make([]byte, 0, size), body...)
	}
}
