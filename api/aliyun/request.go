package aliyun

import (
	"errors"
	"io"
	"mime"
	"net/http"
	"strings"
)

const (
	maxBody       = 1 << 20  // bytes of one form body
	maxBodies     = 64 << 20 // bytes of all larger bodies that are being read at once
	smallBody     = 64 << 10 // a body up to this does not count for maxBodies
	maxParameters = 2000     // of one request
)

// Refusals for which the documents have no words, since a client of theirs
// meets them only by mistake.
func notFound() *Error {
	return &Error{http.StatusNotFound, "InvalidAction.NotFound", "Specified api is not found, please check your url and method."}
}

func tooLarge() *Error {
	return &Error{http.StatusRequestEntityTooLarge, "RequestTooLarge", "The request body is larger than 1 MiB."}
}

func wrongMediaType() *Error {
	return &Error{http.StatusUnsupportedMediaType, "UnsupportedMediaType", "The request body must be application/x-www-form-urlencoded."}
}

// malformed answers for a request whose parameters cannot be read at all.
func malformed() *Error {
	return documented("", "InvalidParameter", "The specified parameter is not valid")
}

// read takes the parameters out of a request: those of the query and of a form
// body together.
func (s *Server) read(c *call, w http.ResponseWriter, r *http.Request) *Error {
	if r.URL.Path != "/" && r.URL.Path != "" {
		return notFound()
	}
	if r.Method != http.MethodGet && r.Method != http.MethodPost {
		return documented("", "UnsupportedHTTPMethod", "")
	}
	text := r.URL.RawQuery
	if r.Body != nil && r.Body != http.NoBody {
		body, refusal := s.body(w, r)
		if refusal != nil {
			// The query alone may say how the answer is wanted.
			if p, err := ParseParams(r.URL.RawQuery); err == nil {
				c.format, _ = ParseFormat(p.Get("Format"))
			}
			return refusal
		}
		if body != "" {
			text += "&" + body
		}
	}
	if strings.Count(text, "&") >= maxParameters {
		return malformed()
	}
	p, err := ParseParams(text)
	if err != nil {
		return malformed()
	}
	c.params = p
	var refusal *Error
	c.format, refusal = ParseFormat(p.Get("Format"))
	return refusal
}

// body reads a form body. Some clients send a Content-Type without a body:
// what it says matters only when there is one.
func (s *Server) body(w http.ResponseWriter, r *http.Request) (string, *Error) {
	size := r.ContentLength
	if size > maxBody {
		return "", tooLarge()
	}
	if size < 0 {
		size = maxBody // chunked: as large as it may become
	}
	if size > smallBody {
		if !s.bodies.TryAcquire(size) {
			return "", serviceUnavailable()
		}
		defer s.bodies.Release(size)
	}
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
	if err != nil {
		if _, ok := errors.AsType[*http.MaxBytesError](err); ok {
			return "", tooLarge()
		}
		return "", malformed() // cut short, or too slow
	}
	if len(body) == 0 {
		return "", nil
	}
	if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "application/x-www-form-urlencoded" {
		return "", wrongMediaType()
	}
	return string(body), nil
}
