package compile

import (
	"fmt"

	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// Network returns what the dataplane of a network should hold by v; open decrypts
// pre-shared and private keys, and may be nil where there are no VPN connections and no SSL-VPN servers. It fails if
// nothing in v has that network, and if resources contradict one another in a way that
// the services refuse: half of a contradiction is not put into the kernel.
func Network(v *state.View, s *settings.Settings, id string, open Opener) (*dataplane.Network, error) {
	return New(s, id, open).Network(v, nil)
}

// Compiler compiles one network again and again. What has not changed since it was
// compiled last is not looked at.
type Compiler struct {
	id       string
	settings *settings.Settings
	open     Opener
	last     compiled
}

// compiled is a Network with what it was made of.
type compiled struct {
	*dataplane.Network
	public *public
}

// New returns what compiles the network of an id; see Network.
func New(s *settings.Settings, id string, open Opener) *Compiler {
	return &Compiler{id: id, settings: s, open: open}
}

// Changes returns what was changed of a network after one revision and until another,
// known being false if that is not known.
type Changes func(network string, after, until int64) (list []state.Change, known bool)

// Network returns what function Network does. changes says what v has that the view
// before had not; nil if nobody knows. The views of one network come in order. The Networks
// that it returns are not changed afterwards, and share what they have in common.
func (c *Compiler) Network(v *state.View, changes Changes) (*dataplane.Network, error) {
	of, ok := v.Network(c.id)
	if !ok {
		return nil, fmt.Errorf("compile network %s: there is nothing that has it", c.id)
	}
	j := &job{Compiler: c, v: v, network: &dataplane.Network{}}
	made, err := j.made(of)
	if err != nil {
		return nil, fmt.Errorf("compile network %s: %w", c.id, err)
	}
	if c.last.Network != nil && changes != nil {
		list, known := changes(c.id, c.last.Revision, v.Revision)
		if j.dirty = newDirty(list); known {
			j.old = c.last
			*j.network = *c.last.Network
		}
	}
	n := j.network
	n.ID, n.Revision = c.id, v.Revision
	for _, p := range made {
		if j.old.Network != nil && !j.dirty.any(p.of...) {
			continue
		}
		if err := p.compile(j); err != nil {
			return nil, fmt.Errorf("compile network %s: %w", c.id, err)
		}
	}
	c.last = compiled{n, j.public()}
	return n, nil
}

// made returns the parts that the network of a resource is made of.
func (j *job) made(of resource.Networked) ([]part, error) {
	switch of := of.(type) {
	case *resource.VPC:
		j.vpc = of
		return parts, nil
	case *resource.VirtualBorderRouter:
		j.border = of
		return borderParts, nil
	case *resource.AccelerationInstance:
		j.instance = of
		return accelerationParts, nil
	}
	return nil, fmt.Errorf("nobody knows what the network of a %s is made of", of.Kind())
}

// isECS says whether an instance of the inventory is an ECS instance, the only
// kind that DNAT entries lead to.
func isECS(i *resource.Instance) bool { return i.Type == resource.Host }
