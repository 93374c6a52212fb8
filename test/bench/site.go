package main

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"time"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

// tableSize is how many DNAT entries the control plane is measured with.
const tableSize = 10_000

// siteConfig is put below the lab's configuration of sluiced: no quota and no
// throttle is in the way of a measurement, nor the bandwidths of elastic IPs.
const siteConfig = `quotas:
  forward_entries: 200000
  vpcs: 1200
  elastic_ips: 200
  vpn_connections_per_gateway: 100
  vpn_policy_routes_per_gateway: 200
throttle:
  per_key: {rate: 0, burst: 1000000}
  total: {rate: 0, burst: 1000000}
log_level: warn
bandwidth: {limits: off}
`

// site is a lab with a sluiced.
type site struct {
	lab    *lab.Lab
	client *aliyun.Client
	holds  string // what it was brought up for

	*natVPC           // the one that theSite makes
	many    []*natVPC // those that siteOfMany and siteOfTwo make
}

// natVPC is a VPC with a NAT gateway, whose DNAT table is measured.
type natVPC struct {
	site    *site
	vpc     string
	gateway string
	table   string // of the DNAT entries
	snat    string // table of the SNAT entries
	vswitch string
	ip      string // the elastic IP that they forward from

	created atomic.Int64 // entries ever created: numbers their ports
}

// theSite brings up a lab at its first call, with a table that is empty.
func (r *run) theSite(ctx context.Context) (*site, error) {
	return r.siteFor(ctx, "one table", func(s *site) (err error) {
		s.natVPC, err = s.addNATVPC(ctx)
		return err
	})
}

// siteFor returns the site that was brought up for a purpose, and makes it, in
// place of another one, if that was not the last.
func (r *run) siteFor(ctx context.Context, purpose string, fill func(*site) error) (*site, error) {
	if r.site != nil && r.site.holds == purpose {
		return r.site, nil
	}
	names := r.labOptions()
	if r.site != nil {
		if err := lab.Remove(ctx, names); err != nil {
			return nil, err
		}
		r.site = nil
	}
	r.say("building sluiced and bringing up a lab for %s", purpose)
	o, err := lab.Build(ctx, filepath.Join(r.dir, "bin"))
	if err != nil {
		return nil, err
	}
	o.Name, o.Dir, o.ExtraConfig = names.Name, names.Dir, siteConfig
	s := &site{holds: purpose}
	if s.lab, err = lab.Up(ctx, o); err != nil {
		return nil, err
	}
	// From here on it is there, though not as it should be.
	r.site = &site{}
	if s.client, err = s.lab.Client(); err != nil {
		return nil, err
	}
	if err := fill(s); err != nil {
		return nil, err
	}
	r.site = s
	return s, nil
}

// withSite brings up a lab that is one measurement's own, beside the one that others share,
// and takes it down when f returns. vary changes its options, which begin with siteConfig.
func (r *run) withSite(ctx context.Context, name string, vary func(*lab.Options), f func(*site) error) (failed error) {
	o, err := lab.Build(ctx, filepath.Join(r.dir, "bin"))
	if err != nil {
		return err
	}
	o.Name, o.Dir, o.ExtraConfig = r.name(name), filepath.Join(r.dir, name), siteConfig
	if vary != nil {
		vary(&o)
	}
	s := &site{}
	if s.lab, err = lab.Up(ctx, o); err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, lab.Remove(context.WithoutCancel(ctx), o)) }()
	if s.client, err = s.lab.Client(); err != nil {
		return err
	}
	return f(s)
}

// addNATVPC makes a VPC with a NAT gateway and an elastic IP.
func (s *site) addNATVPC(ctx context.Context) (*natVPC, error) {
	v := &natVPC{site: s}
	var vpc aliyun.CreateVpcResponse
	if err := s.call(ctx, "CreateVpc", &vpc, "CidrBlock", "10.0.0.0/8"); err != nil {
		return nil, err
	}
	v.vpc = vpc.VpcId
	if err := s.settled(ctx, v.vpc, ""); err != nil {
		return nil, err
	}
	var vsw aliyun.CreateVSwitchResponse
	if err := s.call(ctx, "CreateVSwitch", &vsw, "VpcId", v.vpc, "ZoneId", lab.DefaultRegion+"-a", "CidrBlock", "10.0.0.0/16"); err != nil {
		return nil, err
	}
	var gw aliyun.CreateNatGatewayResponse
	if err := s.call(ctx, "CreateNatGateway", &gw, "VpcId", v.vpc); err != nil {
		return nil, err
	}
	if n := len(gw.ForwardTableIds.ForwardTableId); n != 1 {
		return nil, fmt.Errorf("CreateNatGateway answered %d DNAT tables, not one", n)
	}
	v.gateway, v.table, v.snat, v.vswitch = gw.NatGatewayId, gw.ForwardTableIds.ForwardTableId[0], gw.SnatTableIds.SnatTableId[0], vsw.VSwitchId
	var eip aliyun.AllocateEipAddressResponse
	if err := s.call(ctx, "AllocateEipAddress", &eip); err != nil {
		return nil, err
	}
	v.ip = eip.EipAddress
	if err := s.settled(ctx, v.vpc, gw.NatGatewayId); err != nil {
		return nil, err
	}
	return v, s.call(ctx, "AssociateEipAddress", nil, "AllocationId", eip.AllocationId, "InstanceId", gw.NatGatewayId, "InstanceType", "Nat")
}

// settled waits until a VPC is available, and its NAT gateway if one is named.
func (s *site) settled(ctx context.Context, vpc, gateway string) error {
	ctx, cancel := context.WithTimeout(ctx, 20*time.Second)
	defer cancel()
	return lab.Await(ctx, "wait for the network", func() error {
		var vpcs aliyun.DescribeVpcsResponse
		if err := s.call(ctx, "DescribeVpcs", &vpcs, "VpcId", vpc); err != nil {
			return err
		}
		if l := vpcs.Vpcs.Vpc; len(l) != 1 || l[0].Status != "Available" {
			return fmt.Errorf("VPC %s is not available yet", vpc)
		}
		if gateway == "" {
			return nil
		}
		var gws aliyun.DescribeNatGatewaysResponse
		if err := s.call(ctx, "DescribeNatGateways", &gws, "NatGatewayId", gateway); err != nil {
			return err
		}
		if l := gws.NatGateways.NatGateway; len(l) != 1 || l[0].Status != "Available" {
			return fmt.Errorf("NAT gateway %s is not available yet", gateway)
		}
		return nil
	})
}

// call sends an action with parameters given as name, value, name, value.
func (s *site) call(ctx context.Context, action string, result any, params ...string) error {
	all := map[string]string{"RegionId": lab.DefaultRegion}
	for i := 0; i+1 < len(params); i += 2 {
		all[params[i]] = params[i+1]
	}
	if result == nil {
		_, err := s.client.Call(ctx, action, all)
		return err
	}
	return s.client.CallInto(ctx, action, all, result)
}

// entry is a DNAT entry of the table.
type entry struct {
	id   string
	port uint16 // external
}

// nextPort numbers the entries: 1 to 65535.
func (v *natVPC) nextPort() uint16 { return uint16(v.created.Add(1)-1)%65535 + 1 }

// create creates one more entry and returns it with the time of the call's
// beginning and end.
func (v *natVPC) create(ctx context.Context, port uint16) (e entry, began, ended time.Time, err error) {
	var answer aliyun.CreateForwardEntryResponse
	params := map[string]string{
		"RegionId": lab.DefaultRegion, "ForwardTableId": v.table, "IpProtocol": "UDP",
		"ExternalIp": v.ip, "ExternalPort": strconv.Itoa(int(port)),
		"InternalIp": "10.0.0.10", "InternalPort": strconv.Itoa(int(port)),
	}
	began = time.Now()
	body, err := v.site.client.Call(ctx, "CreateForwardEntry", params)
	ended = time.Now()
	if err == nil {
		err = decode(body, &answer)
	}
	return entry{answer.ForwardEntryId, port}, began, ended, err
}

func (v *natVPC) remove(ctx context.Context, e entry) error {
	return v.site.call(ctx, "DeleteForwardEntry", nil, "ForwardTableId", v.table, "ForwardEntryId", e.id)
}

// count returns how many entries the table has, as the API tells.
func (v *natVPC) count(ctx context.Context) (int, error) {
	var answer aliyun.DescribeForwardTableEntriesResponse
	err := v.site.call(ctx, "DescribeForwardTableEntries", &answer, "ForwardTableId", v.table, "PageSize", "1")
	return answer.TotalCount, err
}
