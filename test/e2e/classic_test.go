package e2e

import (
	"context"
	"net/netip"
	"strings"
	"testing"
	"time"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"
)

// classicHost adds a host of the classic network until the test ends.
func (g *gateway) classicHost(t *testing.T, name, address string) *host {
	t.Helper()
	h, err := g.ClassicAdd(t.Context(), name, netip.MustParseAddr(address))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := g.HostRemove(context.Background(), name); err != nil {
			t.Error(err)
		}
	})
	return &host{endpoint: endpoint{g: g, namespace: h.Namespace, addr: h.IP()}, name: name, instance: h.InstanceID}
}

// TestClassic: instances of a classic network and a VPC's hosts reach each other while Tencent
// Cloud's public client has them linked, and others do not.
func TestClassic(t *testing.T) { onAndOff(t, testClassic) }

func testClassic(t *testing.T, g *gateway) {
	c, n := g.tencentClient(t), g.newNetwork(t, "10.8.0.0/16", "10.8.1.0/24")
	h := n.host(t, 0, "10.8.1.10")
	prefix := strings.TrimPrefix(n.vpc, "vpc-")
	near, far := g.classicHost(t, prefix+"-n", "10.200.0.5"), g.classicHost(t, prefix+"-f", "10.200.0.6")
	to := h.serve(t, "tcp", "10.8.1.10:7")
	back := near.serve(t, "tcp", "10.200.0.5:7")
	link := func(i *host) {
		t.Helper()
		in := vpcsdk.NewAttachClassicLinkVpcRequest()
		in.VpcId, in.InstanceIds = &n.vpc, []*string{&i.instance}
		done[*vpcsdk.AttachClassicLinkVpcResponse](t, n)(c.AttachClassicLinkVpc(in))
		if _, err := g.HostPlug(t.Context(), i.name); err != nil {
			t.Fatal(err)
		}
	}
	unlink := func(i *host) {
		t.Helper()
		in := vpcsdk.NewDetachClassicLinkVpcRequest()
		in.VpcId, in.InstanceIds = &n.vpc, []*string{&i.instance}
		done[*vpcsdk.DetachClassicLinkVpcResponse](t, n)(c.DetachClassicLinkVpc(in))
	}
	link(far) // for its routes
	unlink(far)
	link(near)
	t.Cleanup(func() { unlink(near) })
	if got := near.seenAs(t, "tcp", to); got.Addr() != near.addr {
		t.Errorf("the classic instance is seen as %s", got)
	}
	if got := h.seenAs(t, "tcp", back); got.Addr() != h.addr {
		t.Errorf("the VPC's host is seen as %s", got)
	}
	if err := far.tryEcho("tcp", to, time.Second/2); err == nil {
		t.Error("an instance that is not linked reaches the VPC")
	}
	link(far)
	open, stays := far.flow(t, to), near.flow(t, to)
	unlink(far)
	open.stopped(t)
	stays.more(t, 5)
	stays.lost(t, 0)
}
