package tencent3

import (
	"slices"
	"testing"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/planetest"
)

// TestSDKClassic: the public client links instances of the classic network with VPCs, lists the
// links, and takes them away; what there is of the classic network shows elsewhere, too.
func TestSDKClassic(t *testing.T) {
	w := newWorld(t)
	w.Settings.Classic = classicNetworks()
	c := w.client("AKIDalice", "POST", "TC3-HMAC-SHA256")
	first, second := w.VPC(planetest.Alice, "10.8.0.0/16").VPC, w.VPC(planetest.Alice, "10.8.0.0/16").VPC
	a, b := w.addClassic(planetest.Alice, "ins-0x5msjda", "10.200.0.5"), w.addClassic(planetest.Alice, "ins-r8hr2upy", "10.200.0.6")
	attach := func(vpc string, ids ...string) error {
		r := vpcsdk.NewAttachClassicLinkVpcRequest()
		r.VpcId = &vpc
		for _, id := range ids {
			r.InstanceIds = append(r.InstanceIds, &id)
		}
		_, err := c.AttachClassicLinkVpc(r)
		return err
	}
	detach := func(vpc string, ids ...string) error {
		r := vpcsdk.NewDetachClassicLinkVpcRequest()
		r.VpcId = &vpc
		for _, id := range ids {
			r.InstanceIds = append(r.InstanceIds, &id)
		}
		_, err := c.DetachClassicLinkVpc(r)
		return err
	}
	list := func(offset, limit string, filters ...string) (total int, links []string) {
		t.Helper()
		r := vpcsdk.NewDescribeClassicLinkInstancesRequest()
		r.Offset, r.Limit = &offset, &limit
		for i := 0; i < len(filters); i += 2 {
			r.Filters = append(r.Filters, &vpcsdk.FilterObject{Name: &filters[i], Values: []*string{&filters[i+1]}})
		}
		got := must[*vpcsdk.DescribeClassicLinkInstancesResponse](t)(c.DescribeClassicLinkInstances(r)).Response
		for _, l := range got.ClassicLinkInstanceSet {
			links = append(links, *l.InstanceId+" "+*l.VpcId)
		}
		return int(*got.TotalCount), links
	}
	shows := func(total int, links []string, want ...string) {
		t.Helper()
		if total != len(want) || !slices.Equal(links, want) {
			t.Errorf("%d links: %v, want %v", total, links, want)
		}
	}
	total, links := list("0", "20")
	shows(total, links)
	for _, id := range []string{a, b} {
		if err := attach(first, id); err != nil {
			t.Fatal(err)
		}
	}
	total, links = list("0", "20")
	shows(total, links, a+" "+first, b+" "+first)
	total, links = list("0", "20", "vpc-id", second)
	shows(total, links)
	total, links = list("0", "20", "vpc-id", first, "vm-ip", "10.200.0.6")
	shows(total, links, b+" "+first)
	if total, links = list("1", "1"); total != 2 || !slices.Equal(links, []string{b + " " + first}) {
		t.Errorf("the second page: %d, %v", total, links)
	}
	if err := attach(second, a); err == nil {
		t.Error("an instance is linked to two VPCs")
	}
	if err := detach(second, a); err == nil {
		t.Error("a link was taken away that there is not")
	}
	if err := detach(first, a, "ins-none"); err == nil {
		t.Error("some were taken away, and not all")
	}
	if err := detach(first, a); err != nil {
		t.Fatal(err)
	}
	if err := attach(second, a); err != nil {
		t.Fatal(err)
	}
	total, links = list("0", "20", "vm-ip", "10.200.0.5")
	shows(total, links, a+" "+second)

	platforms := must[*vpcsdk.DescribeAccountAttributesResponse](t)(c.DescribeAccountAttributes(vpcsdk.NewDescribeAccountAttributesRequest())).Response.AccountAttributeSet[0].AttributeValues
	if len(platforms) != 2 || *platforms[0] != "VPC" || *platforms[1] != "CLASSIC" {
		t.Errorf("platforms: %v", platforms)
	}
	r := vpcsdk.NewCreateDefaultVpcRequest()
	if none := must[*vpcsdk.CreateDefaultVpcResponse](t)(c.CreateDefaultVpc(r)).Response.Vpc; *none.VpcId != "0" || *none.SubnetId != "0" {
		t.Errorf("a default VPC was made where there is a classic network: %s, %s", *none.VpcId, *none.SubnetId)
	}
	r.Force = ptr(true)
	if made := must[*vpcsdk.CreateDefaultVpcResponse](t)(c.CreateDefaultVpc(r)).Response.Vpc; *made.VpcId == "0" || *made.SubnetId == "0" {
		t.Error("no default VPC was made by force")
	}
}
