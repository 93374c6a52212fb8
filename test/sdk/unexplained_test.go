package sdk

import (
	"slices"
	"testing"
)

// TestClientsUnexplained: what a public client sends is never ignored in silence, and
// what it reads and does not get is a decision.
func TestClientsUnexplained(t *testing.T) {
	lines, err := Unexplained()
	if err != nil {
		t.Fatal(err)
	}
	for _, l := range lines {
		t.Errorf("%s: serve it (\"extension\"), or say in the catalog why not (\"unserved\", \"ignored\", \"absent\")", l)
	}
}

// TestAliyun reads an action that has all shapes: it is what the clients' sources say.
func TestAliyun(t *testing.T) {
	known := Aliyun("describevpcs")
	if len(known) != 2 {
		t.Fatalf("%d clients know DescribeVpcs", len(known))
	}
	for _, k := range known {
		for _, p := range []string{"VpcId", "Tag.N", "Tag.N.Key"} {
			if !slices.Contains(k.Parameters, p) {
				t.Errorf("%s: no parameter %s in %v", k.Client, p, k.Parameters)
			}
		}
		for _, m := range []string{"RequestId", "Vpcs", "Vpcs.Vpc", "Vpcs.Vpc.VSwitchIds.VSwitchId", "Vpcs.Vpc.Tags.Tag.Key"} {
			if !slices.Contains(k.Members, m) {
				t.Errorf("%s: no member %s in %v", k.Client, m, k.Members)
			}
		}
	}
	if k := Aliyun("NoSuchAction"); k != nil {
		t.Error(k)
	}
	if !slices.Contains(Aliyun("DescribeEipAddresses")[0].Parameters, "Filter.N.Key") {
		t.Error("the number in the name of a parameter was not taken for an index")
	}
}
