package engine

import (
	"context"
	"errors"
	"fmt"

	"sluice/dataplane/nft"
)

// compareRules finds out what the table should hold and, where what is known is stale,
// what it holds. It reports whether the table is missing or damaged, and
// must be made before anything else.
func (j *job) compareRules(ctx context.Context) (first bool, err error) {
	n := j.n
	if j.rules, err = nft.RulesetOf(j.want, n.compiled, n.tunnelLinks...); err != nil {
		return false, err
	}
	n.compiled = j.rules
	if n.rules == nil || j.stale&staleRules != 0 {
		if err := j.readRules(ctx); err != nil {
			return false, err
		}
	}
	return n.rules.Skeleton != j.rules.Skeleton, nil
}

func (j *job) readRules(ctx context.Context) error {
	n := j.n
	known := n.rules
	n.rules = nil
	have, err := n.table.Read(ctx)
	if err != nil {
		return err
	}
	n.rules = have
	if known != nil && !known.Equal(have) {
		n.followed = nil // connections may have been made by what was there meanwhile
		j.logRepairs([]string{describeRules(known, have)})
	}
	return nil
}

func describeRules(known, have *nft.Ruleset) string {
	switch {
	case have.Damage != "":
		return "build nftables table anew: " + have.Damage
	case have.Skeleton == "":
		return "build nftables table anew: it was absent"
	}
	return fmt.Sprintf("put elements of the nftables table right: there were %d instead of %d, or others", have.Len(), known.Len())
}

// applyRules makes the table hold these rules, in one batch.
func (j *job) applyRules(ctx context.Context, rules *nft.Ruleset) error {
	n := j.n
	changes, err := n.table.Apply(ctx, n.rules, rules)
	if errors.Is(err, nft.ErrOutdated) {
		// Somebody changed it, and the event has not come round yet.
		if err := j.readRules(ctx); err != nil {
			return err
		}
		changes, err = n.table.Apply(ctx, n.rules, rules)
	}
	if err != nil {
		n.rules = nil
		return err
	}
	n.rules = rules
	j.changes += changes
	return nil
}
