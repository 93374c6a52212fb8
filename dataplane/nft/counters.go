package nft

import (
	"context"
	"fmt"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// Counter is the number of packets, and of their bytes from the IP header on,
// that were dropped for one reason since the table was built.
type Counter struct {
	Packets, Bytes uint64
}

// Counters reads the drop counters, by name (CounterPrivateSource and so on).
// The answer is empty where the table is absent.
func (t *Table) Counters(ctx context.Context) (map[string]Counter, error) {
	counters := map[string]Counter{}
	err := t.do(ctx, func(c *conn) error {
		table, err := findTable(c)
		if err != nil || table == nil {
			return err
		}
		counters, err = readCounters(c, table)
		return err
	})
	if err != nil {
		return nil, fmt.Errorf("read nftables counters: %w", err)
	}
	return counters, nil
}

func readCounters(c *conn, table *nftables.Table) (map[string]Counter, error) {
	objects, err := c.GetNamedObjects(table)
	if err != nil {
		return nil, fmt.Errorf("list counters: %w", err)
	}
	out := make(map[string]Counter, len(objects))
	for _, o := range objects {
		named, ok := o.(*nftables.NamedObj)
		if !ok {
			continue
		}
		if v, ok := named.Obj.(*expr.Counter); ok {
			out[named.Name] = Counter{Packets: v.Packets, Bytes: v.Bytes}
		}
	}
	return out, nil
}
