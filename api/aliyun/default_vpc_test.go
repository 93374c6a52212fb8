package aliyun

import (
	"context"
	"testing"

	"sluice/controlplane/planetest"
)

// TestDefaultVPC: a default VPC, which another cloud's action makes, is shown as one wherever it
// is shown, and no other is.
func TestDefaultVPC(t *testing.T) {
	w := newVPCWorld(t)
	ctx := context.Background()
	made, err := w.Network.CreateDefaultVPC(ctx, planetest.Alice, planetest.Region, "")
	if err != nil {
		t.Fatal(err)
	}
	vpcs, err := w.s.DescribeVpcs(ctx, planetest.Alice, &DescribeVpcsRequest{RegionId: planetest.Region, PageNumber: 1, PageSize: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range vpcs.Vpcs.Vpc {
		one, err := w.s.DescribeVpcAttribute(ctx, planetest.Alice, &DescribeVpcAttributeRequest{VpcId: v.VpcId})
		if err != nil || v.IsDefault != (v.VpcId == made.VPC) || one.IsDefault != v.IsDefault {
			t.Errorf("%+v, %+v, %v; the default one is %s", v, one, err, made.VPC)
		}
	}
	switches, err := w.s.DescribeVSwitches(ctx, planetest.Alice, &DescribeVSwitchesRequest{RegionId: planetest.Region, PageNumber: 1, PageSize: 50})
	if err != nil {
		t.Fatal(err)
	}
	for _, v := range switches.VSwitches.VSwitch {
		one, err := w.s.DescribeVSwitchAttributes(ctx, planetest.Alice, &DescribeVSwitchAttributesRequest{VSwitchId: v.VSwitchId})
		if err != nil || v.IsDefault != (v.VSwitchId == made.VSwitch) || one.IsDefault != v.IsDefault {
			t.Errorf("%+v, %+v, %v; the default one is %s", v, one, err, made.VSwitch)
		}
	}
	if len(vpcs.Vpcs.Vpc) < 2 || len(switches.VSwitches.VSwitch) < 2 {
		t.Error("there is nothing else to tell it from")
	}
}
