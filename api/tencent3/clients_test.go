package tencent3

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
)

type (
	nodeStep struct {
		Action string         `json:"action"`
		Params map[string]any `json:"params"`
	}
	nodeResult struct {
		Answer map[string]any
		Error  *struct{ Code, Message string }
	}
)

// TestClientsNode makes, changes, lists and deletes by the npm package tencentcloud-sdk-nodejs,
// by each of the ways in which it sends and signs.
func TestClientsNode(t *testing.T) {
	if testing.Short() {
		t.Skip("runs Node.js: make test-clients")
	}
	const root = "../.."
	modules, err := filepath.Abs(root + "/build/clients/node_modules")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(modules); err != nil {
		t.Skip("the clients for Node.js are not there: make test-clients fetches them")
	}
	node, err := exec.LookPath("node")
	if err != nil {
		t.Skip("there is no Node.js: make setup installs it")
	}
	vpc := "$0.Vpc.VpcId"
	steps := []nodeStep{
		{"CreateVpc", map[string]any{"VpcName": "büro", "CidrBlock": "10.0.0.0/16", "DnsServers": []string{"10.0.0.53"}}},
		{"CreateSubnet", map[string]any{"VpcId": vpc, "SubnetName": "a", "CidrBlock": "10.0.1.0/24", "Zone": planetest.Zone}},
		{"CreateRouteTable", map[string]any{"VpcId": vpc, "RouteTableName": "other"}},
		{"ReplaceRouteTableAssociation", map[string]any{"SubnetId": "$1.Subnet.SubnetId", "RouteTableId": "$2.RouteTable.RouteTableId"}},
		{"ModifyVpcAttribute", map[string]any{"VpcId": vpc, "VpcName": "office", "EnableMulticast": true}},
		{"DescribeVpcs", map[string]any{"Filters": []any{map[string]any{"Name": "vpc-name", "Values": []string{"office"}}}, "Limit": "5"}},
		{"DescribeSubnets", map[string]any{"SubnetIds": []string{"$1.Subnet.SubnetId"}}},
		{"DescribeVpcs", map[string]any{"NoSuch": 1}},
		{"DeleteVpc", map[string]any{"VpcId": vpc}}, // its subnet bars that
		{"DeleteSubnet", map[string]any{"SubnetId": "$1.Subnet.SubnetId"}},
		{"DeleteRouteTable", map[string]any{"RouteTableId": "$2.RouteTable.RouteTableId"}},
		{"DeleteVpc", map[string]any{"VpcId": vpc}},
	}
	refused := map[int]string{7: "UnknownParameter", 8: "ResourceInUse"}
	for _, way := range []struct{ sign, method string }{
		{"TC3-HMAC-SHA256", "POST"}, {"TC3-HMAC-SHA256", "GET"}, {"HmacSHA256", "POST"}, {"HmacSHA1", "GET"},
	} {
		t.Run(way.sign+" "+way.method, func(t *testing.T) {
			w := newWorld(t)
			input, err := json.Marshal(map[string]any{
				"endpoint": w.host(), "id": "AKIDalice", "secret": testKeys["AKIDalice"].Secret, "region": planetest.Region,
				"sign": way.sign, "method": way.method, "steps": steps,
			})
			if err != nil {
				t.Fatal(err)
			}
			cmd := exec.CommandContext(t.Context(), node, root+"/test/clients/tencent.js")
			cmd.Env = slices.DeleteFunc(append(os.Environ(), "NODE_PATH="+modules), func(v string) bool {
				name, _, _ := strings.Cut(strings.ToLower(v), "=")
				return strings.HasSuffix(name, "_proxy")
			})
			cmd.Stdin = bytes.NewReader(input)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			output, err := cmd.Output()
			if err != nil {
				t.Fatalf("%v: %s", err, stderr.String())
			}
			var results []nodeResult
			if err := json.Unmarshal(output, &results); err != nil || len(results) != len(steps) {
				t.Fatalf("%d results of %d calls, %v: %.500s", len(results), len(steps), err, output)
			}
			for i, r := range results {
				switch {
				case r.Error == nil && (refused[i] != "" || r.Answer["RequestId"] == ""):
					t.Errorf("%d, %s: %v", i, steps[i].Action, r.Answer)
				case r.Error != nil && r.Error.Code != refused[i]:
					t.Errorf("%d, %s: %s: %s", i, steps[i].Action, r.Error.Code, r.Error.Message)
				}
			}
			if t.Failed() {
				return
			}
			set, _ := results[5].Answer["VpcSet"].([]any)
			if len(set) != 1 || set[0].(map[string]any)["VpcName"] != "office" || set[0].(map[string]any)["EnableMulticast"] != true {
				t.Errorf("DescribeVpcs: %v", results[5].Answer)
			}
			set, _ = results[6].Answer["SubnetSet"].([]any)
			if len(set) != 1 || set[0].(map[string]any)["RouteTableId"] != results[2].Answer["RouteTable"].(map[string]any)["RouteTableId"] {
				t.Errorf("DescribeSubnets: %v", results[6].Answer)
			}
		})
	}
}
