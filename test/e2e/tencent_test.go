package e2e

import (
	"net/netip"
	"testing"
	"time"

	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common"
	"github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/common/profile"
	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/test/lab"
)

// tencentClient is the public Go client of the other cloud, unmodified, pointed at the lab's
// gateway.
func (g *gateway) tencentClient(t *testing.T) *vpcsdk.Client {
	t.Helper()
	env := g.Credentials()
	p := profile.NewClientProfile()
	p.HttpProfile.Endpoint, p.HttpProfile.Scheme = env.Host(), "HTTP"
	c, err := vpcsdk.NewClient(common.NewCredential(env.AccessKeyID, env.AccessKeySecret), env.Region, p)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// done fails the test for an error of the client, and waits for the network.
func done[R any](t *testing.T, n *network) func(r R, err error) R {
	return func(r R, err error) R {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		n.settled(t)
		return r
	}
}

func ptr[T any](v T) *T { return &v }

// TestTencent: a VPC that was made by Tencent Cloud's actions, with hosts and route tables of
// several subnets, and gateways that were made in it by the other cloud's.
func TestTencent(t *testing.T) { onAndOff(t, testTencent) }

func testTencent(t *testing.T, g *gateway) {
	c := g.tencentClient(t)
	n := &network{g: g}
	made := vpcsdk.NewCreateVpcRequest()
	made.VpcName, made.CidrBlock = ptr("office"), ptr("10.8.0.0/16")
	vpc, err := c.CreateVpc(made)
	if err != nil {
		t.Fatal(err)
	}
	n.vpc = *vpc.Response.Vpc.VpcId
	t.Cleanup(func() {
		gone := vpcsdk.NewDeleteVpcRequest()
		gone.VpcId = &n.vpc
		if _, err := c.DeleteVpc(gone); err != nil {
			t.Error(err)
		}
	})
	for _, block := range []string{"10.8.1.0/24", "10.8.2.0/28"} {
		in := vpcsdk.NewCreateSubnetRequest()
		in.VpcId, in.SubnetName, in.CidrBlock, in.Zone = &n.vpc, ptr("of "+block), ptr(block), ptr(lab.DefaultRegion+"-a")
		subnet := done[*vpcsdk.CreateSubnetResponse](t, n)(c.CreateSubnet(in)).Response.Subnet
		n.switches, n.routeTable = append(n.switches, *subnet.SubnetId), *subnet.RouteTableId
		t.Cleanup(func() {
			gone := vpcsdk.NewDeleteSubnetRequest()
			gone.SubnetId = subnet.SubnetId
			if _, err := c.DeleteSubnet(gone); err != nil {
				t.Error(err)
			}
		})
	}
	n.gateway(t)
	ip := n.gatewayIP(t)
	n.snat(t, "SourceVSwitchId", n.switches[1], ip)
	client := n.host(t, 1, "10.8.2.14") // the last address that is for hosts
	if got := client.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != ip {
		t.Errorf("on the Internet seen as %s, not %s", got, ip)
	}

	table := vpcsdk.NewCreateRouteTableRequest()
	table.VpcId, table.RouteTableName = &n.vpc, ptr("special")
	rtb := done[*vpcsdk.CreateRouteTableResponse](t, n)(c.CreateRouteTable(table)).Response.RouteTable.RouteTableId
	t.Cleanup(func() {
		gone := vpcsdk.NewDeleteRouteTableRequest()
		gone.RouteTableId = rtb
		if _, err := c.DeleteRouteTable(gone); err != nil {
			t.Error(err)
		}
	})
	bind := func(table *string) {
		t.Helper()
		in := vpcsdk.NewReplaceRouteTableAssociationRequest()
		in.SubnetId, in.RouteTableId = &n.switches[1], table
		done[*vpcsdk.ReplaceRouteTableAssociationResponse](t, n)(c.ReplaceRouteTableAssociation(in))
	}
	bind(rtb)
	t.Cleanup(func() { bind(&n.routeTable) })
	if err := client.tryEcho("tcp", g.internet.echo(t, "tcp"), time.Second/2); err == nil {
		t.Error("a table without a default route leads to the Internet")
	}

	// Two hosts lead to the same place, which the answers are of.
	behind := netip.MustParseAddr("192.168.50.1")
	to := netip.AddrPortFrom(behind, 5300)
	for _, at := range []string{"10.8.1.2", "10.8.1.3"} {
		router := n.host(t, 0, at)
		router.addAddr(t, behind)
		router.serve(t, "udp", to.String())
	}
	route := func(destination, by string) *vpcsdk.Route {
		return &vpcsdk.Route{DestinationCidrBlock: &destination, GatewayType: ptr("NORMAL_CVM"), GatewayId: &by}
	}
	reset := func(routes ...*vpcsdk.Route) {
		t.Helper()
		in := vpcsdk.NewResetRoutesRequest()
		in.RouteTableId, in.RouteTableName, in.Routes = rtb, ptr("special"), routes
		done[*vpcsdk.ResetRoutesResponse](t, n)(c.ResetRoutes(in))
	}
	numbers := func() (list []*vpcsdk.Route) {
		t.Helper()
		in := vpcsdk.NewDescribeRouteTablesRequest()
		in.RouteTableIds = []*string{rtb}
		for _, r := range done[*vpcsdk.DescribeRouteTablesResponse](t, n)(c.DescribeRouteTables(in)).Response.RouteTableSet[0].RouteSet {
			list = append(list, &vpcsdk.Route{RouteId: r.RouteId})
		}
		return list
	}
	t.Cleanup(func() {
		in := vpcsdk.NewDeleteRoutesRequest()
		if in.RouteTableId, in.Routes = rtb, numbers(); len(in.Routes) > 0 {
			done[*vpcsdk.DeleteRoutesResponse](t, n)(c.DeleteRoutes(in))
		}
	})
	first := vpcsdk.NewCreateRoutesRequest()
	first.RouteTableId, first.Routes = rtb, []*vpcsdk.Route{route("192.168.50.0/24", "10.8.1.2")}
	done[*vpcsdk.CreateRoutesResponse](t, n)(c.CreateRoutes(first))
	if got := client.seenAs(t, "udp", to); got.Addr() != client.addr {
		t.Errorf("by the first route seen as %s, not %s", got, client.addr)
	}

	// Whatever way there is, a packet takes the old one or the new one.
	lost := client.pings(t, to)
	for i := range 4 {
		in := vpcsdk.NewReplaceRoutesRequest()
		in.RouteTableId = rtb
		r := route("192.168.50.0/24", []string{"10.8.1.3", "10.8.1.2"}[i%2])
		r.RouteId = numbers()[0].RouteId
		in.Routes = []*vpcsdk.Route{r}
		done[*vpcsdk.ReplaceRoutesResponse](t, n)(c.ReplaceRoutes(in))
	}
	reset(route("192.168.0.0/16", "10.8.1.3"))
	reset(route("192.168.50.0/25", "10.8.1.2"), route("0.0.0.0/0", "10.8.1.3"))
	reset(route("0.0.0.0/0", "10.8.1.2"))
	reset(route("192.168.50.0/24", "10.8.1.2"))
	if sent, missing := lost(); missing > 0 || sent == 0 {
		t.Errorf("%d of %d were lost while routes were replaced", missing, sent)
	}

	bind(&n.routeTable)
	if got := client.seenAs(t, "tcp", g.internet.echo(t, "tcp")); got.Addr() != ip {
		t.Errorf("by the main table again seen as %s, not %s", got, ip)
	}
	bind(rtb)
}
