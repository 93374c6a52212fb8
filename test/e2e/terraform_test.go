package e2e

import (
	"encoding/json"
	"testing"
	"time"

	"sluice/test/terraform"
)

// TestTerraform replays what Terraform's provider called to make, to look at, to change
// and to remove forty resources, and packages of bandwidth: each call is answered, and what the provider reads is
// what it read when its plan had no change. Nothing is left then but a package that is charged by the
// 95th percentile, which the provider does not delete.
func TestTerraform(t *testing.T) {
	t.Parallel()
	g, err := gateways[0].others.up(t.Context(), "terraform", true, "")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name string
		read func() (*terraform.Recording, error)
		left map[string]int
	}{{"forty", terraform.Forty, nil}, {"bandwidth", terraform.Bandwidth, map[string]int{"DescribeCommonBandwidthPackages": 1}}} {
		t.Run(c.name, func(t *testing.T) {
			recording, err := c.read()
			if err != nil {
				t.Fatal(err)
			}
			replay := &terraform.Replay{Call: g.client.Call, Patience: 20 * time.Second}
			for i := range recording.Steps {
				if err := replay.Run(t.Context(), &recording.Steps[i]); err != nil {
					t.Fatal(err)
				}
			}
			for _, action := range []string{
				"DescribeVpcs", "DescribeEipAddresses", "DescribeNatGateways", "DescribeVpnGateways", "DescribeVpnConnections", "DescribeCustomerGateways",
				"DescribeCommonBandwidthPackages",
			} {
				text, err := g.client.Call(t.Context(), action, map[string]string{"RegionId": "cn-hangzhou"})
				if err != nil {
					t.Fatal(err)
				}
				var left struct{ TotalCount int }
				if err := json.Unmarshal(text, &left); err != nil {
					t.Fatal(err)
				}
				if left.TotalCount != c.left[action] {
					t.Errorf("%s finds %d after everything was removed, not %d", action, left.TotalCount, c.left[action])
				}
			}
		})
	}
}
