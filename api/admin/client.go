package admin

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"syscall"
	"time"

	"sluice/errtext"
)

// Client calls a sluiced of this machine. It is safe for concurrent use.
type Client struct {
	path string
	http *http.Client
}

// Dial returns a client of the daemon behind a socket, after trying that it is
// there.
func Dial(path string) (*Client, error) {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", path)
	}
	c := &Client{path: path, http: &http.Client{Transport: &http.Transport{DialContext: dial}, Timeout: time.Minute}}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	conn, err := dial(ctx, "", "")
	if err != nil {
		return nil, c.explain(err)
	}
	conn.Close()
	return c, nil
}

// Close ends the client's connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) explain(err error) error {
	switch {
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, syscall.ECONNREFUSED):
		return errtext.Instead(err, "no sluiced answers on %s; start it, or name the socket of one that runs with --socket", c.path)
	case errors.Is(err, fs.ErrPermission):
		return errtext.Instead(err, "%s is for root and the user of sluiced; call as one of them", c.path)
	}
	return fmt.Errorf("admin socket %s: %w", c.path, err)
}

// call sends one request. A nil request has no body; a nil answer is dropped.
// A refusal is an *Error.
func (c *Client) call(ctx context.Context, method, path string, request, answer any) error {
	var body io.Reader
	if request != nil {
		text, err := json.Marshal(request)
		if err != nil {
			return fmt.Errorf("encode the request: %w", err)
		}
		body = bytes.NewReader(text)
	}
	from, err := c.send(ctx, c.http, method, path, body)
	if err != nil {
		return err
	}
	defer from.Close()
	text, err := io.ReadAll(from)
	if err != nil {
		return c.explain(err)
	}
	if answer == nil {
		return nil
	}
	if err := json.Unmarshal(text, answer); err != nil {
		return fmt.Errorf("decode the answer to %s %s: %w", method, path, err)
	}
	return nil
}

// open sends a request whose answer comes for as long as it takes. The caller closes it.
func (c *Client) open(ctx context.Context, method, path string) (io.ReadCloser, error) {
	return c.send(ctx, &http.Client{Transport: c.http.Transport}, method, path, nil)
}

func (c *Client) send(ctx context.Context, by *http.Client, method, path string, body io.Reader) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, method, "http://sluiced"+path, body)
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "sluicectl")
	resp, err := by.Do(req)
	if err != nil {
		return nil, c.explain(err)
	}
	if resp.StatusCode/100 == 2 {
		return resp.Body, nil
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, c.explain(err)
	}
	e := &Error{Status: resp.StatusCode}
	if json.Unmarshal(text, e) != nil || e.Message == "" {
		e.Message = fmt.Sprintf("HTTP status %d: %.200q", resp.StatusCode, text)
	}
	return nil, e
}
