package admin

import (
	"context"
	"net/netip"
	"slices"
	"testing"

	"sluice/controlplane/inventory"
	"sluice/controlplane/resource"
)

func (f *fake) AddClassic(_ context.Context, in inventory.NewClassicInstance) (*resource.ClassicInstance, error) {
	return &resource.ClassicInstance{Meta: resource.Meta{ID: in.ID, Account: in.Account, Region: in.Region, CreatedAt: epoch}, Address: in.Address, MAC: in.MAC}, f.note("add classic", in.ID)
}

func (f *fake) Classic() []inventory.ClassicInstance {
	one := &resource.ClassicInstance{Meta: resource.Meta{ID: "i-old", Account: "1001", Region: "r1"}, Address: netip.MustParseAddr("10.200.0.5")}
	return []inventory.ClassicInstance{{ClassicInstance: one},
		{ClassicInstance: one, VPC: "vpc-a", Router: netip.MustParseAddr("10.200.0.250"), Blocks: []netip.Prefix{netip.MustParsePrefix("10.0.0.0/16")}}}
}

// Instances of classic networks are added, and listed with what they are linked to.
func TestClassicInstances(t *testing.T) {
	f := &fake{ready: true}
	c, _ := start(t, f, nil)
	made, err := c.AddClassicInstance(t.Context(), NewClassicInstance{ID: "i-new", Account: "1001", Region: "r1", Address: "10.200.0.7", MAC: "02:00:00:00:00:01"})
	if err != nil || made.ID != "i-new" || made.Address != "10.200.0.7" || made.MAC != "02:00:00:00:00:01" || made.Account != "1001" || made.Region != "r1" {
		t.Errorf("%+v, %v", made, err)
	}
	if _, err := c.AddClassicInstance(t.Context(), NewClassicInstance{Address: "10.200"}); err == nil {
		t.Error("what is no address is taken for one")
	}
	list, err := c.ClassicInstances(t.Context())
	if err != nil || len(list) != 2 || list[0].VPC != "" || list[0].Router != "" || list[1].VPC != "vpc-a" || list[1].Router != "10.200.0.250" || !slices.Equal(list[1].Blocks, []string{"10.0.0.0/16"}) {
		t.Errorf("%+v, %v", list, err)
	}
}
