package probe

import (
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"golang.org/x/sys/unix"
)

// rule puts a rule of these expressions into a chain of type filter.
func (s *stage) rule(exprs ...expr.Any) error {
	return s.batch(func(c *nftables.Conn, t *nftables.Table) error {
		chain := c.AddChain(&nftables.Chain{
			Table: t, Name: "forward", Type: nftables.ChainTypeFilter,
			Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter,
		})
		c.AddRule(&nftables.Rule{Table: t, Chain: chain, Exprs: exprs})
		return nil
	})
}

// batch sends what fn adds to a table as one batch.
func (s *stage) batch(fn func(*nftables.Conn, *nftables.Table) error) error {
	c, err := s.nft()
	if err != nil {
		return fmt.Errorf("open nftables: %w", err)
	}
	t := c.AddTable(&nftables.Table{Name: "probe", Family: nftables.TableFamilyIPv4})
	if err := fn(c, t); err != nil {
		return err
	}
	if err := c.Flush(); err != nil {
		return fmt.Errorf("send the batch: %w", err)
	}
	return nil
}

// ctState is: ct state established accept
func ctState() []expr.Any {
	return []expr.Any{
		&expr.Ct{Register: 1, Key: expr.CtKeySTATE},
		&expr.Bitwise{SourceRegister: 1, DestRegister: 1, Len: 4, Mask: []byte{2, 0, 0, 0}, Xor: make([]byte, 4)},
		&expr.Cmp{Op: expr.CmpOpNeq, Register: 1, Data: make([]byte, 4)},
		&expr.Verdict{Kind: expr.VerdictAccept},
	}
}

func tryNAT(s *stage) (string, error) {
	return "", s.batch(func(c *nftables.Conn, t *nftables.Table) error {
		out := c.AddChain(&nftables.Chain{
			Table: t, Name: "postrouting", Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPostrouting, Priority: nftables.ChainPriorityNATSource,
		})
		// snat to 192.0.2.1
		c.AddRule(&nftables.Rule{Table: t, Chain: out, Exprs: []expr.Any{
			&expr.Immediate{Register: 1, Data: []byte{192, 0, 2, 1}},
			&expr.NAT{Type: expr.NATTypeSourceNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
		}})
		in := c.AddChain(&nftables.Chain{
			Table: t, Name: "prerouting", Type: nftables.ChainTypeNAT,
			Hooknum: nftables.ChainHookPrerouting, Priority: nftables.ChainPriorityNATDest,
		})
		// dnat to 192.0.2.1
		c.AddRule(&nftables.Rule{Table: t, Chain: in, Exprs: []expr.Any{
			&expr.Immediate{Register: 1, Data: []byte{192, 0, 2, 1}},
			&expr.NAT{Type: expr.NATTypeDestNAT, Family: unix.NFPROTO_IPV4, RegAddrMin: 1},
		}})
		return nil
	})
}

func tryConcatenatedIntervals(s *stage) (string, error) {
	return "", s.batch(func(c *nftables.Conn, t *nftables.Table) error {
		key, err := nftables.ConcatSetType(nftables.TypeIPAddr, nftables.TypeInetService)
		if err != nil {
			return err
		}
		set := &nftables.Set{Table: t, Name: "probe", KeyType: key, Interval: true, Concatenation: true}
		// 10.0.0.0/24 . 80-90; a field is padded to four bytes.
		return c.AddSet(set, []nftables.SetElement{{
			Key:    []byte{10, 0, 0, 0, 0, 80, 0, 0},
			KeyEnd: []byte{10, 0, 0, 255, 0, 90, 0, 0},
		}})
	})
}

func tryTimeouts(s *stage) (string, error) {
	return "", s.batch(func(c *nftables.Conn, t *nftables.Table) error {
		c.AddObj(&nftables.NamedObj{Table: t, Name: "probe", Type: nftables.ObjTypeCtTimeout, Obj: &expr.CtTimeout{
			L3Proto: unix.NFPROTO_IPV4, L4Proto: unix.IPPROTO_UDP,
			Policy: expr.CtStatePolicyTimeout{expr.CtStateUDPUNREPLIED: 300, expr.CtStateUDPREPLIED: 300},
		}})
		return nil
	})
}

func tryFlowtable(s *stage) (string, error) {
	dev, err := s.veth()
	if err != nil {
		return "", err
	}
	return "", s.batch(func(c *nftables.Conn, t *nftables.Table) error {
		c.AddFlowtable(&nftables.Flowtable{
			Table: t, Name: "probe", Hooknum: nftables.FlowtableHookIngress,
			Priority: nftables.FlowtablePriorityFilter, Devices: []string{dev.Attrs().Name},
		})
		return nil
	})
}
