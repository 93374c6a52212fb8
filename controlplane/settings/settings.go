// Package settings is what an operator decides about the service: regions,
// quotas, public networks, how VSwitches are attached. It is plain data, read
// from the configuration file by package config and handed to the services.
package settings

import (
	"net/netip"
	"slices"
	"strings"
	"time"

	"go4.org/netipx"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// Settings is the part of the configuration that the control plane follows.
type Settings struct {
	Machine      string // name of this machine, which owns the networks that are made here
	Regions      []Region
	Public       []PublicNetwork
	Attachments  []Attachment
	AccessPoints []AccessPoint
	Classic      []ClassicNetwork
	Quotas       Quotas            // for every account
	Accounts     map[string]Quotas // account id → its own quotas, complete
	Timeouts     dataplane.Timeouts
	Bounds       dataplane.Bounds  // of sessions by DNAT entries and elastic IPs
	Refusal      dataplane.Refusal // of connections beyond a specification's limits, or Bounds
	Shortcut     bool              // see dataplane.Network
	SourceCheck  bool              // see dataplane.Network
	HostShare    int               // percent; see dataplane.Network
	ByUse        dataplane.Limits  // of a NAT gateway that is charged by what goes through it
	Bandwidth    Bandwidth
	// RouterInterfaces are the ids of the accounts that may make router interfaces; AllAccounts
	// stands for all. Those that there are go on in any case.
	RouterInterfaces []string
	// PortSecurity holds addresses of VSwitches to those that they belong to; see dataplane.Network.
	PortSecurity bool
	// DHCP has hosts whose Ethernet addresses are known told their addresses by DHCP.
	DHCP bool
	// Prices are what VPN gateways cost, by their bandwidth in Mbit/s; what is not listed costs
	// nothing.
	Prices map[int]VPNGatewayPrice
	// HidePSKs keeps pre-shared keys from access keys that may only describe.
	HidePSKs bool
	// Settle is how long a write waits for earlier changes of the same network
	// to reach the kernel before it is refused for being in transition.
	Settle time.Duration
}

// Bandwidth is what becomes of the bandwidths of elastic IPs and of packages.
type Bandwidth struct {
	Held         bool // else they are kept and shown, and hold for nothing
	InboundLeast int  // Mbit/s that come in whatever the bandwidth is
	// NATPackages are the ids of the accounts that may make NAT bandwidth packages; AllAccounts
	// stands for all. What there is of them goes on in any case.
	NATPackages []string
}

// VPNGatewayPrice is what a VPN gateway of a bandwidth costs, in whatever currency the operator
// thinks in.
type VPNGatewayPrice struct {
	Month   float64 // prepaid
	Hour    float64 // by use
	Traffic float64 // by use, of a gigabyte
}

// AllAccounts stands for the ids of all accounts.
const AllAccounts = "all"

// MayPackage says whether an account may make NAT bandwidth packages.
func (b Bandwidth) MayPackage(account string) bool { return among(b.NATPackages, account) }

// MayConnect says whether an account may make router interfaces.
func (s *Settings) MayConnect(account string) bool { return among(s.RouterInterfaces, account) }

func among(accounts []string, account string) bool {
	return slices.Contains(accounts, AllAccounts) || slices.Contains(accounts, account)
}

// Inbound returns how many Mbit/s may come in where so many may go out.
func (b Bandwidth) Inbound(outbound int) int { return max(b.InboundLeast, outbound) }

// Region is a region of the service.
type Region struct {
	ID        string
	LocalName string
	Zones     []Zone
	Area      resource.Area // that it lies in; empty: the one that its id tells
}

// areas are the areas of regions, by the beginnings of their ids (Alibaba Cloud, "Regions
// and zones"). The first that fits counts.
var areas = []struct {
	prefix string
	area   resource.Area
}{
	{"cn-hongkong", resource.AsiaPacific}, {"cn-", resource.ChinaMainland}, {"ap-", resource.AsiaPacific},
	{"us-", resource.NorthAmerica}, {"na-", resource.NorthAmerica}, {"eu-", resource.Europe},
}

// Lies returns the area that the region lies in; empty: in none that is known.
func (r Region) Lies() resource.Area {
	if r.Area != "" {
		return r.Area
	}
	for _, a := range areas {
		if strings.HasPrefix(r.ID, a.prefix) {
			return a.area
		}
	}
	return ""
}

// Zone is a zone of a region.
type Zone struct {
	ID        string
	LocalName string
}

// PublicNetwork is a network on the public side, and the elastic IPs in it.
// Every region has at most one.
type PublicNetwork struct {
	Name    string
	Regions []string // ids of the regions whose elastic IPs it provides; empty: all
	Uplink  dataplane.Uplink
	Pool    []Range // addresses to allocate from
}

// ClassicNetwork is the flat network of a region that instances are on which are in no VPC.
type ClassicNetwork struct {
	Region    string       // id
	Device    string       // or bridge that it is reached by
	Namespace string       // named network namespace that Device is in; empty: the daemon's own
	MTU       int          // of the routers' links; 0: the kernel's choice
	Prefix    netip.Prefix // of its hosts
	Pool      []Range      // addresses of VPCs' routers in it
}

// Serves says whether an address is one of the pool.
func (n *ClassicNetwork) Serves(a netip.Addr) bool {
	return slices.ContainsFunc(n.Pool, func(r Range) bool { return r.Contains(a) })
}

// Host says whether an instance can have an address: a host's, and no router's.
func (n *ClassicNetwork) Host(a netip.Addr) bool {
	return n.Prefix.Contains(a) && a != n.Prefix.Addr() && a != netipx.PrefixLastIP(n.Prefix) && !n.Serves(a)
}

// ClassicNetworkOf returns the classic network of a region.
func (s *Settings) ClassicNetworkOf(region string) (ClassicNetwork, bool) {
	for _, n := range s.Classic {
		if n.Region == region {
			return n, true
		}
	}
	return ClassicNetwork{}, false
}

// AccessPoint is a place where leased lines end: some ports of this machine.
type AccessPoint struct {
	ID           string
	Region       string // id of the region that it serves
	Name         string
	Description  string
	Location     string // where it is
	HostOperator string // who runs the place
	Use          AccessPointUse
	Ports        []Port
}

// AccessPointUse says whether an access point takes new lines.
type AccessPointUse string

// How much an access point is used. A full one takes no more lines.
const (
	AccessPointRecommended AccessPointUse = "recommended"
	AccessPointHot         AccessPointUse = "hot"
	AccessPointFull        AccessPointUse = "full"
)

// Port is a port of an access point, which one line may have.
type Port struct {
	Number   string // by which it is known, unique in its access point
	Device   string // network device (or bond) of the daemon's namespace
	Location string // of the access device, down to the rack
}

// Port returns the port of that number.
func (a *AccessPoint) Port(number string) (Port, bool) {
	for _, p := range a.Ports {
		if p.Number == number {
			return p, true
		}
	}
	return Port{}, false
}

// AccessPoint returns the access point of that id.
func (s *Settings) AccessPoint(id string) (AccessPoint, bool) {
	for _, a := range s.AccessPoints {
		if a.ID == id {
			return a, true
		}
	}
	return AccessPoint{}, false
}

// LineDevices returns the devices behind all ports, in the order of the configuration.
func (s *Settings) LineDevices() (list []string) {
	for _, a := range s.AccessPoints {
		for _, p := range a.Ports {
			list = append(list, p.Device)
		}
	}
	return list
}

// LineDevice returns the device behind a port of an access point; empty where the
// configuration has none (any more).
func (s *Settings) LineDevice(accessPoint, port string) string {
	a, ok := s.AccessPoint(accessPoint)
	if !ok {
		return ""
	}
	p, _ := a.Port(port)
	return p.Device
}

// Range is a run of addresses, both ends included.
type Range struct{ First, Last netip.Addr }

// Contains says whether an address is one of them.
func (r Range) Contains(a netip.Addr) bool { return !a.Less(r.First) && !r.Last.Less(a) }

// Attachment says how the VSwitches that match reach their hosts. The first
// match decides; a VSwitch without one is a bridge.
type Attachment struct {
	// Account owns the VSwitch; empty matches any. Names and blocks are the
	// clients' choice: it keeps one account from taking the link of another.
	Account string
	VSwitch string       // id or name of the VSwitch; empty matches any
	CIDR    netip.Prefix // its CIDR block; the zero Prefix matches any
	Link    dataplane.Attachment
	// MovesAddresses says that its hosts move their addresses by themselves: they are
	// held to no Ethernet address.
	MovesAddresses bool
}

// Quotas are the largest numbers allowed, by the names with which package state has
// the quotas registered. All of them are in it.
type Quotas map[string]int

// Allowed returns the quotas of an account.
func (s *Settings) Allowed(account string) map[string]int {
	if q, ok := s.Accounts[account]; ok {
		return q
	}
	return s.Quotas
}

// Region returns the region of that id.
func (s *Settings) Region(id string) (Region, bool) {
	for _, r := range s.Regions {
		if r.ID == id {
			return r, true
		}
	}
	return Region{}, false
}

// CheckRegion refuses a region that is not configured. Reason: RegionNotFound.
func (s *Settings) CheckRegion(id string) error {
	if _, ok := s.Region(id); !ok {
		return fault.New(fault.RegionNotFound, "region %q is not configured", id)
	}
	return nil
}

// ZoneRegion returns the id of the region that a zone is in.
func (s *Settings) ZoneRegion(zone string) (string, bool) {
	for _, r := range s.Regions {
		for _, z := range r.Zones {
			if z.ID == zone {
				return r.ID, true
			}
		}
	}
	return "", false
}

// PublicNetworkOf returns the public network of a region.
func (s *Settings) PublicNetworkOf(region string) (PublicNetwork, bool) {
	for _, p := range s.Public {
		if len(p.Regions) == 0 {
			return p, true
		}
		for _, r := range p.Regions {
			if r == region {
				return p, true
			}
		}
	}
	return PublicNetwork{}, false
}
