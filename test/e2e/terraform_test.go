package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"sluice/test/terraform"
)

// TestTerraform replays what Terraform's provider called to make, to look at, to change
// and to remove forty resources: each call is answered, and what the provider reads is
// what it read when its plan had no change. Nothing is left then.
func TestTerraform(t *testing.T) {
	t.Parallel()
	recording, err := terraform.Forty()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateways[0].others.up(t.Context(), "terraform", true, "")
	if err != nil {
		t.Fatal(err)
	}
	replay := &terraform.Replay{Call: g.client.Call, Patience: 20 * time.Second}
	for i := range recording.Steps {
		if err := replay.Run(t.Context(), &recording.Steps[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, action := range []string{"DescribeVpcs", "DescribeEipAddresses", "DescribeNatGateways", "DescribeVpnGateways", "DescribeVpnConnections", "DescribeCustomerGateways"} {
		text, err := g.client.Call(t.Context(), action, map[string]string{"RegionId": "cn-hangzhou"})
		if err != nil {
			t.Fatal(err)
		}
		var left struct{ TotalCount int }
		if err := json.Unmarshal(text, &left); err != nil {
			t.Fatal(err)
		}
		if left.TotalCount != 0 {
			t.Errorf("%s finds %d after everything was removed", action, left.TotalCount)
		}
	}
}
