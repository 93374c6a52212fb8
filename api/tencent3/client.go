package tencent3

import (
	"bytes"
	"context"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Client calls actions: JSON bodies, signed by TC3-HMAC-SHA256. It keeps connections open and
// is safe for concurrent use.
type Client struct {
	Endpoint  string // for example http://127.0.0.1:8680
	SecretID  string
	SecretKey string
	Region    string

	HTTP *http.Client     // nil: http.DefaultClient
	Now  func() time.Time // nil: time.Now
}

// NewClient returns a client with connections of its own. An endpoint without a scheme is
// taken as http.
func NewClient(endpoint, id, key, region string) *Client {
	if !strings.Contains(endpoint, "://") {
		endpoint = "http://" + endpoint
	}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.MaxIdleConns, t.MaxIdleConnsPerHost = 256, 256
	return &Client{
		Endpoint: strings.TrimSuffix(endpoint, "/"), SecretID: id, SecretKey: key, Region: region,
		HTTP: &http.Client{Transport: t, Timeout: time.Minute},
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

// CallError is a call that the service refused. errors.As finds the *Error with code and
// message in it.
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

// Call sends an action with its own parameters, named as in a form (Filters.0.Values.1, from
// 0), and returns what stands in the Response of the answer. The error is a *CallError if the
// service refused, and says which name is wrong where the names do not fit together.
func (c *Client) Call(ctx context.Context, action string, params map[string]string) (json.RawMessage, error) {
	var list []pair
	for _, name := range slices.Sorted(maps.Keys(params)) {
		list = append(list, pair{name, params[name]})
	}
	body, err := tree(list)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	text, err := json.Marshal(body)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	answer, err := c.Send(ctx, action, text)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", action, err)
	}
	var outer struct{ Response json.RawMessage }
	var refused struct {
		Error     *struct{ Code, Message string }
		RequestId string
	}
	if err := json.Unmarshal(answer, &outer); err != nil || outer.Response == nil {
		return nil, fmt.Errorf("%s: an answer that is none of this service: %.200q", action, answer)
	}
	if err := json.Unmarshal(outer.Response, &refused); err != nil {
		return nil, fmt.Errorf("%s: an answer that is none of this service: %.200q", action, answer)
	}
	if refused.Error == nil {
		return outer.Response, nil
	}
	return nil, &CallError{Action: action, RequestID: refused.RequestId, Refusal: refusal(refused.Error.Code, refused.Error.Message)}
}

// Send sends an action with a JSON object, and returns the body of the answer, whatever it is.
func (c *Client) Send(ctx context.Context, action string, body []byte) ([]byte, error) {
	at, err := url.Parse(c.Endpoint)
	if err != nil {
		return nil, err
	}
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, c.Endpoint+"/", bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	now := time.Now
	if c.Now != nil {
		now = c.Now
	}
	const service, signedNames = "vpc", "content-type;host"
	seconds, date := strconv.FormatInt(now().Unix(), 10), now().UTC().Format(time.DateOnly)
	canonical := strings.Join([]string{
		http.MethodPost, "/", "", "content-type:" + jsonType + "\nhost:" + at.Host + "\n", signedNames, hashed(string(body)),
	}, "\n")
	r.Header = http.Header{
		"Content-Type":   {jsonType},
		"X-Tc-Action":    {action},
		"X-Tc-Version":   {Version},
		"X-Tc-Region":    {c.Region},
		"X-Tc-Timestamp": {seconds},
		"Authorization": {fmt.Sprintf("%s Credential=%s/%s/%s/tc3_request, SignedHeaders=%s, Signature=%s", tc3, c.SecretID, date, service,
			signedNames, hex.EncodeToString(tc3Signature(tc3Key(c.SecretKey, date, service), date, service, seconds, canonical)))},
	}
	client := c.HTTP
	if client == nil {
		client = http.DefaultClient
	}
	answer, err := client.Do(r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	return io.ReadAll(answer.Body)
}
