package compile_test

import (
	"fmt"
	"math/rand/v2"
	"net/netip"

	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
)

// randomGroups returns security groups with templates, and interfaces that they hold for, also
// in another VPC. They name what is there, and what is not.
func randomGroups(r *rand.Rand) (out []resource.Resource) {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	for i := range r.IntN(3) {
		out = append(out, &resource.Template{Meta: groupMeta(fmt.Sprintf("ipm-%d", i)), Of: resource.AddressTemplate, Items: []string{pick("10.0.0.1", "10.1.0.9/8", "192.168.0.3-192.168.0.9", "?")}},
			&resource.Template{Meta: groupMeta(fmt.Sprintf("ppm-%d", i)), Of: resource.ServiceTemplate, Items: []string{pick("tcp:80,443", "udp:all", "icmp", "?")}})
	}
	for i := range r.IntN(2) {
		out = append(out, &resource.TemplateGroup{Meta: groupMeta(fmt.Sprintf("ipmg-%d", i)), Of: resource.AddressTemplate, Templates: []string{pick("ipm-0", "ipm-1", "ipm-gone")}},
			&resource.TemplateGroup{Meta: groupMeta(fmt.Sprintf("ppmg-%d", i)), Of: resource.ServiceTemplate, Templates: []string{pick("ppm-0", "ppm-1", "ppm-gone")}})
	}
	rule := func() resource.SecurityRule {
		x := resource.SecurityRule{Accept: r.IntN(2) == 0}
		switch r.IntN(3) {
		case 0:
			x.Service = pick("ppm-0", "ppm-1", "ppm-gone")
		case 1:
			x.ServiceGroup = pick("ppmg-0", "ppmg-gone")
		default:
			x.Protocol = pick("tcp", "udp", "icmp", "gre", "all")
			if x.Protocol == "tcp" {
				x.Ports = resource.SecurityPorts{First: 80, Last: uint16(80 + r.IntN(9))}
			}
		}
		switch r.IntN(4) {
		case 0:
			x.Addresses = pick("ipm-0", "ipm-1", "ipm-gone")
		case 1:
			x.AddressGroup = pick("ipmg-0", "ipmg-gone")
		case 2:
			x.Group = pick("sg-0", "sg-1", "sg-gone")
		default:
			x.CIDR = netip.MustParsePrefix(pick("0.0.0.0/0", "10.0.0.0/16", "10.0.0.7/32"))
		}
		return x
	}
	for i := range r.IntN(4) {
		g := &resource.SecurityGroup{Meta: groupMeta(fmt.Sprintf("sg-%d", i))}
		for range r.IntN(5) {
			g.Ingress = append(g.Ingress, rule())
		}
		for range r.IntN(5) {
			g.Egress = append(g.Egress, rule())
		}
		out = append(out, g)
	}
	for i := range r.IntN(6) {
		x := nattest.Interface(fmt.Sprintf("eni-g%d", i), pick("vpc-a", "vpc-a", "vpc-b"), "vsw-x", fmt.Sprintf("10.0.3.%d", 30+r.IntN(8)))
		x.MAC, x.Instance = pick("", "02:00:00:00:00:09"), pick("", "i-1")
		for range r.IntN(3) {
			x.SecurityGroups = append(x.SecurityGroups, pick("sg-0", "sg-1", "sg-2", "sg-gone"))
		}
		out = append(out, x)
	}
	return out
}

func groupMeta(id string) resource.Meta { return nattest.VPC(id, "10.0.0.0/16").Meta }
