package engine

import (
	"bytes"
	"errors"
	"fmt"
	"net/netip"
	"reflect"
	"sync/atomic"

	"sluice/dataplane"
	"sluice/dataplane/dhcp"
)

// dhcpServers are a network's servers of DHCP, by the ids of switches.
type dhcpServers struct {
	servers map[string]*dhcp.Server
	of      *dataplane.DHCP // that they were made for
	failed  atomic.Bool     // one of them reads no more
}

// serveDHCP answers DHCP on the links of all switches, or of none. topology says that there
// may be other links.
func (j *job) serveDHCP(topology bool) error {
	d, want := &j.n.dhcp, j.want.DHCP
	again := d.failed.Swap(false)
	if !again && !topology && reflect.DeepEqual(d.of, want) {
		return nil
	}
	if again {
		j.n.closeDHCP()
	}
	d.of = nil // until all of it is done
	var errs []error
	wanted := map[string]bool{}
	for i := range j.want.Switches {
		sw := &j.want.Switches[i]
		if want == nil {
			break
		}
		wanted[sw.ID] = true
		if err := j.serveSwitch(sw); err != nil {
			errs = append(errs, fmt.Errorf("answer DHCP in %s: %w", sw.ID, err))
		}
	}
	for id, s := range d.servers {
		if !wanted[id] {
			s.Close()
			delete(d.servers, id)
		}
	}
	if len(errs) > 0 {
		return errors.Join(errs...)
	}
	d.of = want
	return nil
}

// serveSwitch answers at the link of one switch, by the settings of now.
func (j *job) serveSwitch(sw *dataplane.Switch) error {
	found, err := j.n.ns.Netlink().LinkByName(sw.Link())
	if err != nil {
		return err
	}
	a := found.Attrs()
	set := &dhcp.Settings{Gateway: sw.Gateway, Prefix: sw.Prefix, MTU: a.MTU, DNS: j.want.DHCP.DNS, Domain: j.want.DHCP.Domain, Leases: map[string]netip.Addr{}}
	for _, l := range j.want.DHCP.Leases {
		if sw.Prefix.Contains(l.Address) {
			set.Leases[l.MAC] = l.Address
		}
	}
	d, at := &j.n.dhcp, dhcp.Link{Index: a.Index, MAC: a.HardwareAddr}
	if s := d.servers[sw.ID]; s != nil {
		if s.Link().Index == at.Index && bytes.Equal(s.Link().MAC, at.MAC) {
			s.Change(set)
			return nil
		}
		s.Close()
		delete(d.servers, sw.ID)
	}
	log, id := j.e.log, j.n.id
	s, err := dhcp.Serve(j.n.ns, at, set, func(err error) {
		d.failed.Store(true)
		log.Warn("DHCP is not answered any more in a VSwitch, until the next audit", "network", id, "vswitch", sw.ID, "error", err)
	})
	if err != nil {
		return err
	}
	if d.servers == nil {
		d.servers = map[string]*dhcp.Server{}
	}
	d.servers[sw.ID] = s
	return nil
}

// closeDHCP ends the servers, with n.mu held.
func (n *network) closeDHCP() {
	for id, s := range n.dhcp.servers {
		s.Close()
		delete(n.dhcp.servers, id)
	}
	n.dhcp.of = nil
}
