package initial

import (
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"

	"sluice/config"
	"sluice/dataplane"
)

// Answers are what an operator has said, as it was written.
type Answers struct {
	Public  []Public
	Regions []Region
	Listen  string // host:port of the API
}

// Public is a public network.
type Public struct {
	Name, Mode, Device string
	Create             bool   // of a bridge, by sluiced
	Address            string // of that bridge, or empty
	Prefix, Gateway    string // Gateway may be empty
	Pool               []string
	Regions            []string // empty: all
}

// Region is a region with its zones.
type Region struct {
	ID    string
	Zones []string
}

// Machine is what there is to connect VPCs to, with that first which carries the default
// route.
type Machine struct{ Devices []Device }

// Device is a network device.
type Device struct {
	Name    string
	Bridge  bool
	Address netip.Prefix // its first IPv4 address; zero: none
	Gateway netip.Addr   // of the default route by it; zero: none
}

// device returns the device of that name, or nil.
func (m Machine) device(name string) *Device {
	i := slices.IndexFunc(m.Devices, func(d Device) bool { return d.Name == name })
	if i < 0 {
		return nil
	}
	return &m.Devices[i]
}

// New is the word for a bridge that sluiced makes, on which this machine is alone.
const New = "new"

// Suggest returns the public network that a device suggests. Which addresses of it are free
// nothing on the machine tells: the pool stays empty, but on the bridge that sluiced makes.
func (m Machine) Suggest(name string) Public {
	builtIn := config.Default()
	p := Public{Name: "internet", Device: name, Mode: string(dataplane.UplinkMacvlan)}
	if name == New {
		n, b := builtIn.Settings.Public[0], builtIn.Bridges[0]
		p.Device, p.Mode, p.Create = b.Name, string(n.Uplink.Mode), true
		p.Address, p.Prefix, p.Gateway = b.Address.Addr().String(), n.Uplink.Prefix.String(), n.Uplink.Gateway.String()
		p.Pool = []string{n.Pool[0].First.String() + "-" + n.Pool[0].Last.String()}
		return p
	}
	d := m.device(name)
	if d == nil {
		return p
	}
	if d.Bridge {
		p.Mode = string(dataplane.UplinkBridge)
	}
	if d.Address.IsValid() {
		p.Prefix = d.Address.Masked().String()
	}
	if d.Gateway.IsValid() {
		p.Gateway = d.Gateway.String()
	}
	return p
}

// Default returns what holds where nothing is answered: the public network of the default
// route, or a bridge that sluiced makes where there is none.
func (m Machine) Default() Answers {
	builtIn := config.Default()
	a := Answers{Listen: builtIn.Listen}
	for _, r := range builtIn.Settings.Regions {
		region := Region{ID: r.ID}
		for _, z := range r.Zones {
			region.Zones = append(region.Zones, z.ID)
		}
		a.Regions = append(a.Regions, region)
	}
	name := New
	if len(m.Devices) > 0 && m.Devices[0].Gateway.IsValid() {
		name = m.Devices[0].Name
	}
	a.Public = []Public{m.Suggest(name)}
	return a
}

// Check says what is wrong with answers, on this machine, an *config.Error: first what the
// configuration itself does not accept, then what does not fit the machine.
func (m Machine) Check(file string, a Answers) error {
	if all := m.faults(file, a); len(all) > 0 {
		return all[0]
	}
	return nil
}

// faults are the first that config finds, and all that this machine has.
func (m Machine) faults(file string, a Answers) (all []*config.Error) {
	c, err := config.Parse(file, []byte(a.Text()))
	if wrong, ok := errors.AsType[*config.Error](err); ok {
		all = append(all, wrong)
	}
	add := func(field, format string, args ...any) {
		all = append(all, &config.Error{File: file, Field: field, Text: fmt.Sprintf(format, args...)})
	}
	for i, p := range a.Public {
		if p.Create {
			continue
		}
		field := fmt.Sprintf("public[%d]", i)
		switch d, mode := m.device(p.Device), dataplane.UplinkMode(p.Mode); {
		case d == nil:
			add(field+".device", "there is no device %s on this machine; there %s", p.Device, m.names())
		case mode == dataplane.UplinkBridge && !d.Bridge:
			add(field+".mode", "%s is not a bridge; use mode macvlan, or make a bridge with %[1]s as its port, and name that", p.Device)
		case mode == dataplane.UplinkMacvlan && d.Bridge:
			add(field+".mode", "%s is a bridge; use mode bridge", p.Device)
		case mode == dataplane.UplinkDevice && d.Gateway.IsValid():
			add(field+".mode", "%s has this machine's default route, and in mode device it would go away with it; use mode macvlan, or another device", p.Device)
		}
		if c == nil {
			continue
		}
		for j, r := range c.Settings.Public[i].Pool {
			for _, d := range m.Devices {
				if own := d.Address.Addr(); own.IsValid() && r.First.Compare(own) <= 0 && own.Compare(r.Last) <= 0 {
					add(fmt.Sprintf("%s.pool[%d]", field, j), "%s is this machine's own address, on %s; leave it out of the pool", own, d.Name)
				}
			}
		}
	}
	return all
}

func (m Machine) names() string {
	var names []string
	for _, d := range m.Devices {
		names = append(names, d.Name)
	}
	if len(names) == 0 {
		return "is none but the loopback"
	}
	if len(names) == 1 {
		return "is " + names[0]
	}
	return "are " + strings.Join(names, ", ")
}
