package aliyun

import (
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
)

// TestReadBack gives names and descriptions of any spelling to what is made and changed, and
// finds them in each answer that shows the thing, as they were sent.
func TestReadBack(t *testing.T) {
	rnd := rand.New(rand.NewPCG(5, 26))
	text := func(most int, also string) string {
		for {
			letters := []rune("aZ09 _-.,:;/@&=%+*'\"<>()[]{}~!?#$^|\\中国é😀" + also)
			out := make([]rune, 1+rnd.IntN(most))
			for i := range out {
				out[i] = letters[rnd.IntN(len(letters))]
			}
			if s := string(out); !hasURLPrefix(s) {
				return s
			}
		}
	}
	for range 20 {
		w := newVPCWorld(t)
		r := w.withTables()
		// holds looks for a name and a description in an answer.
		holds := func(action, name, description string, change ...string) {
			t.Helper()
			answer := encoded(t, FormatJSON, w.must(t, action, change...))
			for _, want := range []string{name, description} {
				quoted, err := json.Marshal(want)
				if err != nil {
					t.Fatal(err)
				}
				if !strings.Contains(unescaped(answer), unescaped(string(quoted))) {
					t.Errorf("%s %v: no %s in\n%s", action, change, quoted, answer)
				}
			}
		}
		both := func() (string, string) { return text(128, ""), text(256, "\n\t") }

		name, description := both()
		vpc := w.must(t, "CreateVpc", "VpcName", name, "Description", description).(*CreateVpcResponse)
		holds("DescribeVpcs", name, description, "VpcName", name)
		holds("DescribeVpcAttribute", name, description, "VpcId", vpc.VpcId)
		name, description = both()
		w.must(t, "ModifyVpcAttribute", "VpcId", vpc.VpcId, "VpcName", name, "Description", description)
		holds("DescribeVpcAttribute", name, description, "VpcId", vpc.VpcId)

		name, description = both()
		w.must(t, "ModifyVRouterAttribute", "VRouterId", vpc.VRouterId, "VRouterName", name, "Description", description)
		holds("DescribeVRouters", name, description, "VRouterId", vpc.VRouterId)

		name, description = both()
		sw := w.must(t, "CreateVSwitch", "VSwitchName", name, "Description", description).(*CreateVSwitchResponse).VSwitchId
		holds("DescribeVSwitches", name, description, "VSwitchName", name)
		holds("DescribeVSwitchAttributes", name, description, "VSwitchId", sw)
		name, description = both()
		w.must(t, "ModifyVSwitchAttribute", "VSwitchId", sw, "VSwitchName", name, "Description", description)
		holds("DescribeVSwitchAttributes", name, description, "VSwitchId", sw)

		name, description = both()
		table := w.must(t, "CreateRouteTable", "RouteTableName", name, "Description", description).(*CreateRouteTableResponse).RouteTableId
		holds("DescribeRouteTableList", name, description, "RouteTableName", name)
		name, description = both()
		w.must(t, "ModifyRouteTableAttributes", "RouteTableId", table, "RouteTableName", name, "Description", description)
		holds("DescribeRouteTableList", name, description, "RouteTableId", table)

		name, description = both()
		entry := w.must(t, "CreateRouteEntry", "RouteTableId", r.table, "NextHopId", r.ecs, "RouteEntryName", name, "Description", description).(*CreateRouteEntryResponse).RouteEntryId
		holds("DescribeRouteTables", name, description, "RouteTableId", r.table)
		holds("DescribeRouteEntryList", name, description, "RouteEntryName", name)
		name, description = both()
		w.must(t, "ModifyRouteEntry", "RouteTableId", "", "DestinationCidrBlock", "", "RouteEntryId", entry, "RouteEntryName", name, "Description", description)
		holds("DescribeRouteEntryList", name, description, "RouteEntryId", entry)
	}
}

// unescaped is a JSON text with what may be escaped or not written out.
func unescaped(text string) string {
	return strings.NewReplacer(`\u003c`, "<", `\u003e`, ">", `\u0026`, "&").Replace(text)
}
