package e2e

import (
	"cmp"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/dataplane"
	"sluice/test/lab"
)

// TestVPNChurn: networks with VPN gateways are made and deleted while the daemon is
// killed, a little later each time. Nothing is left: no namespace, no mark, no file
// and no process.
func TestVPNChurn(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	t.Parallel()
	g := gateways[0].another(t, "churn", "")
	for round := range 5 {
		n := &network{g: g}
		acknowledged := 0
		// step makes a call unless the daemon has been killed in this round, which is
		// done while the next one after so many is under way.
		step := func(action string, kv ...string) string {
			if acknowledged == 1+2*round {
				killed := make(chan struct{})
				go func() { defer close(killed); g.killDaemon(t) }()
				_, _ = n.try(action, kv...) // done or not, or by half
				<-killed
				acknowledged++
			}
			if acknowledged > 1+2*round {
				return ""
			}
			var id string
			eventually(t, action, func() string {
				made, err := n.try(action, kv...)
				for _, key := range []string{"VpcId", "VpnGatewayId", "CustomerGatewayId", "VpnConnectionId", "VSwitchId", "NatGatewayId"} {
					if v, ok := made[key].(string); ok {
						id = v
					}
				}
				return errorText(err)
			})
			acknowledged++
			return id
		}
		n.vpc = step("CreateVpc", "CidrBlock", "10.0.0.0/16")
		step("CreateVSwitch", "VpcId", n.vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", "10.0.1.0/24")
		vpn := step("CreateVpnGateway", "VpcId", n.vpc, "Bandwidth", "10")
		connection := ""
		for i := range 2 {
			customer := step("CreateCustomerGateway", "IpAddress", fmt.Sprintf("203.0.113.%d", 252+i)) // nobody is there
			id := step("CreateVpnConnection", "VpnGatewayId", vpn, "CustomerGatewayId", customer, "LocalSubnet", "10.0.0.0/16", "RemoteSubnet", fmt.Sprintf("192.168.%d.0/24", i), "EffectImmediately", "true")
			connection = cmp.Or(connection, id)
		}
		step("CreateNatGateway", "VpcId", n.vpc)
		step("AllocateEipAddress")
		if _, ok, err := g.Daemon(); err != nil {
			t.Fatal(err)
		} else if !ok {
			g.startDaemon(t)
		}
		if connection != "" { // without one there may be nothing for a charon to do
			eventually(t, "charon", func() string {
				if len(g.processes(t)) == 0 {
					return "there is none"
				}
				return ""
			})
		}
		n.clear(t, func() {
			g.killDaemon(t)
			g.startDaemon(t)
		})
	}
	eventually(t, "traces", func() string {
		var left []string
		for _, dir := range []string{"networks", "vpn"} {
			entries, _ := os.ReadDir(filepath.Join(g.RunDir(), dir))
			for _, e := range entries {
				left = append(left, filepath.Join(dir, e.Name()))
			}
		}
		return strings.Join(append(left, g.processes(t)...), ", ")
	})
}

// clear deletes all that there is, and calls meanwhile once something has been
// deleted, before all has.
func (n *network) clear(t *testing.T, meanwhile func()) {
	t.Helper()
	seen := map[string]bool{} // VPCs
	eventually(t, "deletion", func() string {
		var left []string
		for _, kind := range []struct{ list, key, remove string }{
			{"DescribeVpnConnections", "VpnConnectionId", "DeleteVpnConnection"},
			{"DescribeCustomerGateways", "CustomerGatewayId", "DeleteCustomerGateway"},
			{"DescribeVpnGateways", "VpnGatewayId", "DeleteVpnGateway"},
			{"DescribeNatGateways", "NatGatewayId", "DeleteNatGateway"},
			{"DescribeEipAddresses", "AllocationId", "ReleaseEipAddress"},
			{"DescribeVSwitches", "VSwitchId", "DeleteVSwitch"},
			{"DescribeVpcs", "VpcId", "DeleteVpc"},
		} {
			answer, err := n.try(kind.list)
			if err != nil {
				return err.Error()
			}
			for _, id := range values(answer, kind.key) {
				if kind.key == "VpcId" {
					seen[id] = true
				}
				if _, err := n.try(kind.remove, kind.key, id); err != nil {
					left = append(left, id+": "+err.Error())
				} else if meanwhile != nil {
					meanwhile()
					meanwhile = nil
				}
			}
		}
		return strings.Join(left, ", ")
	})
	eventually(t, "namespaces", func() string {
		for id := range seen {
			if there, err := os.Stat(filepath.Join("/run/netns", dataplane.Namespace(id))); err == nil {
				return there.Name()
			}
		}
		return ""
	})
}

// values returns the texts under a key, wherever they are in an answer.
func values(in any, key string) (all []string) {
	switch in := in.(type) {
	case map[string]any:
		for k, v := range in {
			if text, ok := v.(string); ok && k == key {
				all = append(all, text)
			} else {
				all = append(all, values(v, key)...)
			}
		}
	case []any:
		for _, v := range in {
			all = append(all, values(v, key)...)
		}
	}
	return all
}

// processes returns those that the daemon has started: they know its directory.
func (g *gateway) processes(t *testing.T) (found []string) {
	t.Helper()
	all, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range all {
		line, _ := os.ReadFile(filepath.Join(p, "cmdline"))
		environment, _ := os.ReadFile(filepath.Join(p, "environ"))
		if strings.Contains(string(line)+string(environment), g.RunDir()+"/") {
			found = append(found, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return found
}
