package main

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"

	"sluice/config"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
)

func TestBandwidthsAreTold(t *testing.T) {
	w := nattest.New(t)
	told := func(held bool) string {
		var text bytes.Buffer
		c := &config.Config{Settings: settings.Settings{Bandwidth: settings.Bandwidth{Held: held}}}
		tellBandwidths(w.DB.View(), c, slog.New(slog.NewTextHandler(&text, nil)))
		return text.String()
	}
	if got := told(true); got != "" {
		t.Errorf("without elastic IPs: %s", got)
	}
	fast := nattest.ElasticIP("eip-2", "203.0.113.11", "vpc-a", resource.BoundToNATGateway, "ngw-a")
	fast.Bandwidth = 100
	w.Put(nattest.VPC("vpc-a", "10.0.0.0/16"), nattest.Gateway("ngw-a", "vpc-a"), fast,
		nattest.ElasticIP("eip-1", "203.0.113.10", "vpc-a", resource.BoundToNATGateway, "ngw-a"),
		nattest.ElasticIP("eip-3", "203.0.113.12", "", "", ""))
	if got := told(true); !strings.Contains(got, `bound=2 default=1`) {
		t.Errorf("with two bound: %s", got)
	}
	if got := told(false); !strings.Contains(got, "not held") {
		t.Errorf("switched off: %s", got)
	}
}
