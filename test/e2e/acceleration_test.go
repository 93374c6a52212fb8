package e2e

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/test/lab"
)

// afar is the region of global acceleration instances. Their backends are in the lab's own,
// in another area.
const afar = "eu-central-1"

// accelerated is a global acceleration instance, and a network for its API calls.
type accelerated struct {
	*network
	id      string
	address netip.Addr
}

// accelerate makes a global acceleration instance for backends in the lab's own region.
func (n *network) accelerate(t *testing.T, mbit string) *accelerated {
	t.Helper()
	made := n.call(t, "CreateGlobalAccelerationInstance", "RegionId", afar, "ServiceLocation", "china-mainland", "Bandwidth", mbit)
	return &accelerated{n, made["GlobalAccelerationInstanceId"].(string), netip.MustParseAddr(made["IpAddress"].(string))}
}

// ask makes a call about the instance.
func (a *accelerated) ask(t *testing.T, action string, kv ...string) {
	t.Helper()
	a.call(t, action, append([]string{"RegionId", afar, "GlobalAccelerationInstanceId", a.id}, kv...)...)
}

// becomes waits until the instance is shown in a state.
func (a *accelerated) becomes(t *testing.T, state string) {
	t.Helper()
	eventually(t, "global acceleration instance "+a.id, func() string {
		var got aliyun.DescribeGlobalAccelerationInstancesResponse
		a.into(t, &got, "DescribeGlobalAccelerationInstances", "RegionId", afar, "GlobalAccelerationInstanceId", a.id)
		list := got.GlobalAccelerationInstances.GlobalAccelerationInstance
		if len(list) != 1 || list[0].Status != state {
			return fmt.Sprintf("it is not %s: %+v", state, list)
		}
		return ""
	})
}

// leadTo gives the instance a host as its backend, in the place of the one that it has.
func (a *accelerated) leadTo(t *testing.T, h *host) {
	t.Helper()
	a.ask(t, "AssociateGlobalAccelerationInstance", "BackendServerRegionId", lab.DefaultRegion, "BackendServerId", h.instance)
	a.becomes(t, "InUse")
}

func (a *accelerated) leave(t *testing.T) {
	t.Helper()
	a.ask(t, "UnassociateGlobalAccelerationInstance")
	a.becomes(t, "Available")
}

// TestGlobalAcceleration: the Internet calls hosts of two VPCs with equal blocks by the
// address of an instance in another region. They see who calls, by whatever protocol; the
// instance moves between them under traffic, and sluiced is killed meanwhile.
func TestGlobalAcceleration(t *testing.T) { onAndOff(t, testGlobalAcceleration) }

func testGlobalAcceleration(t *testing.T, shared *gateway) {
	g := shared.another(t, "accel", extraConfig+"\nbandwidth: {limits: on}\n", afar)
	n, m := g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24"), g.newNetwork(t, "172.16.0.0/16", "172.16.1.0/24")
	// The first VPC has its own way out, which answers must not take.
	n.gateway(t)
	own := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[0], own)
	backends := map[string]*host{"first": n.host(t, 0, "172.16.1.10"), "second": n.host(t, 0, "172.16.1.11"), "in another VPC": m.host(t, 0, "172.16.1.10")}
	for name, h := range backends {
		h.serveAs(t, "udp", "0.0.0.0:53", name)
		h.serveAs(t, "tcp", "0.0.0.0:80", name)
	}
	a := n.accelerate(t, "10")
	a.becomes(t, "Available")
	if _, err := g.internet.trySeenAs("udp", netip.AddrPortFrom(a.address, 53), time.Second/4); err == nil {
		t.Error("an instance without a backend answers")
	}
	a.leadTo(t, backends["first"])
	seen := g.internet.asks(t, netip.AddrPortFrom(a.address, 53))
	seen.become(t, "first")
	for _, next := range []string{"second", "in another VPC", "first", "in another VPC"} {
		for proto, port := range map[string]uint16{"tcp": 80, "udp": 53} {
			if at := g.internet.seenAs(t, proto, netip.AddrPortFrom(a.address, port)); at.Addr() != lab.PublicGateway {
				t.Errorf("by %s the backend sees %s, not the client", proto, at)
			}
		}
		g.internet.ping(t, a.address)
		if at := backends["first"].seenAs(t, "udp", g.internet.echo(t, "udp")); at.Addr() != own {
			t.Errorf("what a host begins is seen from %s, not by its VPC's own way out", at)
		}
		before := seen.turns()
		if code := a.refused(t, "AssociateGlobalAccelerationInstance", "RegionId", afar, "GlobalAccelerationInstanceId", a.id,
			"BackendServerRegionId", lab.DefaultRegion, "BackendServerId", backends[next].instance); code != "IncorrectGlobalAccelerationInstanceIdStatus" {
			t.Errorf("a second backend: %s", code)
		}
		a.leave(t)
		a.leadTo(t, backends[next])
		seen.become(t, next)
		seen.keep(t, 5)
		if turns := seen.turns() - before; turns != 1 {
			t.Errorf("who answers has changed %d times: %s", turns, seen)
		}
	}

	// Bandwidth, under a connection that goes on, also while sluiced is killed.
	g.rates(t, "out", []int{10}, nil)
	g.rates(t, "in", []int{10}, nil)
	f := g.internet.flow(t, netip.AddrPortFrom(a.address, 80))
	stop := background(t, func() { f.more(t, 1) })
	a.ask(t, "ModifyGlobalAccelerationInstanceSpec", "Bandwidth", "100")
	g.rates(t, "out", []int{100}, []int{10})
	g.rates(t, "in", []int{100}, nil) // the NAT gateway's elastic IP has 10
	g.killDaemon(t)
	g.startDaemon(t)
	a.becomes(t, "InUse")
	stop()
	f.more(t, 5)
	f.lost(t, 0)

	// What is in use cannot go, and what goes leaves nothing.
	if err := g.tryRemoveInstance(backends["in another VPC"].instance); err == nil || !strings.Contains(err.Error(), a.id) {
		t.Errorf("a backend is removed: %v", err)
	}
	if code := a.refused(t, "DeleteGlobalAccelerationInstance", "RegionId", afar, "GlobalAccelerationInstanceId", a.id); code != "IncorrectGlobalAccelerationInstanceIdStatus" {
		t.Errorf("an instance in use is deleted: %s", code)
	}
	a.leave(t)
	f.stopped(t)
	a.ask(t, "DeleteGlobalAccelerationInstance")
	eventually(t, "the network of "+a.id, func() string {
		if _, err := os.Stat(filepath.Join("/run/netns", dataplane.Namespace(a.id))); !errors.Is(err, fs.ErrNotExist) {
			return fmt.Sprintf("its namespace: %v", err)
		}
		return ""
	})
	for _, x := range []*network{n, m} {
		err := lab.In(dataplane.Namespace(x.vpc), func() error {
			if _, err := netlink.LinkByName(dataplane.LinkName(a.id + "-in")); err == nil {
				return errors.New("the link is still there")
			}
			return nil
		})
		if err != nil {
			t.Errorf("VPC %s: %v", x.vpc, err)
		}
	}
}
