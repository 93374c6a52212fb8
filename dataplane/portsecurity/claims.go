package portsecurity

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// ReadClaims returns what has been dropped since the tables were built, by reason, and who
// has claimed what in the last ten minutes, by address: 4,096 claims of each table at most.
func ReadClaims(ns *netns.Namespace) (counts dataplane.ClaimCounts, claims []dataplane.Claim, err error) {
	counts = dataplane.ClaimCounts{}
	err = with(ns, func(c *nftables.Conn) error {
		for _, f := range families {
			t, err := find(c, f.family)
			if err != nil {
				return err
			}
			if t == nil {
				continue
			}
			objects, err := c.GetNamedObjects(t)
			if err != nil {
				return fmt.Errorf("list counters: %w", err)
			}
			for _, o := range objects {
				if named, ok := o.(*nftables.NamedObj); ok && slices.Contains(reasons, named.Name) {
					if counter, ok := named.Obj.(*expr.Counter); ok {
						counts[named.Name] += counter.Packets
					}
				}
			}
			list, err := c.GetSetElements(kernelClaims(t))
			if err != nil {
				return fmt.Errorf("list claims: %w", err)
			}
			for _, e := range list {
				a, ok := netip.AddrFromSlice(e.Key[:min(4, len(e.Key))])
				if !ok || len(e.Key) < 10 {
					continue
				}
				claim := dataplane.Claim{Address: a, By: net.HardwareAddr(e.Key[4:10]).String()}
				switch a {
				case hiddenMark:
					claim = dataplane.Claim{By: claim.By, Other: ReasonHidden}
				case routerMark:
					claim = dataplane.Claim{By: claim.By, Other: ReasonRouter}
				}
				claims = append(claims, claim)
			}
		}
		return nil
	})
	if err != nil {
		return nil, nil, fmt.Errorf("read claims of addresses in %s: %w", ns, err)
	}
	slices.SortFunc(claims, func(a, b dataplane.Claim) int {
		if c := a.Address.Compare(b.Address); c != 0 {
			return c
		}
		return strings.Compare(a.By, b.By)
	})
	return counts, slices.Compact(claims), nil
}
