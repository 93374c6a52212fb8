package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/api/aliyun"
)

func newDraw() *cobra.Command {
	var f profileFlags
	var a adminFlags
	var anonymous bool
	c := &cobra.Command{
		Use:   "draw",
		Short: "Draw VPCs with gateways, VSwitches and hosts as SVG",
		Long: `Draw what there is, as an SVG picture on standard output: each VPC of the account with
its NAT and VPN gateways, their entries and connections, its VSwitches, and the hosts
in them, which the inventory knows.`,
		Example: `  sluicectl draw >gateway.svg
  sluicectl draw --anonymous >example.svg`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := f.resolve(os.Getenv, profilePath())
			if err != nil {
				return err
			}
			client, err := p.client()
			if err != nil {
				return err
			}
			r := &reader{ctx: c.Context(), client: client, region: p.Region, anonymous: anonymous}
			var hosts []admin.Instance
			if err := a.with(func(client *admin.Client) (err error) {
				hosts, err = client.Instances(c.Context(), admin.InstanceFilter{})
				return err
			}); err != nil {
				return err
			}
			vpcs, err := r.vpcs(hosts)
			if err != nil {
				return callError(err)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), picture(vpcs))
			return err
		},
	}
	f.register(c.Flags())
	a.register(c)
	c.Flags().BoolVar(&anonymous, "anonymous", false, "show addresses of the documentation networks (RFC 5737) in place of public ones")
	return c
}

// drawnVPC is what is drawn of a VPC.
type drawnVPC struct {
	title     string
	gateways  []drawnBox // NAT and VPN gateways
	vswitches []drawnVSwitch
}

// drawnBox is a box with a title and lines of text.
type drawnBox struct {
	title string
	lines []string
}

type drawnVSwitch struct {
	title string
	hosts []drawnBox
}

// reader reads all of an account by describing calls.
type reader struct {
	ctx    context.Context
	client *aliyun.Client
	region string

	anonymous bool
	shown     map[string]string // address → the one that is shown in its place
}

// public returns what is shown of a public address: itself, or the next one of a
// documentation network, always the same.
func (r *reader) public(address, network string) string {
	if !r.anonymous || address == "" {
		return address
	}
	if r.shown == nil {
		r.shown = map[string]string{}
	}
	if r.shown[address] == "" {
		r.shown[address] = fmt.Sprintf("%s.%d", network, 10+len(r.shown)%240)
	}
	return r.shown[address]
}

// Networks of examples, RFC 5737: ours, and those of others.
const (
	ours   = "203.0.113"
	others = "198.51.100"
)

// pageSize is the largest that describing calls take.
const pageSize = 50

// list calls a describing action page by page, and adds up what is in the list that get
// takes out of an answer.
func list[A, T any](r *reader, action string, params map[string]string, get func(*A) []T) (all []T, err error) {
	for page := 1; ; page++ {
		given := map[string]string{"RegionId": r.region, "PageSize": strconv.Itoa(pageSize), "PageNumber": strconv.Itoa(page)}
		for name, value := range params {
			given[name] = value
		}
		text, err := r.client.Call(r.ctx, action, given)
		if err != nil {
			return nil, err
		}
		var answer A
		if err := json.Unmarshal(text, &answer); err != nil {
			return nil, fmt.Errorf("%s: the answer cannot be read: %w", action, err)
		}
		some := get(&answer)
		if all = append(all, some...); len(some) < pageSize {
			return all, nil
		}
	}
}

// named is what many resources have.
func named(name, id, cidr string) string {
	if name = cmp.Or(name, id); cidr != "" {
		return name + "  " + cidr
	}
	return name
}

func (r *reader) vpcs(hosts []admin.Instance) ([]drawnVPC, error) {
	type vpc struct{ VpcId, VpcName, CidrBlock, CreationTime string }
	type answer struct{ Vpcs struct{ Vpc []vpc } }
	all, err := list(r, "DescribeVpcs", nil, func(a *answer) []vpc { return a.Vpcs.Vpc })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b vpc) int {
		return cmp.Or(cmp.Compare(a.CreationTime, b.CreationTime), cmp.Compare(a.VpcName, b.VpcName), cmp.Compare(a.VpcId, b.VpcId))
	})
	var out []drawnVPC
	for _, v := range all {
		d := drawnVPC{title: named(v.VpcName, v.VpcId, v.CidrBlock)}
		if d.gateways, err = r.gateways(v.VpcId); err != nil {
			return nil, err
		}
		vpns, err := r.vpnGateways(v.VpcId)
		if err != nil {
			return nil, err
		}
		d.gateways = append(d.gateways, vpns...)
		if d.vswitches, err = r.vswitches(v.VpcId, hosts); err != nil {
			return nil, err
		}
		out = append(out, d)
	}
	return out, nil
}

func (r *reader) gateways(vpc string) ([]drawnBox, error) {
	type gateway struct {
		NatGatewayId, Name, Spec string
		SnatTableIds             struct{ SnatTableId []string }
		ForwardTableIds          struct{ ForwardTableId []string }
	}
	type answer struct {
		NatGateways struct{ NatGateway []gateway }
	}
	all, err := list(r, "DescribeNatGateways", map[string]string{"VpcId": vpc}, func(a *answer) []gateway { return a.NatGateways.NatGateway })
	if err != nil {
		return nil, err
	}
	var out []drawnBox
	for _, g := range all {
		box := drawnBox{title: "NAT gateway " + named(g.Name, g.NatGatewayId, "")}
		for _, table := range g.SnatTableIds.SnatTableId {
			type entry struct{ SnatIp, SourceCIDR string }
			type answer struct {
				SnatTableEntries struct{ SnatTableEntry []entry }
			}
			entries, err := list(r, "DescribeSnatTableEntries", map[string]string{"SnatTableId": table}, func(a *answer) []entry { return a.SnatTableEntries.SnatTableEntry })
			if err != nil {
				return nil, err
			}
			slices.SortStableFunc(entries, func(a, b entry) int { return cmp.Compare(a.SourceCIDR, b.SourceCIDR) })
			for _, e := range entries {
				ips := strings.Split(e.SnatIp, ",")
				for i := range ips {
					ips[i] = r.public(ips[i], ours)
				}
				box.lines = append(box.lines, fmt.Sprintf("%s → %s", e.SourceCIDR, strings.Join(ips, ",")))
			}
		}
		for _, table := range g.ForwardTableIds.ForwardTableId {
			type entry struct{ ExternalIp, ExternalPort, InternalIp, InternalPort, IpProtocol string }
			type answer struct {
				ForwardTableEntries struct{ ForwardTableEntry []entry }
			}
			entries, err := list(r, "DescribeForwardTableEntries", map[string]string{"ForwardTableId": table}, func(a *answer) []entry { return a.ForwardTableEntries.ForwardTableEntry })
			if err != nil {
				return nil, err
			}
			slices.SortStableFunc(entries, func(a, b entry) int {
				return cmp.Or(cmp.Compare(a.InternalIp, b.InternalIp), cmp.Compare(a.InternalPort, b.InternalPort), cmp.Compare(a.ExternalPort, b.ExternalPort))
			})
			for _, e := range entries {
				box.lines = append(box.lines, fmt.Sprintf("%s:%s → %s:%s %s", r.public(e.ExternalIp, ours), e.ExternalPort, e.InternalIp, e.InternalPort, e.IpProtocol))
			}
		}
		out = append(out, box)
	}
	return out, nil
}

func (r *reader) vpnGateways(vpc string) ([]drawnBox, error) {
	type gateway struct{ VpnGatewayId, Name, InternetIp string }
	type answer struct {
		VpnGateways struct{ VpnGateway []gateway }
	}
	all, err := list(r, "DescribeVpnGateways", map[string]string{"VpcId": vpc}, func(a *answer) []gateway { return a.VpnGateways.VpnGateway })
	if err != nil {
		return nil, err
	}
	type customer struct{ CustomerGatewayId, IpAddress string }
	type customers struct {
		CustomerGateways struct{ CustomerGateway []customer }
	}
	remote := map[string]string{}
	if len(all) > 0 {
		peers, err := list(r, "DescribeCustomerGateways", nil, func(a *customers) []customer { return a.CustomerGateways.CustomerGateway })
		if err != nil {
			return nil, err
		}
		for _, p := range peers {
			remote[p.CustomerGatewayId] = p.IpAddress
		}
	}
	var out []drawnBox
	for _, g := range all {
		box := drawnBox{title: "VPN gateway " + named(g.Name, g.VpnGatewayId, "")}
		type connection struct{ CustomerGatewayId, LocalSubnet, RemoteSubnet string }
		type answer struct {
			VpnConnections struct{ VpnConnection []connection }
		}
		connections, err := list(r, "DescribeVpnConnections", map[string]string{"VpnGatewayId": g.VpnGatewayId}, func(a *answer) []connection { return a.VpnConnections.VpnConnection })
		if err != nil {
			return nil, err
		}
		slices.SortStableFunc(connections, func(a, b connection) int { return cmp.Compare(a.RemoteSubnet, b.RemoteSubnet) })
		for _, c := range connections {
			box.lines = append(box.lines, fmt.Sprintf("%s = %s ⇄ %s", r.public(g.InternetIp, ours), r.public(remote[c.CustomerGatewayId], others), c.RemoteSubnet))
		}
		out = append(out, box)
	}
	return out, nil
}

func (r *reader) vswitches(vpc string, hosts []admin.Instance) ([]drawnVSwitch, error) {
	type vswitch struct{ VSwitchId, VSwitchName, CidrBlock string }
	type answer struct{ VSwitches struct{ VSwitch []vswitch } }
	all, err := list(r, "DescribeVSwitches", map[string]string{"VpcId": vpc}, func(a *answer) []vswitch { return a.VSwitches.VSwitch })
	if err != nil {
		return nil, err
	}
	slices.SortFunc(all, func(a, b vswitch) int {
		return cmp.Or(cmp.Compare(a.CidrBlock, b.CidrBlock), cmp.Compare(a.VSwitchId, b.VSwitchId))
	})
	var out []drawnVSwitch
	for _, v := range all {
		d := drawnVSwitch{title: named(v.VSwitchName, v.VSwitchId, v.CidrBlock)}
		for _, h := range hosts {
			if h.VSwitch == v.VSwitchId {
				d.hosts = append(d.hosts, drawnBox{title: h.ID, lines: []string{h.PrivateIP}})
			}
		}
		slices.SortFunc(d.hosts, func(a, b drawnBox) int { return cmp.Compare(a.title, b.title) })
		out = append(out, d)
	}
	return out, nil
}
