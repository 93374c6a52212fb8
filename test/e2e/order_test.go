package e2e

import (
	"errors"
	"fmt"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"

	"sluice/api/aliyun"
	"sluice/api/spec"
	"sluice/dataplane"
	"sluice/test/lab"
)

// impatient is a client that makes and deletes without regard to the order, and
// repeats what is refused.
type impatient struct {
	*network
	t        *testing.T
	catalog  *spec.Family
	mu       sync.Mutex
	refusals map[string]int // by action and code
}

// refusal returns the code of a refusal that the documents of the action give;
// everything else that goes wrong fails the test.
func (c *impatient) refusal(action string, err error) string {
	c.t.Helper()
	var e *aliyun.Error
	if !errors.As(err, &e) {
		c.t.Errorf("%s: %v", action, err)
		return ""
	}
	common := slices.ContainsFunc(c.catalog.CommonErrors, func(d spec.Error) bool { return d.Code == e.Code })
	if len(c.catalog.Action(action).Documented(e.Code)) == 0 && !common || e.HTTP >= http.StatusInternalServerError {
		c.t.Errorf("%s: a refusal that is in no document: %v", action, e)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.refusals[action+" "+e.Code]++
	return e.Code
}

// insist repeats a call until it is done, and returns the answer.
func (c *impatient) insist(action string, kv ...string) (answer map[string]any) {
	c.t.Helper()
	eventually(c.t, action+fmt.Sprint(kv), func() (code string) {
		var err error
		if answer, err = c.try(action, kv...); err != nil {
			code = c.refusal(action, err)
		}
		return code
	})
	return answer
}

// not fails the test unless a call is refused, each time for the same reason.
func (c *impatient) not(action string, kv ...string) {
	c.t.Helper()
	var codes []string
	for range 3 {
		_, err := c.try(action, kv...)
		if err == nil {
			c.t.Errorf("%s%v was done, although something depends on it", action, kv)
			return
		}
		codes = append(codes, c.refusal(action, err))
	}
	if len(slices.Compact(codes)) > 1 {
		c.t.Errorf("%s%v was refused as %v", action, kv, codes)
	}
}

// call is an action with its parameters, or an instance that leaves the inventory.
type call struct {
	action string
	kv     []string
}

const removeInstance = ""

// TestWrongOrder: everything that a VPC may have is made at once, by calls that do
// not wait for what they depend on, and deleted at once, the VPC first. Whatever is
// refused is refused for a reason that the documents know, and always the same one;
// in the end nothing is left.
func TestWrongOrder(t *testing.T) { onAndOff(t, testWrongOrder) }

func testWrongOrder(t *testing.T, g *gateway) {
	catalog, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	c := &impatient{network: &network{g: g}, t: t, catalog: catalog.Family(spec.Aliyun), refusals: map[string]int{}}
	made := c.insist("CreateVpc", "CidrBlock", "10.0.0.0/16")
	vpc, table := made["VpcId"].(string), made["RouteTableId"].(string)
	var mu sync.Mutex
	var deletions []call // mostly parents before what is in them
	deleted := func(rank int, action string, kv ...string) {
		mu.Lock()
		defer mu.Unlock()
		deletions = slices.Insert(deletions, min(rank, len(deletions)), call{action, kv})
	}
	deleted(0, "DeleteVpc", "VpcId", vpc)

	// Nothing waits for anything: each call is repeated until it is done.
	var all sync.WaitGroup
	for i := range 3 {
		all.Go(func() {
			id := c.insist("CreateVSwitch", "VpcId", vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", fmt.Sprintf("10.0.%d.0/24", i))["VSwitchId"].(string)
			deleted(1, "DeleteVSwitch", "VSwitchId", id)
			instance := g.addInstance(t, id, fmt.Sprintf("10.0.%d.10", i))
			deleted(1, removeInstance, instance)
			if i == 0 {
				c.insist("CreateRouteEntry", "RouteTableId", table, "DestinationCidrBlock", "192.168.7.0/24", "NextHopType", "Instance", "NextHopId", instance)
				deleted(9, "DeleteRouteEntry", "RouteTableId", table, "DestinationCidrBlock", "192.168.7.0/24", "NextHopId", instance)
			}
			if i == 1 {
				ip := c.insist("AllocateEipAddress")["AllocationId"].(string)
				deleted(1, "ReleaseEipAddress", "AllocationId", ip)
				c.insist("AssociateEipAddress", "AllocationId", ip, "InstanceType", "EcsInstance", "InstanceId", instance)
				deleted(9, "UnassociateEipAddress", "AllocationId", ip, "InstanceType", "EcsInstance", "InstanceId", instance)
			}
		})
	}
	all.Go(func() {
		nat := c.insist("CreateNatGateway", "VpcId", vpc)["NatGatewayId"].(string)
		deleted(1, "DeleteNatGateway", "NatGatewayId", nat)
		var list aliyun.DescribeNatGatewaysResponse
		c.into(t, &list, "DescribeNatGateways", "NatGatewayId", nat)
		tables := list.NatGateways.NatGateway[0]
		for i := range 2 {
			all.Go(func() {
				made := c.insist("AllocateEipAddress")
				ip, address := made["AllocationId"].(string), made["EipAddress"].(string)
				deleted(1, "ReleaseEipAddress", "AllocationId", ip)
				c.insist("AssociateEipAddress", "AllocationId", ip, "InstanceType", "Nat", "InstanceId", nat)
				deleted(9, "UnassociateEipAddress", "AllocationId", ip, "InstanceType", "Nat", "InstanceId", nat)
				if i == 0 {
					ftb := tables.ForwardTableIds.ForwardTableId[0]
					id := c.insist("CreateForwardEntry", "ForwardTableId", ftb, "ExternalIp", address, "ExternalPort", "80", "IpProtocol", "TCP", "InternalIp", "10.0.2.10", "InternalPort", "80")["ForwardEntryId"].(string)
					deleted(99, "DeleteForwardEntry", "ForwardTableId", ftb, "ForwardEntryId", id)
					return
				}
				stb := tables.SnatTableIds.SnatTableId[0]
				id := c.insist("CreateSnatEntry", "SnatTableId", stb, "SourceCIDR", "10.0.2.10/32", "SnatIp", address)["SnatEntryId"].(string)
				deleted(99, "DeleteSnatEntry", "SnatTableId", stb, "SnatEntryId", id)
			})
		}
	})
	all.Go(func() {
		vpn := c.insist("CreateVpnGateway", "VpcId", vpc, "Bandwidth", "10")["VpnGatewayId"].(string)
		deleted(1, "DeleteVpnGateway", "VpnGatewayId", vpn)
		for i := range 2 {
			all.Go(func() {
				peer := netip.AddrFrom4([4]byte{203, 0, 113, byte(252 + i)}) // nobody is there
				customer := c.insist("CreateCustomerGateway", "IpAddress", peer.String())["CustomerGatewayId"].(string)
				deleted(1, "DeleteCustomerGateway", "CustomerGatewayId", customer)
				id := c.insist("CreateVpnConnection", "VpnGatewayId", vpn, "CustomerGatewayId", customer, "LocalSubnet", "10.0.0.0/16", "RemoteSubnet", fmt.Sprintf("192.168.%d.0/24", 8+i), "EffectImmediately", "true")["VpnConnectionId"].(string)
				deleted(9, "DeleteVpnConnection", "VpnConnectionId", id)
			})
		}
	})
	all.Wait()
	c.vpc = vpc
	c.settled(t)

	// What something depends on cannot be deleted, however often it is tried.
	for _, d := range deletions {
		switch d.action {
		case "DeleteVpc", "DeleteVSwitch", "DeleteNatGateway", "DeleteVpnGateway", "DeleteCustomerGateway", "ReleaseEipAddress":
			c.not(d.action, d.kv...)
		}
	}
	for _, d := range deletions {
		all.Go(func() {
			if d.action == removeInstance {
				eventually(t, "instance "+d.kv[0], func() string { return errorText(g.tryRemoveInstance(d.kv[0])) })
				return
			}
			c.insist(d.action, d.kv...)
		})
	}
	all.Wait()
	t.Logf("refused: %v", c.refusals)
	eventually(t, "traces of the VPC", func() string {
		var left []string
		for _, path := range []string{filepath.Join("/run/netns", dataplane.Namespace(vpc)), filepath.Join(g.RunDir(), "networks", vpc), filepath.Join(g.RunDir(), "vpn", vpc)} {
			if _, err := os.Stat(path); err == nil {
				left = append(left, path)
			}
		}
		return strings.Join(left, ", ")
	})
}
