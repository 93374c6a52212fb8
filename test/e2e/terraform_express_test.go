package e2e

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/admin"
	"sluice/test/terraform"
)

// TestTerraformExpress makes the calls that Terraform's provider makes for router interfaces, a
// physical connection with a border router, and a HaVip, with an operator in between. Nothing is
// left then.
func TestTerraformExpress(t *testing.T) {
	if testing.Short() {
		t.Skip("one more lab: make test-all")
	}
	t.Parallel()
	recording, err := terraform.Express()
	if err != nil {
		t.Fatal(err)
	}
	// A line that ends nowhere.
	device := fmt.Sprintf("sx%d", os.Getpid()%1_000_000)
	attrs := netlink.NewLinkAttrs()
	attrs.Name = device
	if err := netlink.LinkAdd(&netlink.Veth{LinkAttrs: attrs, PeerName: device + "p"}); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if link, err := netlink.LinkByName(device); err == nil {
			err = netlink.LinkDel(link)
			if err != nil {
				t.Error(err)
			}
		}
	})
	g := gateways[0].another(t, "express", extraConfig+portsOf([]string{device}))
	o := &operator{t: t, g: g}
	replay := &terraform.Replay{Call: o.call, Patience: 20 * time.Second}
	for i := range recording.Steps {
		if err := replay.Run(t.Context(), &recording.Steps[i]); err != nil {
			t.Fatal(err)
		}
	}
	for _, action := range []string{"DescribeVpcs", "DescribeRouterInterfaces", "DescribePhysicalConnections", "DescribeVirtualBorderRouters", "DescribeHaVips"} {
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

// operator does what the provider's calls need of one.
type operator struct {
	t        *testing.T
	g        *gateway
	line     string
	vswitch  string
	instance string
}

func (o *operator) call(ctx context.Context, action string, parameters map[string]string) (json.RawMessage, error) {
	switch action {
	case "CreateVirtualBorderRouter":
		o.step(admin.LineConfirm, "")
		if _, err := o.g.client.Call(ctx, "EnablePhysicalConnection", map[string]string{"RegionId": "cn-hangzhou", "PhysicalConnectionId": o.line, "ClientToken": "operator"}); err != nil {
			return nil, err
		}
	case "AssociateHaVip":
		o.instance = o.g.addInstance(o.t, o.vswitch, "10.1.1.10")
	case "DeleteVSwitch":
		o.g.removeInstance(o.t, o.instance)
	}
	if parameters["InstanceId"] == "operator" {
		parameters["InstanceId"] = o.instance
	}
	answer, err := o.g.client.Call(ctx, action, parameters)
	if err != nil {
		return answer, err
	}
	var made struct{ PhysicalConnectionId, VSwitchId string }
	switch action {
	case "CreatePhysicalConnection":
		if err = json.Unmarshal(answer, &made); err == nil {
			o.line = made.PhysicalConnectionId
			o.step(admin.LineApprove, "")
			o.step(admin.LineAllocate, "0")
		}
	case "CreateVSwitch":
		err = json.Unmarshal(answer, &made)
		o.vswitch = made.VSwitchId
	}
	return answer, err
}

// step does an operator's step of the line.
func (o *operator) step(step, port string) {
	o.t.Helper()
	c, err := o.g.admin()
	if err != nil {
		o.t.Fatal(err)
	}
	defer c.Close()
	eventually(o.t, step+" line "+o.line, func() string {
		_, err := c.StepLine(context.Background(), o.line, step, port)
		return errorText(err)
	})
}
