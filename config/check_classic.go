package config

import (
	"fmt"

	"sluice/controlplane/settings"
)

// classic checks the networks of instances that are in no VPC.
func (k *checker) classic() error {
	for i := range k.doc.Classic {
		c, field := &k.doc.Classic[i], fmt.Sprintf("classic[%d]", i)
		if c.Region == "" && len(k.config.Settings.Regions) == 1 {
			c.Region = k.config.Settings.Regions[0].ID
		}
		if _, ok := k.config.Settings.Region(c.Region); !ok {
			return k.errorf(field+".region", "%q is not a region of this configuration; write one of regions", c.Region)
		}
		for j, other := range k.doc.Classic[:i] {
			if other.Region == c.Region {
				return k.errorf(field+".region", "%q has classic[%d] already; a region has one classic network", c.Region, j)
			}
			if other.Device == c.Device && other.Namespace == c.Namespace {
				return k.errorf(field+".device", "%s is that of classic[%d]; each classic network has a device of its own", c.Device, j)
			}
		}
		if err := k.device(field+".device", c.Device); err != nil {
			return err
		}
		if err := k.classicAddresses(c, field); err != nil {
			return err
		}
		if err := k.mtu(field+".mtu", c.MTU); err != nil {
			return err
		}
		network := settings.ClassicNetwork{Region: c.Region, Device: c.Device, Namespace: c.Namespace, MTU: c.MTU, Prefix: c.Prefix}
		for _, r := range c.Pool {
			network.Pool = append(network.Pool, settings.Range{First: r.From(), Last: r.To()})
		}
		k.config.Settings.Classic = append(k.config.Settings.Classic, network)
	}
	return nil
}

func (k *checker) classicAddresses(c *classicDoc, field string) error {
	switch {
	case !c.Prefix.IsValid():
		return k.errorf(field+".prefix", "is missing; write the classic network, for example 10.200.0.0/16")
	case !c.Prefix.Addr().Is4() || c.Prefix.Bits() < 8 || c.Prefix.Bits() > 30:
		return k.errorf(field+".prefix", "%s is not usable; write an IPv4 network from /8 to /30", c.Prefix)
	case c.Prefix != c.Prefix.Masked():
		return k.errorf(field+".prefix", "%s has bits set behind its mask; did you mean %s?", c.Prefix, c.Prefix.Masked())
	case len(c.Pool) == 0:
		return k.errorf(field+".pool", "is empty; write the addresses that VPCs' routers may have in it, for example %s", example(c.Prefix))
	}
	for j, p := range k.doc.Public {
		if p.Prefix.Overlaps(c.Prefix) {
			return k.errorf(field+".prefix", "%s overlaps %s of public[%d]; write the network of the classic instances alone", c.Prefix, p.Prefix, j)
		}
	}
	for j, r := range c.Pool {
		if !isHost(r.From(), c.Prefix) || !isHost(r.To(), c.Prefix) {
			return k.errorf(fmt.Sprintf("%s.pool[%d]", field, j), "%s does not lie among the hosts of %s; write for example %s", r, c.Prefix, example(c.Prefix))
		}
	}
	return nil
}
