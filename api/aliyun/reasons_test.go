package aliyun

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
)

// documentedWords takes the reason off a refusal of a time or of a signature, which has
// to have one, where the test wants the documents' words alone.
func documentedWords(t *testing.T, got, want Error) Error {
	t.Helper()
	if want != illegalTimestamp && want != incomplete("") {
		return got
	}
	words, reason, _ := strings.Cut(got.Message, " Reason: ")
	if reason == "" {
		t.Errorf("%q does not say what was wrong", got.Message)
	}
	got.Message = words
	return got
}

// withoutReason is an error as the documents have it: without what stands behind their words.
func withoutReason(e *Error) Error {
	d := *e
	d.Message, _, _ = strings.Cut(e.Message, " Reason: ")
	return d
}

// changed is a transport that changes requests as a proxy would, and keeps what it was
// to send.
type changed struct {
	site   *site
	change func(*http.Request)
}

func (c changed) RoundTrip(r *http.Request) (*http.Response, error) {
	r.Host, r.RequestURI = r.URL.Host, r.URL.RequestURI()
	if r.Body == nil {
		r.Body = http.NoBody
	}
	c.change(r)
	w := httptest.NewRecorder()
	c.site.ServeHTTP(w, r)
	return w.Result(), nil
}

// TestReasons: whoever is refused for his clock, or for a signature, reads what the server
// saw, with any algorithm, and nothing of what he sent besides.
func TestReasons(t *testing.T) {
	const secret = "a pre-shared key"
	hostHash := func(host string) string {
		return `the host "` + host + `" and a canonical request whose SHA-256 is `
	}
	for _, c := range []struct {
		name   string
		method string
		time   string // zero: the site's
		key    string // zero: the right one
		change func(*http.Request)
		want   map[Algorithm]string
	}{
		{name: "clock behind", time: "2026-03-01T04:00:00Z", want: both("2026-03-01T04:00:00Z is 8h0m0s behind the server's clock, which says 2026-03-01T12:00:00Z; 1h0m0s is the most.")},
		{name: "clock ahead", time: "2026-03-01T13:00:01Z", want: both("2026-03-01T13:00:01Z is 1h0m1s ahead of the server's clock")},
		{name: "local time", time: "2026-03-01T20:00:00+08:00", want: both("the time is to be in UTC and of the form 2026-03-01T12:00:00Z.")},
		{name: "another secret", key: "guess", want: map[Algorithm]string{
			HMACSHA1: "the method POST and a string to sign whose SHA-256 is ", HMACSHA256: "the method POST and a string to sign whose SHA-256 is ", ACS3: hostHash("sluice.test")}},
		{name: "another host", change: func(r *http.Request) { r.Host = "10.0.0.1:8680" }, want: map[Algorithm]string{ACS3: hostHash("10.0.0.1:8680")}},
		{name: "a host that is none", change: func(r *http.Request) { r.Host = "a\"\n<b>" }, want: map[Algorithm]string{ACS3: hostHash(`a\"\n<b>`)}},
		{name: "another method", change: func(r *http.Request) { r.Method = "GET" }, want: map[Algorithm]string{
			HMACSHA1: "the method GET and", HMACSHA256: "the method GET and", ACS3: "the method GET, the host"}},
	} {
		for _, a := range []Algorithm{HMACSHA1, HMACSHA256, ACS3} {
			if c.want[a] != "" { // else nothing is wrong by this algorithm
				t.Run(fmt.Sprintf("%s %s", c.name, a), func(t *testing.T) {
					s := newSite(t, nil)
					client := s.client("id")
					client.Algorithm = a
					if c.key != "" {
						client.AccessKeySecret = c.key
					}
					change := func(r *http.Request) {
						if c.change != nil {
							c.change(r)
						}
						if a == ACS3 && c.time != "" {
							r.Header.Set(headerDate, c.time)
						}
					}
					client.HTTP = &http.Client{Transport: changed{s, change}}
					params := map[string]string{"RegionId": secret}
					if a != ACS3 && c.time != "" {
						params["Timestamp"] = c.time
					}
					_, err := client.Call(t.Context(), "DescribeRegions", params)
					if err == nil || !strings.Contains(err.Error(), " Reason: ") || !strings.Contains(err.Error(), c.want[a]) {
						t.Fatalf("got %v\nwant in it %s", err, c.want[a])
					}
					if strings.Contains(err.Error(), secret) {
						t.Errorf("%v tells what was sent", err)
					}
				})
			}
		}
	}
}

func both(want string) map[Algorithm]string {
	return map[Algorithm]string{HMACSHA1: want, HMACSHA256: want, ACS3: want}
}
