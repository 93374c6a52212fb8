package dataplane

import (
	"errors"
	"fmt"
)

// VPNAbilities are what a machine's IPsec can do: a snapshot, to be asked without
// waiting.
type VPNAbilities struct {
	Path        VPNPath // how it carries tunnels
	IKEVersions map[int]bool
	Encryptions map[Encryption]bool
	Integrities map[Integrity]bool
	Groups      map[DHGroup]bool
	KernelLacks map[Proposal]string // why the kernel cannot carry ESP with a proposal, the group aside
	NotKnownYet bool                // whether there is nothing else here: nothing is refused then
	NoneBecause error               // why there can be no tunnels; else nil
}

// Refuses says what of a connection the machine cannot do; nil if it can all, or if that
// is not known yet: charon says so itself when it is given the connection.
func (a *VPNAbilities) Refuses(c *VPNConnection) error {
	switch {
	case a.NoneBecause != nil:
		return a.NoneBecause
	case a.NotKnownYet:
		return nil
	case !a.IKEVersions[c.IKE.Version]:
		return fmt.Errorf("this machine's strongSwan has no IKEv%d: choose the other version, or a strongSwan built with it (from 6.1 on --enable-ikev1)", c.IKE.Version)
	case c.IKE.Proposal.Encryption == Null:
		return errors.New("IKE: needs an encryption")
	case c.IKE.Proposal.Group == 0:
		return errors.New("IKE: needs a Diffie-Hellman group")
	}
	if err := a.lacks(c.IKE.Proposal, "IKE"); err != nil {
		return err
	}
	if err := a.lacks(c.ESP.Proposal, "ESP"); err != nil {
		return err
	}
	p := c.ESP.Proposal
	p.Group = 0
	if why, lacks := a.KernelLacks[p]; lacks {
		return errors.New(why)
	}
	return nil
}

// lacks says what of a proposal the machine does not have.
func (a *VPNAbilities) lacks(p Proposal, phase string) error {
	switch {
	case !a.Encryptions[p.Encryption]:
		return fmt.Errorf("%s: this machine's strongSwan cannot encrypt with %q", phase, p.Encryption)
	case !a.Integrities[p.Integrity]:
		return fmt.Errorf("%s: this machine's strongSwan cannot authenticate with %q", phase, p.Integrity)
	case p.Group != 0 && !a.Groups[p.Group]:
		return fmt.Errorf("%s: this machine's strongSwan has no Diffie-Hellman group %d", phase, p.Group)
	}
	return nil
}
