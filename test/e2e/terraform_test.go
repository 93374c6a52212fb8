package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"testing"
	"time"

	"sluice/api/aliyun"
	"sluice/test/terraform"
)

// TestTerraformRAM replays what the provider called for a user with policies and an access
// key. While they are there, the user may do what they say, and nothing else.
func TestTerraformRAM(t *testing.T) {
	t.Parallel()
	recording, err := terraform.RAM()
	if err != nil {
		t.Fatal(err)
	}
	g, err := gateways[0].others.up(t.Context(), "terraform-ram", true, "")
	if err != nil {
		t.Fatal(err)
	}
	replay := &terraform.Replay{Call: g.client.Call, Patience: 20 * time.Second}
	user := *g.client
	replay.Call = func(ctx context.Context, action string, parameters map[string]string) (json.RawMessage, error) {
		answer, err := g.client.Call(ctx, action, parameters)
		if action == "CreateAccessKey" && err == nil {
			var made struct {
				AccessKey struct{ AccessKeyId, AccessKeySecret string }
			}
			err = json.Unmarshal(answer, &made)
			user.AccessKeyID, user.AccessKeySecret = made.AccessKey.AccessKeyId, made.AccessKey.AccessKeySecret
		}
		return answer, err
	}
	// What the user is answered after each step; empty: it is let.
	after := map[string]map[string]string{
		"apply":   {"DescribeVpcs": "", "DescribeEipAddresses": "", "DescribeVSwitches": "Forbidden.RAM", "CreateVpc": "Forbidden.RAM", "ram:ListUsers": "NoPermission"},
		"update":  {"DescribeVpcs": "Forbidden.AccessKeyDisabled"},
		"destroy": {"DescribeVpcs": "InvalidAccessKeyId.NotFound"},
	}
	for i := range recording.Steps {
		step := &recording.Steps[i]
		if err := replay.Run(t.Context(), step); err != nil {
			t.Fatal(err)
		}
		for action, want := range after[step.Name] {
			_, err := user.Call(t.Context(), action, map[string]string{"RegionId": "cn-hangzhou"})
			var refused *aliyun.CallError
			got := ""
			if errors.As(err, &refused) {
				got = refused.Refusal.Code
			} else if err != nil {
				t.Fatal(err)
			}
			if got != want {
				t.Errorf("after %s, %s: %q, want %q", step.Name, action, got, want)
			}
		}
	}
}

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
	}{
		{"forty", terraform.Forty, nil},
		{"ssl-vpn", terraform.SSL, nil},
		{"bandwidth", terraform.Bandwidth, map[string]int{"DescribeCommonBandwidthPackages": 1}}, // the last: what it leaves stays
	} {
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
				"DescribeVpcs", "DescribeEipAddresses", "DescribeNatGateways", "DescribeVpnGateways", "DescribeVpnConnections", "DescribeCustomerGateways", "DescribeSslVpnServers", "DescribeSslVpnClientCerts",
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
