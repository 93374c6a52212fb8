package main

import (
	"fmt"
	"net/netip"
	"slices"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/config/initial"
)

// thisMachine looks for what VPCs can be connected to: devices and bridges, no loopback,
// and nothing that is itself a port of a bridge.
func thisMachine() (m initial.Machine, err error) {
	links, err := netlink.LinkList()
	if err != nil {
		return m, fmt.Errorf("list the network devices: %w", err)
	}
	routes, err := netlink.RouteListFiltered(unix.AF_INET, &netlink.Route{Table: unix.RT_TABLE_MAIN}, netlink.RT_FILTER_TABLE)
	if err != nil {
		return m, fmt.Errorf("list the routes: %w", err)
	}
	metric := map[string]int{} // of the default route by a device
	for _, l := range links {
		at := l.Attrs()
		if at.MasterIndex != 0 || at.EncapType == "loopback" {
			continue
		}
		d := initial.Device{Name: at.Name, Bridge: l.Type() == "bridge"}
		addresses, err := netlink.AddrList(l, unix.AF_INET)
		if err != nil {
			return m, fmt.Errorf("list the addresses of %s: %w", at.Name, err)
		}
		if len(addresses) > 0 {
			ones, _ := addresses[0].Mask.Size()
			ip, _ := netip.AddrFromSlice(addresses[0].IP.To4())
			d.Address = netip.PrefixFrom(ip, ones)
		}
		for _, r := range routes {
			if r.LinkIndex != at.Index || r.Dst != nil && !r.Dst.IP.IsUnspecified() || r.Gw == nil || d.Gateway.IsValid() && r.Priority >= metric[at.Name] {
				continue
			}
			if ones := 0; r.Dst != nil {
				if ones, _ = r.Dst.Mask.Size(); ones != 0 {
					continue
				}
			}
			d.Gateway, _ = netip.AddrFromSlice(r.Gw.To4())
			metric[at.Name] = r.Priority
		}
		m.Devices = append(m.Devices, d)
	}
	slices.SortStableFunc(m.Devices, func(a, b initial.Device) int {
		switch byA, byB := a.Gateway.IsValid(), b.Gateway.IsValid(); {
		case byA && byB:
			return metric[a.Name] - metric[b.Name]
		case byA:
			return -1
		case byB:
			return 1
		}
		return 0
	})
	return m, nil
}
