package main

import "testing"

func TestParseIperf(t *testing.T) {
	got, err := parseIperf([]byte(`{"start":{},"end":{"sum_sent":{"bits_per_second":3e9},"sum_received":{"bits_per_second":2.5e9}}}`))
	if err != nil || got != 2.5e9 {
		t.Errorf("%v, %v", got, err)
	}
	for _, text := range []string{`{"error":"unable to connect"}`, `{"end":{}}`, `iperf3: error`} {
		if v, err := parseIperf([]byte(text)); err == nil {
			t.Errorf("%s: %v", text, v)
		}
	}
}
