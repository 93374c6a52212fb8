package tencent3

import (
	"encoding/json"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"

	vpcsdk "github.com/tencentcloud/tencentcloud-sdk-go/tencentcloud/vpc/v20170312"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// provider calls what Terraform's provider tencentcloudstack/tencentcloud calls for its
// resources, with its parameters, and demands of the answers what it reads without looking.
type provider struct {
	*world
	c                               *vpcsdk.Client
	vpc, subnet, table, host, group string
}

// life is what a resource goes through: it is made, read, changed, read, deleted, and gone in
// the way that the provider sees.
type life struct {
	resource string
	create   func(*provider) (id string)
	read     func(p *provider, id string) (state string, there bool)
	want     string // state when it is made; <name> stands for an id of the provider
	update   func(p *provider, id string)
	updated  string // state afterwards
	delete   func(p *provider, id string)
}

// TestTerraform: the calls of Terraform's provider make, change and delete each of its
// resources whose actions the document has.
func TestTerraform(t *testing.T) {
	for _, l := range slices.Concat(networkLives, groupLives, interfaceLives, vpnLives) {
		t.Run(l.resource, func(t *testing.T) {
			p := newProvider(t)
			id := l.create(p)
			expect := func(when, want string) {
				t.Helper()
				if state, there := l.read(p, id); !there || state != p.names(want) {
					t.Fatalf("%s, it is there: %v\n%s\nnot\n%s", when, there, state, p.names(want))
				}
			}
			expect("when it is made", l.want)
			if l.update != nil {
				l.update(p, id)
				expect("when it is changed", l.updated)
			}
			l.delete(p, id)
			if state, there := l.read(p, id); there {
				t.Errorf("it was deleted, and is %s", state)
			}
		})
	}
}

func newProvider(t *testing.T) *provider {
	w := newWorld(t)
	p := &provider{world: w, c: w.client("AKIDalice", "POST", "TC3-HMAC-SHA256"), vpc: w.VPC(planetest.Alice, "10.8.0.0/16").VPC}
	p.subnet = w.VSwitch(planetest.Alice, p.vpc, "10.8.1.0/24")
	p.host = w.Instance(p.subnet, "10.8.1.10", resource.Host)
	r := vpcsdk.NewCreateRouteTableRequest()
	r.VpcId, r.RouteTableName = &p.vpc, ptr("made before")
	p.table = *must[*vpcsdk.CreateRouteTableResponse](t)(p.c.CreateRouteTable(r)).Response.RouteTable.RouteTableId
	g := vpcsdk.NewCreateSecurityGroupRequest()
	g.GroupName, g.GroupDescription = ptr("web"), ptr("made before")
	p.group = *must[*vpcsdk.CreateSecurityGroupResponse](t)(p.c.CreateSecurityGroup(g)).Response.SecurityGroup.SecurityGroupId
	return p
}

// names puts the provider's ids where their names are.
func (p *provider) names(s string) string {
	return strings.NewReplacer("<vpc>", p.vpc, "<subnet>", p.subnet, "<table>", p.table, "<host>", p.host, "<group>", p.group).Replace(s)
}

// did demands that a call which the client has no parameters for passes, and returns its answer.
func (p *provider) did(into any, action string, params ...string) {
	p.t.Helper()
	code, message, answer := p.call(action, params...)
	if code != "OK" {
		p.t.Fatalf("%s: %s: %s", action, code, message)
	}
	if err := json.Unmarshal(answer, into); err != nil {
		p.t.Fatal(err)
	}
}

// state writes what pointers of an answer point to, and demands that none is nil: the provider
// does not ask.
func (p *provider) state(of ...any) string {
	p.t.Helper()
	var list []string
	for i, x := range of {
		v := reflect.ValueOf(x)
		if v.Kind() == reflect.Pointer {
			if v.IsNil() {
				p.t.Fatalf("member %d that the provider reads is not there", i)
			}
			v = v.Elem()
		}
		if v.Kind() == reflect.Slice && v.Type().Elem().Kind() == reflect.Pointer {
			var items []string
			for i := range v.Len() {
				items = append(items, fmt.Sprint(v.Index(i).Elem()))
			}
			list = append(list, "["+strings.Join(items, " ")+"]")
			continue
		}
		list = append(list, fmt.Sprint(v))
	}
	return strings.Join(list, " ")
}

func by(pairs ...string) (list []*vpcsdk.Filter) {
	for i := 0; i < len(pairs); i += 2 {
		list = append(list, &vpcsdk.Filter{Name: &pairs[i], Values: []*string{&pairs[i+1]}})
	}
	return list
}

// whole is a page as the provider asks for it.
func whole() (offset, limit *string) { return ptr("0"), ptr("100") }

func (p *provider) tables(filters ...string) []*vpcsdk.RouteTable {
	p.t.Helper()
	r := vpcsdk.NewDescribeRouteTablesRequest()
	r.Filters = by(filters...)
	r.Offset, r.Limit = whole()
	return must[*vpcsdk.DescribeRouteTablesResponse](p.t)(p.c.DescribeRouteTables(r)).Response.RouteTableSet
}

func (p *provider) subnets(filters ...string) []*vpcsdk.Subnet {
	p.t.Helper()
	r := vpcsdk.NewDescribeSubnetsRequest()
	r.Filters = by(filters...)
	r.Offset, r.Limit = whole()
	return must[*vpcsdk.DescribeSubnetsResponse](p.t)(p.c.DescribeSubnets(r)).Response.SubnetSet
}

func (p *provider) associate(subnet, table string) {
	p.t.Helper()
	r := vpcsdk.NewReplaceRouteTableAssociationRequest()
	r.SubnetId, r.RouteTableId = &subnet, &table
	must[*vpcsdk.ReplaceRouteTableAssociationResponse](p.t)(p.c.ReplaceRouteTableAssociation(r))
}

func (p *provider) mainTable() string {
	p.t.Helper()
	return *p.tables("vpc-id", p.vpc, "association.main", "true")[0].RouteTableId
}

var networkLives = []life{
	{
		resource: "vpc",
		create: func(p *provider) string {
			var made struct{ Vpc struct{ VpcId string } }
			p.did(&made, "CreateVpc", "VpcName", "ci-vpc", "CidrBlock", "10.9.0.0/16", "EnableMulticast", "false", "DnsServers.0", "119.29.29.29",
				"EnableRouteVpcPublish", "false", "EnableRouteVpcPublishIpv6", "false")
			return made.Vpc.VpcId
		},
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeVpcsRequest()
			r.Filters = by("vpc-id", id)
			r.Offset, r.Limit = whole()
			list := must[*vpcsdk.DescribeVpcsResponse](p.t)(p.c.DescribeVpcs(r)).Response
			if len(list.VpcSet) == 0 {
				return "", false
			}
			v := list.VpcSet[0]
			main := p.tables("vpc-id", id, "association.main", "true")
			p.state(v.CreatedTime)
			return p.state(list.TotalCount, v.VpcName, v.CidrBlock, v.DnsServerSet, v.IsDefault, v.EnableMulticast, len(main), main[0].Main), true
		},
		want: "1 ci-vpc 10.9.0.0/16 [119.29.29.29] false false 1 true",
		update: func(p *provider, id string) {
			p.did(&struct{}{}, "ModifyVpcAttribute", "VpcId", id, "VpcName", "renamed", "DnsServers.0", "8.8.8.8", "DnsServers.1", "119.29.29.29", "EnableMulticast", "true",
				"EnableRouteVpcPublish", "false", "EnableRouteVpcPublishIpv6", "false")
		},
		updated: "1 renamed 10.9.0.0/16 [8.8.8.8 119.29.29.29] false true 1 true",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteVpcRequest()
			r.VpcId = &id
			must[*vpcsdk.DeleteVpcResponse](p.t)(p.c.DeleteVpc(r))
			if _, err := p.c.DeleteVpc(r); !refusedWith(err, "ResourceNotFound") {
				p.t.Errorf("deleted once more: %v", err)
			}
		},
	},
	{
		resource: "subnet",
		create: func(p *provider) string {
			r := vpcsdk.NewCreateSubnetRequest()
			r.VpcId, r.SubnetName, r.CidrBlock, r.Zone = &p.vpc, ptr("ci-subnet"), ptr("10.8.20.0/28"), ptr(planetest.Zone)
			id := *must[*vpcsdk.CreateSubnetResponse](p.t)(p.c.CreateSubnet(r)).Response.Subnet.SubnetId
			p.associate(id, p.table)
			m := vpcsdk.NewModifySubnetAttributeRequest()
			m.SubnetId, m.SubnetName, m.EnableBroadcast = &id, ptr("ci-subnet"), ptr("true")
			must[*vpcsdk.ModifySubnetAttributeResponse](p.t)(p.c.ModifySubnetAttribute(m))
			return id
		},
		read: func(p *provider, id string) (string, bool) {
			list := p.subnets("subnet-id", id)
			if len(list) == 0 {
				return "", false
			}
			v := list[0]
			p.state(v.CreatedTime)
			return p.state(v.VpcId, v.SubnetName, v.CidrBlock, v.Zone, v.IsDefault, v.EnableBroadcast, v.RouteTableId, v.AvailableIpAddressCount, "cdc:"+*v.CdcId), true
		},
		want: "<vpc> ci-subnet 10.8.20.0/28 " + planetest.Zone + " false true <table> 13 cdc:",
		update: func(p *provider, id string) {
			m := vpcsdk.NewModifySubnetAttributeRequest()
			m.SubnetId, m.SubnetName, m.EnableBroadcast = &id, ptr("renamed"), ptr("false")
			must[*vpcsdk.ModifySubnetAttributeResponse](p.t)(p.c.ModifySubnetAttribute(m))
		},
		updated: "<vpc> renamed 10.8.20.0/28 " + planetest.Zone + " false false <table> 13 cdc:",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteSubnetRequest()
			r.SubnetId = &id
			must[*vpcsdk.DeleteSubnetResponse](p.t)(p.c.DeleteSubnet(r))
		},
	},
	{
		resource: "route_table",
		create: func(p *provider) string {
			r := vpcsdk.NewCreateRouteTableRequest()
			r.VpcId, r.RouteTableName = &p.vpc, ptr("ci-table")
			return *must[*vpcsdk.CreateRouteTableResponse](p.t)(p.c.CreateRouteTable(r)).Response.RouteTable.RouteTableId
		},
		read: func(p *provider, id string) (string, bool) {
			list := p.tables("route-table-id", id)
			if len(list) == 0 {
				return "", false
			}
			v := list[0]
			p.state(v.CreatedTime)
			return p.state(v.VpcId, v.RouteTableName, v.Main, len(v.AssociationSet), len(v.RouteSet)), true
		},
		want: "<vpc> ci-table false 0 0",
		update: func(p *provider, id string) {
			r := vpcsdk.NewModifyRouteTableAttributeRequest()
			r.RouteTableId, r.RouteTableName = &id, ptr("renamed")
			must[*vpcsdk.ModifyRouteTableAttributeResponse](p.t)(p.c.ModifyRouteTableAttribute(r))
		},
		updated: "<vpc> renamed false 0 0",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDeleteRouteTableRequest()
			r.RouteTableId = &id
			must[*vpcsdk.DeleteRouteTableResponse](p.t)(p.c.DeleteRouteTable(r))
		},
	},
	{
		resource: "route_table_entry",
		create: func(p *provider) string {
			p.route(p.table, "192.168.7.0/24") // another one, which is not shown as made
			return p.route(p.table, "192.168.8.0/24")
		},
		read: func(p *provider, id string) (string, bool) {
			number, table, _ := strings.Cut(id, ".")
			for _, v := range p.tables("route-table-id", table, "vpc-id", p.vpc)[0].RouteSet {
				if p.state(v.RouteId) == number {
					if !strings.HasPrefix(p.state(v.RouteItemId), "rti-") {
						p.t.Errorf("the route's own id is %s", *v.RouteItemId)
					}
					return p.state(v.DestinationCidrBlock, v.GatewayType, v.GatewayId, v.RouteDescription, v.RouteType, v.Enabled), true
				}
			}
			return "", false
		},
		want: "192.168.8.0/24 NORMAL_CVM 10.8.1.10 a way USER true",
		delete: func(p *provider, id string) {
			number, table, _ := strings.Cut(id, ".")
			p.did(&struct{}{}, "DeleteRoutes", "RouteTableId", table, "Routes.0.RouteId", number)
		},
	},
	{
		resource: "route_table_association",
		create:   func(p *provider) string { p.associate(p.subnet, p.table); return p.subnet },
		read: func(p *provider, id string) (string, bool) {
			table := p.state(p.subnets("subnet-id", id)[0].RouteTableId)
			return table, table != p.mainTable()
		},
		want:   "<table>",
		delete: func(p *provider, id string) { p.associate(id, p.mainTable()) },
	},
	{
		resource: "vpc_classic_link_attachment",
		create: func(p *provider) string {
			p.Settings.Classic = classicNetworks()
			r := vpcsdk.NewAttachClassicLinkVpcRequest()
			r.VpcId, r.InstanceIds = &p.vpc, []*string{ptr(p.addClassic(planetest.Alice, "ins-classic", "10.200.0.5"))}
			must[*vpcsdk.AttachClassicLinkVpcResponse](p.t)(p.c.AttachClassicLinkVpc(r))
			return "ins-classic"
		},
		read: func(p *provider, id string) (string, bool) {
			r := vpcsdk.NewDescribeClassicLinkInstancesRequest()
			r.Filters = []*vpcsdk.FilterObject{{Name: ptr("vpc-id"), Values: []*string{&p.vpc}}}
			r.Offset, r.Limit = ptr("0"), ptr("20")
			for _, x := range must[*vpcsdk.DescribeClassicLinkInstancesResponse](p.t)(p.c.DescribeClassicLinkInstances(r)).Response.ClassicLinkInstanceSet {
				if *x.InstanceId == id {
					return p.state(x.VpcId, x.InstanceId), true
				}
			}
			return "", false
		},
		want: "<vpc> ins-classic",
		delete: func(p *provider, id string) {
			r := vpcsdk.NewDetachClassicLinkVpcRequest()
			r.VpcId, r.InstanceIds = &p.vpc, []*string{&id}
			must[*vpcsdk.DetachClassicLinkVpcResponse](p.t)(p.c.DetachClassicLinkVpc(r))
		},
	},
}

// route makes a route as the provider does, and returns the provider's id of it.
func (p *provider) route(table, destination string) string {
	p.t.Helper()
	r := vpcsdk.NewCreateRoutesRequest()
	r.RouteTableId = &table
	r.Routes = []*vpcsdk.Route{{DestinationCidrBlock: &destination, GatewayType: ptr("NORMAL_CVM"), GatewayId: ptr("10.8.1.10"), RouteDescription: ptr("a way"), Enabled: ptr(true)}}
	made := must[*vpcsdk.CreateRoutesResponse](p.t)(p.c.CreateRoutes(r)).Response
	if *made.TotalCount != 1 || len(made.RouteTableSet) != 1 || len(made.RouteTableSet[0].RouteSet) != 1 {
		p.t.Fatalf("one route was made, and told of %s", r.ToJsonString())
	}
	return p.state(made.RouteTableSet[0].RouteSet[0].RouteId) + "." + table
}
