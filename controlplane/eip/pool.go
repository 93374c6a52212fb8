package eip

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"math/big"
	"net/netip"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// tries is how often an address is drawn before the pool is searched: with half
// of it free, a search is a matter of one in a thousand.
const tries = 10

// pick returns an address of a public network: the one that is asked for, if any, or one
// drawn at random. Reason: NoFreeElasticIP.
func pick(v *state.View, o *state.Observed, p settings.PublicNetwork, asked netip.Addr, random io.Reader) (netip.Addr, error) {
	switch {
	case !asked.IsValid():
		return Draw(v, o, p, random)
	case !slices.ContainsFunc(p.Pool, func(r settings.Range) bool { return r.Contains(asked) }):
		return asked, fault.New(fault.NoFreeElasticIP, "%s is not in the pool of public network %s", asked, p.Name)
	case !unallocated(v, p, asked):
		return asked, fault.New(fault.NoFreeElasticIP, "%s is allocated already, or is the gateway's of public network %s", asked, p.Name)
	}
	if network, may := o.Withdrawing(asked); may {
		return asked, fault.InTransition(fault.NoFreeElasticIP, network, "%s is still being withdrawn from network %s", asked, network)
	}
	return asked, nil
}

// free says whether an address of the pool can be allocated: nothing has it, and no network
// may still hold it.
func free(v *state.View, o *state.Observed, p settings.PublicNetwork, a netip.Addr) bool {
	_, held := o.Withdrawing(a)
	return !held && unallocated(v, p, a)
}

func unallocated(v *state.View, p settings.PublicNetwork, a netip.Addr) bool {
	return a != p.Uplink.Gateway && v.ElasticIPs.By(state.ByAddress, a.String()).Len() == 0 &&
		v.VPNGateways.By(state.ByAddress, a.String()).Len() == 0 && v.Accelerations.By(state.ByAddress, a.String()).Len() == 0
}

// Draw picks a free address of a public network at random.
func Draw(v *state.View, o *state.Observed, p settings.PublicNetwork, random io.Reader) (netip.Addr, error) {
	total := uint64(0)
	for _, r := range p.Pool {
		total += count(r)
	}
	if total == 0 {
		return netip.Addr{}, fault.New(fault.NoFreeElasticIP, "public network %s has no pool", p.Name)
	}
	at := uint64(0)
	for range tries {
		n, err := rand.Int(random, new(big.Int).SetUint64(total))
		if err != nil {
			return netip.Addr{}, fmt.Errorf("draw an elastic IP: %w", err)
		}
		at = n.Uint64()
		if a := nth(p.Pool, at); free(v, o, p, a) {
			return a, nil
		}
	}
	for i := range total {
		if a := nth(p.Pool, (at+i)%total); free(v, o, p, a) {
			return a, nil
		}
	}
	return netip.Addr{}, fault.New(fault.NoFreeElasticIP, "all %d addresses of public network %s are allocated", total, p.Name)
}

// count returns the number of addresses of a range.
func count(r settings.Range) uint64 { return uint64(number(r.Last)) - uint64(number(r.First)) + 1 }

// nth returns the i-th address of a pool, counted from 0.
func nth(pool []settings.Range, i uint64) netip.Addr {
	for _, r := range pool {
		n := count(r)
		if i < n {
			var b [4]byte
			binary.BigEndian.PutUint32(b[:], number(r.First)+uint32(i))
			return netip.AddrFrom4(b)
		}
		i -= n
	}
	return netip.Addr{}
}

func number(a netip.Addr) uint32 {
	b := a.As4()
	return binary.BigEndian.Uint32(b[:])
}
