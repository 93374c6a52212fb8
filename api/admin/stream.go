package admin

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net/http"
)

// stream is an answer that is written as it comes, one JSON object a line, until ctx ends
// or what is written to fails.
type stream func(ctx context.Context, w io.Writer) error

// stoppingKey is the key of the context in a request's context that ends when the server
// is to stop, while the request's own goes on.
type stoppingKey struct{}

func withStopping(ctx, stopping context.Context) context.Context {
	return context.WithValue(ctx, stoppingKey{}, stopping)
}

// serve writes the stream until it ends, the client is gone, or the server stops.
func (s stream) serve(w http.ResponseWriter, r *http.Request, log *slog.Logger) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	if stopping, ok := r.Context().Value(stoppingKey{}).(context.Context); ok {
		defer context.AfterFunc(stopping, cancel)()
	}
	w.Header().Set("Content-Type", "application/x-ndjson")
	w.WriteHeader(http.StatusOK)
	err := s(ctx, flushed{w, http.NewResponseController(w)})
	if err != nil && ctx.Err() == nil {
		log.Warn("an answer was cut short", "path", r.URL.Path, "error", err)
		panic(http.ErrAbortHandler) // so that the client sees that it is not whole
	}
}

// flushed sends each write at once.
type flushed struct {
	io.Writer
	*http.ResponseController
}

func (f flushed) Write(p []byte) (int, error) {
	n, err := f.Writer.Write(p)
	return n, errors.Join(err, f.Flush())
}
