package aliyun

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"time"

	"github.com/google/uuid"

	"sluice/api/edge"
)

// Client signs and sends calls, and reads answers as JSON. It keeps
// connections open and is safe for concurrent use.
type Client struct {
	Endpoint        string // for example http://127.0.0.1:8680
	AccessKeyID     string
	AccessKeySecret string

	Algorithm Algorithm        // HMACSHA1, HMACSHA256 or ACS3; empty: HMACSHA1
	Method    string           // GET or POST (a form body); empty: POST
	HTTP      *http.Client     // nil: http.DefaultClient
	Now       func() time.Time // nil: time.Now
	NewNonce  func() string    // nil: a random UUID
}

// NewClient returns a client with connections of its own. An endpoint without
// a scheme is taken as http.
func NewClient(endpoint, keyID, secret string) *Client {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	return &Client{
		Endpoint:        strings.TrimSuffix(endpoint, "/"),
		AccessKeyID:     keyID,
		AccessKeySecret: secret,
		HTTP:            &http.Client{Transport: t, Timeout: time.Minute},
	}
}

// Trust has the client believe what the certificates of a PEM text vouch for, in place of
// those that the machine trusts. The client is one of NewClient.
func (c *Client) Trust(certificates []byte) error {
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(certificates) {
		return errors.New("there is no certificate in PEM in it")
	}
	c.HTTP.Transport.(*http.Transport).TLSClientConfig = &tls.Config{RootCAs: pool}
	return nil
}

// CallError is a call that the service refused. errors.As finds the *Error
// with code, message and HTTP status in it.
type CallError struct {
	Action    string
	RequestID string
	Refusal   *Error
}

// Error implements error.
func (e *CallError) Error() string {
	return fmt.Sprintf("%s: %v (request %s)", e.Action, e.Refusal, e.RequestID)
}

// Unwrap returns the *Error.
func (e *CallError) Unwrap() error { return e.Refusal }

// Call sends an action with its own parameters and returns the answer as JSON. That of
// another service is named with the service: ram:CreateUser.
// The error is a *CallError if the service refused. Common parameters are
// added; but for ACS3, one that is given among params replaces the usual value, and
// with an empty value is left out: so a test can send what it likes.
func (c *Client) Call(ctx context.Context, action string, params map[string]string) (json.RawMessage, error) {
	var req *http.Request
	var err error
	if c.Algorithm == ACS3 {
		req, err = c.acs3Request(ctx, action, params)
	} else {
		req, err = c.request(ctx, c.Sign(action, params))
	}
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	status, body, err := c.do(req)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	if status/100 == 2 {
		return body, nil
	}
	var refused errorBody
	if err := json.Unmarshal(body, &refused); err != nil || refused.Code == "" {
		return nil, fmt.Errorf("%s: HTTP status %d with an answer that is no refusal of this service: %.200q", action, status, body)
	}
	return nil, &CallError{
		Action:    action,
		RequestID: refused.RequestID,
		Refusal:   &Error{HTTP: status, Code: refused.Code, Message: refused.Message},
	}
}

// CallInto is Call with the answer decoded into result.
func (c *Client) CallInto(ctx context.Context, action string, params map[string]string, result any) error {
	body, err := c.Call(ctx, action, params)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(body, result); err != nil {
		return fmt.Errorf("%s: decode the answer: %w", action, err)
	}
	return nil
}

// versionOf returns the version of the service whose action it is, and the action's name.
func versionOf(action string) (version, name string) {
	if code, name, ok := strings.Cut(action, ":"); ok {
		for version, other := range services {
			if other == code {
				return version, name
			}
		}
	}
	return Version, action
}

// Sign returns all parameters of a call, the signature included.
func (c *Client) Sign(action string, params map[string]string) *Params {
	algorithm := c.Algorithm
	if algorithm == "" {
		algorithm = HMACSHA1
	}
	all := &Params{}
	given := NewParams()
	for name, value := range params {
		given.Add(name, value)
	}
	version, name := versionOf(action)
	for _, common := range [...]param{
		{"Action", name},
		{"Version", version},
		{"Format", "JSON"},
		{"AccessKeyId", c.AccessKeyID},
		{"SignatureMethod", string(algorithm)},
		{"SignatureVersion", SignatureVersion},
		{"SignatureNonce", c.nonce()},
		{"Timestamp", c.timestamp()},
	} {
		if _, ok := given.Lookup(common.name); !ok {
			all.Add(common.name, common.value)
		}
	}
	for name, value := range given.All() {
		if value != "" {
			all.Add(name, value)
		}
	}
	if _, ok := given.Lookup(signatureName); !ok {
		// A method that the service does not know is sent for the service to refuse.
		if signature, err := Sign(c.method(), all, c.AccessKeySecret, algorithm); err == nil {
			all.Add(signatureName, signature)
		}
	}
	return all
}

func (c *Client) nonce() string {
	if c.NewNonce == nil {
		return uuid.NewString()
	}
	return c.NewNonce()
}

func (c *Client) timestamp() string {
	now := c.Now
	if now == nil {
		now = time.Now
	}
	return now().UTC().Format(timestampLayout)
}

func (c *Client) method() string {
	if c.Method == "" {
		return http.MethodPost
	}
	return c.Method
}

// Send sends parameters as they are and returns the HTTP status and the body
// of the answer, whatever it is.
func (c *Client) Send(ctx context.Context, p *Params) (status int, body []byte, err error) {
	req, err := c.request(ctx, p)
	if err != nil {
		return 0, nil, err
	}
	return c.do(req)
}

// acs3Request returns a call that is signed in its headers.
func (c *Client) acs3Request(ctx context.Context, action string, params map[string]string) (*http.Request, error) {
	p := &Params{}
	for name, value := range params {
		if value != "" {
			p.Add(name, value)
		}
	}
	req, err := c.request(ctx, p)
	if err != nil {
		return nil, err
	}
	version, action := versionOf(action)
	for name, value := range map[string]string{
		headerAction: action, headerVersion: version, headerDate: c.timestamp(), headerNonce: c.nonce(), "accept": "application/json",
	} {
		req.Header.Set(name, value)
	}
	var body []byte
	if c.method() == http.MethodPost {
		body, p = p.Encode(), &Params{}
	}
	SignACS3(req, p, body, c.AccessKeyID, c.AccessKeySecret)
	return req, nil
}

// request returns a request with parameters in its query or, with POST, in its body.
func (c *Client) request(ctx context.Context, p *Params) (*http.Request, error) {
	encoded := p.Encode()
	url, content := c.Endpoint+"/", io.Reader(nil)
	if c.method() == http.MethodPost {
		content = bytes.NewReader(encoded)
	} else {
		url += "?" + string(encoded)
	}
	req, err := http.NewRequestWithContext(ctx, c.method(), url, content)
	if err != nil {
		return nil, err
	}
	if content != nil {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	return req, nil
}

func (c *Client) do(req *http.Request) (status int, body []byte, err error) {
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	resp, err := client.Do(req)
	if err != nil {
		return 0, nil, err
	}
	defer resp.Body.Close()
	// Read to the end, so that the connection can be used again.
	var b bytes.Buffer
	if n := resp.ContentLength; n > 0 && n <= edge.MaxBody {
		b.Grow(int(n) + bytes.MinRead)
	}
	if _, err = b.ReadFrom(resp.Body); err != nil {
		return resp.StatusCode, nil, fmt.Errorf("read the answer: %w", err)
	}
	return resp.StatusCode, b.Bytes(), nil
}

// Encode returns the parameters as a query string or form body.
func (p *Params) Encode() []byte {
	var b []byte
	for name, value := range p.All() {
		if len(b) > 0 {
			b = append(b, '&')
		}
		b = percentEncode(b, name)
		b = append(b, '=')
		b = percentEncode(b, value)
	}
	return b
}
