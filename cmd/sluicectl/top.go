package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newTop() *cobra.Command {
	var f adminFlags
	t := top{now: time.Now}
	var interval time.Duration
	c := &cobra.Command{
		Use:   "top [GATEWAY]",
		Short: "Show which hosts send and receive most, and open most sessions, as it happens",
		Long: `Show the private addresses with the most traffic or sessions, of the NAT gateway
or VPC with the id GATEWAY, or of all. Rates are those between two readings of
the live counters, --interval apart. SNAT sessions are shown with what the
gateway's specification allows of them; addresses with neither traffic nor
sessions are left out.

A host that goes by several gateways has a line for each, and one for an elastic
IP of its own.

The table is shown anew at each reading until you interrupt it, or --count times.
Where the output is no terminal, one table follows the other. With --json each
reading is one object on one line.`,
		Example: `  sluicectl top                              # all gateways, every 2 seconds
  sluicectl top ngw-... --sort sessions      # who fills the session table?
  sluicectl top --count 1 --json | jq -r '.addresses[0].address'`,
		Args:              cobra.MaximumNArgs(1),
		ValidArgsFunction: f.completeGateways,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) > 0 {
				t.gateway = args[0]
			}
			switch {
			case orders[t.sort] == nil:
				return usagef("%q is nothing to sort by; write %s", t.sort, strings.Join(orderNames(), ", "))
			case interval < 100*time.Millisecond || interval > time.Hour:
				return usagef("an interval of %v is out of range; write a duration from 100ms to 1h", interval)
			case t.count < 0:
				return usagef("%d is no count; write how many tables to show, or 0 for no end", t.count)
			case t.limit < 0:
				return usagef("%d is no limit; write how many addresses to show, or 0 for all", t.limit)
			}
			return f.with(func(client *admin.Client) error {
				ticker := time.NewTicker(interval)
				defer ticker.Stop()
				t.source, t.tick = client, ticker.C
				return t.run(c.Context(), c.OutOrStdout())
			})
		},
	}
	c.Flags().StringVar(&t.sort, "sort", "traffic", strings.Join(orderNames(), ", "))
	c.Flags().DurationVar(&interval, "interval", 2*time.Second, "between two readings, 100ms to 1h")
	c.Flags().IntVar(&t.count, "count", 0, "how many tables to show; 0: until interrupted")
	c.Flags().IntVar(&t.limit, "limit", 20, "how many addresses to show; 0: all")
	c.Flags().BoolVar(&t.json, "json", false, "print JSON, one object a line for each reading")
	_ = c.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions(orderNames(), cobra.ShellCompDirectiveNoFileComp))
	f.register(c)
	return c
}

// liveCounters is what top reads; *admin.Client is one.
type liveCounters interface {
	Networks(ctx context.Context) ([]admin.Network, error)
	Traffic(ctx context.Context, network string) (admin.Traffic, error)
}

// top is one run of the command.
type top struct {
	gateway string // id of a NAT gateway or VPC; empty: all
	sort    string
	count   int // 0: until interrupted
	limit   int // 0: all
	json    bool

	source liveCounters
	now    func() time.Time
	tick   <-chan time.Time // a reading is due
}

func (t *top) run(ctx context.Context, w io.Writer) error {
	show := func(r activity) error { return printActivity(w, r, t.sort) }
	if s := newScreen(w); t.json {
		show = func(r activity) error { return printJSON(w, r) }
	} else if s != nil {
		if err := s.show("The first rates will be there at the second reading."); err != nil {
			return err
		}
		show = func(r activity) error {
			var frame strings.Builder
			if err := printActivity(&frame, r, t.sort); err != nil {
				return err
			}
			return s.show(frame.String())
		}
	}
	err := t.repeat(ctx, show)
	if ctx.Err() != nil && t.count == 0 {
		return nil // an interrupt is the way to end it
	}
	return err
}

// repeat shows what was counted between two ticks.
func (t *top) repeat(ctx context.Context, show func(activity) error) error {
	before, err := t.read(ctx)
	if err != nil {
		return err
	}
	for n := 0; t.count == 0 || n < t.count; n++ {
		select {
		case <-ctx.Done():
			return errors.New("interrupted")
		case <-t.tick:
		}
		after, err := t.read(ctx)
		if err != nil {
			return err
		}
		r := compare(t.now(), before, after)
		r.order(t.sort, t.limit)
		if err := show(r); err != nil {
			return err
		}
		before = after
	}
	return nil
}

// read reads the counters of the gateways that are asked for.
func (t *top) read(ctx context.Context) ([]reading, error) {
	networks, err := t.source.Networks(ctx)
	if err != nil {
		return nil, err
	}
	var list []reading
	for _, n := range networks {
		r := reading{vpc: n.ID}
		switch {
		case t.gateway == "" || t.gateway == n.ID:
		case slices.Contains(n.Gateways, t.gateway):
			r.gateway = t.gateway
		default:
			continue
		}
		r.traffic, err = t.source.Traffic(ctx, n.ID)
		r.at = t.now()
		if refused, ok := errors.AsType[*admin.Error](err); ok && t.gateway == "" {
			// The others are there to be seen all the same.
			if refused.Reason == admin.NotCounted {
				continue
			}
			r.err = refused.Message
		} else if err != nil {
			return nil, err
		}
		list = append(list, r)
	}
	if t.gateway != "" && len(list) == 0 {
		return nil, fmt.Errorf("there is no NAT gateway or VPC %s; sluicectl status lists them", t.gateway)
	}
	return list, nil
}

func (f *adminFlags) completeGateways(c *cobra.Command, args []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		_ = f.with(func(client *admin.Client) error {
			list, err := client.Networks(c.Context())
			for _, n := range list {
				for _, g := range n.Gateways {
					ids = append(ids, cobra.CompletionWithDesc(g, strings.TrimSpace(n.ID+" "+n.Name)))
				}
			}
			return err
		})
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}

func orderNames() []string {
	names := make([]string, 0, len(orders))
	for n := range orders {
		names = append(names, n)
	}
	slices.Sort(names)
	return names
}
