package main

import (
	"strings"
	"testing"
	"time"
)

func TestPrintCall(t *testing.T) {
	var b strings.Builder
	line := `{"eventTime":"2026-03-01T12:00:00Z","eventName":"CreateVpc","sourceIpAddress":"192.0.2.1",` +
		`"userIdentity":{"type":"root-account","accountId":"1001","accessKeyId":"K\u001b[2J"},` +
		`"requestParameters":{"VpcName":"a b","IkeConfig":{"IkeVersion":"ikev2"},"CidrBlock":"10.0.0.0/8"},` +
		`"errorCode":"Forbidden","additionalEventData":{"callsNotRecorded":3}}`
	for _, asJSON := range []bool{false, true} {
		if err := printCall(&b, []byte(line), asJSON); err != nil {
			t.Fatal(err)
		}
	}
	want := "(3 calls before were not recorded)\n" +
		`2026-03-01T12:00:00Z "root-account/1001/K\x1b[2J" 192.0.2.1 CreateVpc VpcName="a b" IkeConfig="{\"IkeVersion\":\"ikev2\"}" CidrBlock=10.0.0.0/8: Forbidden` + "\n" +
		line + "\n"
	if b.String() != want {
		t.Errorf("%s, want\n%s", b.String(), want)
	}
}

func TestSinceTime(t *testing.T) {
	now := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)
	for text, want := range map[string]string{
		"90m": "2026-03-01T10:30:00Z", "2026-01-31": "2026-01-31T00:00:00Z", "2026-01-31T12:00:00+01:00": "2026-01-31T11:00:00Z",
	} {
		if at, err := sinceTime(text, now); err != nil || at.UTC().Format(time.RFC3339) != want {
			t.Errorf("%s: %v, %v, want %s", text, at, err, want)
		}
	}
	for _, text := range []string{"-1h", "yesterday", "2026"} {
		if at, err := sinceTime(text, now); err == nil {
			t.Errorf("%s: %v", text, at)
		}
	}
}
