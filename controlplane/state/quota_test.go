package state

import (
	"context"
	"errors"
	"net/netip"
	"slices"
	"strconv"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/controlplane/store/memory"
	"sluice/dataplane"
)

// samples make, of each quota, the i-th resource that counts for it, all under one key;
// of a quota of parts, one resource with i parts.
var samples = map[string]func(i int) resource.Resource{
	"vpcs": func(i int) resource.Resource { return &resource.VPC{Meta: meta("vpc", i)} },
	"user_cidrs": func(i int) resource.Resource {
		return &resource.VPC{Meta: meta("vpc", 0), UserCIDRs: make([]netip.Prefix, i)}
	},
	"secondary_cidrs": func(i int) resource.Resource {
		return &resource.VPC{Meta: meta("vpc", 0), Secondary: make([]netip.Prefix, i)}
	},
	"route_tables": func(i int) resource.Resource {
		return &resource.RouteTable{Meta: meta("vtb", i), VPC: "v", Custom: true}
	},
	"route_entries": func(i int) resource.Resource { return &resource.RouteEntry{Meta: meta("rte", i), Table: "t"} },
	"ha_vip_route_entries": func(i int) resource.Resource {
		return &resource.RouteEntry{Meta: meta("rte", i), Table: "t", NextHops: toHaVip}
	},
	"router_interfaces": func(i int) resource.Resource {
		return &resource.RouterInterface{Meta: meta("ri", i), Router: strconv.Itoa(i)}
	},
	"router_interfaces_per_router": func(i int) resource.Resource {
		return &resource.RouterInterface{Meta: meta("ri", i), Router: "r"}
	},
	"vswitches_per_vpc": func(i int) resource.Resource { return &resource.VSwitch{Meta: meta("vsw", i), VPC: "v"} },
	"instances_per_vpc": func(i int) resource.Resource { return &resource.Instance{Meta: meta("i", i), VPC: "v"} },
	"security_groups_per_network_interface": func(i int) resource.Resource {
		return &resource.NetworkInterface{Meta: meta("eni", 0), SecurityGroups: make([]string, i)}
	},
	"templates": func(i int) resource.Resource { return &resource.Template{Meta: meta("ipm", i)} },
	"items_per_template": func(i int) resource.Resource {
		return &resource.Template{Meta: meta("ipm", 0), Items: make([]string, i)}
	},
	"template_groups": func(i int) resource.Resource { return &resource.TemplateGroup{Meta: meta("ipmg", i)} },
	"templates_per_group": func(i int) resource.Resource {
		return &resource.TemplateGroup{Meta: meta("ipmg", 0), Templates: make([]string, i)}
	},
	"classic_links_per_vpc": func(i int) resource.Resource { return &resource.ClassicLink{Meta: meta("vcx", i), VPC: "v"} },
	"security_groups":       func(i int) resource.Resource { return &resource.SecurityGroup{Meta: meta("sg", i), Project: "0"} },
	"rules_per_security_group": func(i int) resource.Resource {
		return &resource.SecurityGroup{Meta: meta("sg", 0), Egress: make([]resource.SecurityRule, i)}
	},
	"elastic_ips_allocated_per_day": func(i int) resource.Resource {
		return &resource.AddressUse{Meta: meta("use", 0), Allocated: i}
	},
	"public_addresses_reassigned_per_day": func(i int) resource.Resource {
		return &resource.AddressUse{Meta: meta("use", 0), Reassigned: i}
	},
	"network_interfaces": func(i int) resource.Resource { return &resource.NetworkInterface{Meta: meta("eni", i)} },
	"network_interfaces_per_instance": func(i int) resource.Resource {
		return &resource.NetworkInterface{Meta: meta("eni", i), Instance: "i", Primary: i == 0}
	},
	"addresses_per_network_interface": func(i int) resource.Resource {
		return &resource.NetworkInterface{Meta: meta("eni", 0), Addresses: make([]resource.PrivateAddress, i)}
	},
	"ha_vips": func(i int) resource.Resource { return &resource.HaVip{Meta: meta("havip", i)} },
	"instances_per_ha_vip": func(i int) resource.Resource {
		return &resource.HaVip{Meta: meta("havip", 0), Instances: make([]string, i)}
	},
	"elastic_ips":             func(i int) resource.Resource { return &resource.ElasticIP{Meta: meta("eip", i)} },
	"elastic_ips_per_package": func(i int) resource.Resource { return &resource.ElasticIP{Meta: meta("eip", i), Package: "p"} },
	"addresses_per_bandwidth_package": func(i int) resource.Resource {
		return &resource.ElasticIP{Meta: meta("nateip", i), NATPackage: "p"}
	},
	"bandwidth_packages_per_gateway": func(i int) resource.Resource {
		return &resource.NATPackage{Meta: meta("bwp", i), Gateway: "g"}
	},
	"common_bandwidth_packages": func(i int) resource.Resource { return &resource.CommonPackage{Meta: meta("cbwp", i)} },
	"forward_entries":           func(i int) resource.Resource { return &resource.ForwardEntry{Meta: meta("fwd", i), Table: "t"} },
	"forward_entry_ports": func(i int) resource.Resource {
		return &resource.ForwardEntry{Meta: meta("fwd", 0), Protocol: resource.TCP, ExternalPort: 1, ExternalLast: uint16(i), InternalPort: 1, InternalLast: uint16(i)}
	},
	"nat_gateways_per_vpc": func(i int) resource.Resource { return &resource.NATGateway{Meta: meta("ngw", i), VPC: "v"} },
	"snat_entries":         func(i int) resource.Resource { return &resource.SNATEntry{Meta: meta("snat", i), Table: "t"} },
	"snat_pool_addresses": func(i int) resource.Resource {
		return &resource.SNATEntry{Meta: meta("snat", 0), Pool: make([]netip.Addr, i)}
	},
	"global_acceleration_instances": func(i int) resource.Resource {
		return &resource.AccelerationInstance{Meta: meta("ga", i)}
	},
	"global_acceleration_instances_per_backend": func(i int) resource.Resource {
		return &resource.AccelerationInstance{Meta: meta("ga", i), Backend: &resource.AccelerationBackend{ID: "i"}}
	},
	"customer_gateways": func(i int) resource.Resource { return &resource.CustomerGateway{Meta: meta("cgw", i)} },
	"vpn_connections_per_gateway": func(i int) resource.Resource {
		return &resource.VPNConnection{Meta: meta("vco", i), Gateway: "g", IKE: resource.IKEConfig{IKE: dataplane.IKE{Version: 1, Proposal: proposal}}, IPsec: dataplane.ESP{Proposal: proposal}}
	},
	"ssl_vpn_servers_per_gateway": func(i int) resource.Resource {
		return &resource.SSLServer{Meta: meta("vss", i), Gateway: "g", Cipher: dataplane.SSLAES128}
	},
	"ssl_vpn_certificates_per_server": func(i int) resource.Resource {
		return &resource.SSLCertificate{Meta: meta("vsc", i), Server: "s"}
	},
	"vpn_routes_per_gateway": func(i int) resource.Resource { return &resource.VPNRoute{Meta: meta("r", i), Gateway: "g"} },
	"vpn_policy_routes_per_gateway": func(i int) resource.Resource {
		return &resource.VPNRoute{Meta: meta("r", i), Gateway: "g", Source: anyBlock}
	},
	"physical_connections_per_access_point": func(i int) resource.Resource {
		return &resource.PhysicalConnection{Meta: meta("pc", i), AccessPoint: "ap", State: resource.LineEnabled}
	},
	"physical_connections_not_enabled": func(i int) resource.Resource {
		return &resource.PhysicalConnection{Meta: meta("pc", i), AccessPoint: "ap", State: resource.LineApproved}
	},
	"border_routers_per_physical_connection": func(i int) resource.Resource {
		return &resource.VirtualBorderRouter{Meta: meta("vbr", i), Line: "pc"}
	},
	"border_routers": func(i int) resource.Resource {
		return &resource.VirtualBorderRouter{Meta: meta("vbr", i), Line: "pc-" + strconv.Itoa(i)}
	},
	"ram_users":                func(i int) resource.Resource { return &resource.User{Meta: meta("u", i)} },
	"ram_policies":             func(i int) resource.Resource { return &resource.Policy{Meta: meta("p", i)} },
	"ram_access_keys_per_user": func(i int) resource.Resource { return &resource.AccessKey{Meta: meta("k", i), User: "u"} },
	"ram_policies_per_user": func(i int) resource.Resource {
		return &resource.User{Meta: meta("u", 0), Attached: make([]resource.Attachment, i)}
	},
	"ram_policy_versions": func(i int) resource.Resource {
		return &resource.Policy{Meta: meta("p", 0), Versions: make([]resource.PolicyVersion, i)}
	},
	"tags": func(i int) resource.Resource {
		t := &resource.TagSet{Meta: meta("vpc", 0), Tags: map[string]string{}}
		for n := range i {
			t.Tags[strconv.Itoa(n)] = ""
		}
		return t
	},
}

var (
	toHaVip  = []resource.NextHop{{Type: resource.NextHopVirtualIP, ID: "havip"}}
	proposal = dataplane.Proposal{Encryption: dataplane.AES128, Integrity: dataplane.SHA1, Group: 2}
	anyBlock = netip.MustParsePrefix("10.0.0.0/8")
)

func meta(prefix string, i int) resource.Meta {
	return resource.Meta{ID: prefix + "-" + strconv.Itoa(i), Account: "a", Region: "r"}
}

// TestQuotas holds each registered quota to its number: Room and Fits refuse what a
// transaction that goes beyond it is refused for as well, with its own reason; and what
// was beyond it before may stay and become less.
func TestQuotas(t *testing.T) {
	const most = 3
	for _, k := range kinds {
		for _, q := range quotasOf[k.name()] {
			t.Run(q.Name, func(t *testing.T) {
				make := samples[q.Name]
				if make == nil {
					t.Fatal("there is no sample of what it counts")
				}
				number := most
				allowed := func(account string) map[string]int {
					if account != "a" {
						t.Errorf("asked for account %q", account)
					}
					m := map[string]int{}
					for _, other := range quotasOf[k.name()] {
						m[other.Name] = 100
					}
					m[q.Name] = number
					return m
				}
				db, err := Open(context.Background(), memory.New(10).Open())
				if err != nil {
					t.Fatal(err)
				}
				put := func(rs ...resource.Resource) error {
					return db.Update(context.Background(), func(tx *Tx) error {
						for _, r := range rs {
							if old, ok := tx.table(r.Kind()).get(r.Metadata().ID); ok {
								r.Metadata().Created = old.Metadata().Created
							}
							tx.Put(r)
						}
						return tx.Exceeded(allowed)
					})
				}
				refused := func(err error, have, more int) {
					t.Helper()
					var f *fault.Error
					if !errors.As(err, &f) || f.Reason != q.reason || f.Quota == nil || *f.Quota != (fault.Quota{Have: have, More: more, Most: number}) {
						t.Errorf("%v, %+v; want %q with %d and %d more", err, f, q.reason, have, more)
					}
				}
				if q.parts != nil {
					if err := errors.Join(Fits(allowed, make(most)), put(make(most))); err != nil {
						t.Error(err)
					}
					refused(Fits(allowed, make(most+1)), 0, most+1)
					refused(put(make(most+1)), most, 1)
					number = 1
					if err := put(make(2)); err != nil {
						t.Errorf("beyond the quota, made smaller: %v", err)
					}
					refused(Fits(allowed, make(2)), 0, 2)
					return
				}
				var all []resource.Resource
				for i := range most {
					all = append(all, make(i))
				}
				if err := db.View().Room(allowed, nil, all...); err != nil {
					t.Error(err)
				}
				refused(db.View().Room(allowed, nil, append(slices.Clone(all), make(most))...), 0, most+1)
				for _, r := range all {
					if err := put(r); err != nil {
						t.Fatal(err)
					}
				}
				refused(db.View().Room(allowed, nil, make(most)), most, 1)
				refused(put(make(most)), most, 1)
				if err := db.View().Room(allowed, all[:1], make(most)); err != nil {
					t.Errorf("in the place of another: %v", err)
				}
				number = 1
				if err := put(all[0].Clone()); err != nil {
					t.Errorf("beyond the quota, changed: %v", err)
				}
			})
		}
	}
	for name := range samples {
		if !slices.ContainsFunc(Quotas(), func(q QuotaInfo) bool { return q.Name == name }) {
			t.Errorf("there is no quota %s", name)
		}
	}
}

// TestQuotasApart: what a quota does not count is not counted.
func TestQuotasApart(t *testing.T) {
	allowed := func(string) map[string]int {
		return map[string]int{"route_entries": 1, "vpn_routes_per_gateway": 1, "vpn_policy_routes_per_gateway": 1}
	}
	v := newView()
	for _, rs := range [][]resource.Resource{
		{&resource.RouteEntry{Meta: meta("rte", 0), Table: "t", System: true}, &resource.RouteEntry{Meta: meta("rte", 1), Table: "t"}, &resource.RouteEntry{Meta: meta("rte", 2), Table: "other"}},
		{&resource.VPNRoute{Meta: meta("r", 0), Gateway: "g"}, &resource.VPNRoute{Meta: meta("r", 1), Gateway: "g", Source: anyBlock}},
	} {
		if err := v.Room(allowed, nil, rs...); err != nil {
			t.Error(err)
		}
	}
}

// TestDefaultQuotas holds the numbers of the documents, and that names are given once.
func TestDefaultQuotas(t *testing.T) {
	q := DefaultQuotas()
	if q["vswitches_per_vpc"] != 24 || q["route_entries"] != 48 || q["ha_vip_route_entries"] != 5 || q["user_cidrs"] != 3 || q["forward_entries"] != 100 || q["instances_per_vpc"] != 10000 {
		t.Errorf("%+v", q)
	}
	if len(q) != len(Quotas()) {
		t.Errorf("%d names for %d quotas", len(q), len(Quotas()))
	}
}

// TestEveryKindIsBounded: of each kind a quota says how many there may be, or its
// registration says what else does.
func TestEveryKindIsBounded(t *testing.T) {
	for _, k := range kinds {
		counted := false
		for _, q := range quotasOf[k.name()] {
			counted = counted || q.parts == nil
		}
		if counted == (k.bounded() != "") {
			t.Errorf("%s: counted by a quota: %t; bounded because %q", k.name(), counted, k.bounded())
		}
	}
}
