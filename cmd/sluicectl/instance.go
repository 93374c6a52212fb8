package main

import (
	"fmt"
	"strconv"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

var instanceStates = []string{"Running", "Stopped", "Starting", "Stopping"}

func newInstance() *cobra.Command {
	var f adminFlags
	c := group("instance", "The inventory: who holds which private address",
		`The inventory says which instance holds which address of a VSwitch. Elastic IPs
are bound to its entries, and DNAT, SNAT and routes consult it. An address that
it does not know counts as an ordinary ECS instance.`,
		newInstanceAdd(&f), newInstanceList(&f), newInstanceRemove(&f), newInstanceSetState(&f), newInstanceSetMAC(&f), newInstanceSetLimits(&f))
	f.register(c)
	return c
}

func newInstanceAdd(f *adminFlags) *cobra.Command {
	var in admin.NewInstance
	c := &cobra.Command{
		Use:     "add --vswitch ID",
		Short:   "Put an instance into the inventory",
		Example: `  sluicectl instance add --vswitch vsw-... --ip 10.0.1.10 --id i-web`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				i, err := client.AddInstance(c.Context(), in)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), i.ID, i.PrivateIP)
				return err
			})
		},
	}
	c.Flags().StringVar(&in.VSwitch, "vswitch", "", "id of the VSwitch")
	c.Flags().StringVar(&in.PrivateIP, "ip", "", "private address (default: the lowest that is free)")
	c.Flags().StringVar(&in.ID, "id", "", "id (default: drawn at random)")
	c.Flags().StringVar(&in.MAC, "mac", "", "hardware address")
	c.Flags().StringVar(&in.Kind, "kind", "", "EcsInstance, SlbInstance or RdsInstance (default EcsInstance)")
	c.Flags().StringVar(&in.State, "state", "", "state (default Running)")
	_ = c.MarkFlagRequired("vswitch")
	_ = c.RegisterFlagCompletionFunc("kind", cobra.FixedCompletions(admin.KindWords(), cobra.ShellCompDirectiveNoFileComp))
	_ = c.RegisterFlagCompletionFunc("state", cobra.FixedCompletions(instanceStates, cobra.ShellCompDirectiveNoFileComp))
	return c
}

func newInstanceList(f *adminFlags) *cobra.Command {
	var filter admin.InstanceFilter
	c := &cobra.Command{
		Use:   "list",
		Short: "List the inventory",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.Instances(c.Context(), filter)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "INSTANCE\tKIND\tSTATE\tADDRESS\tMAC\tLIMITS\tVSWITCH\tVPC\tACCOUNT")
				for _, i := range list {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.Kind, i.State, i.PrivateIP, i.MAC, limitsText(i.Limits), i.VSwitch, i.VPC, i.Account)
				}
				return out.Flush()
			})
		},
	}
	c.Flags().StringVar(&filter.VPC, "vpc", "", "only of this VPC")
	c.Flags().StringVar(&filter.VSwitch, "vswitch", "", "only of this VSwitch")
	return c
}

func newInstanceRemove(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "remove ID",
		Short:             "Take an instance out of the inventory",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeInstances,
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error { return client.RemoveInstance(c.Context(), args[0]) })
		},
	}
}

func newInstanceSetState(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "set-state ID STATE",
		Short: "Note that an instance is in another state",
		Long: `Note that an instance is in another state: Running, Stopped, Starting or
Stopping. Actions refuse instances in the wrong state as the documents say.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return instanceStates, cobra.ShellCompDirectiveNoFileComp
			}
			return f.completeInstances(c, args, toComplete)
		},
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error { return client.SetInstanceState(c.Context(), args[0], args[1]) })
		},
	}
}

func newInstanceSetMAC(f *adminFlags) *cobra.Command {
	var unknown bool
	c := &cobra.Command{
		Use:   "set-mac ID [MAC]",
		Short: "Say which Ethernet address an instance has",
		Long: `Say which Ethernet address an instance has. With port security, no other may use
its private address. With --unknown it is held to none.`,
		Example:           "  sluicectl instance set-mac i-web 02:00:00:00:00:01",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: f.completeInstances,
		RunE: func(c *cobra.Command, args []string) error {
			mac := ""
			if len(args) == 2 {
				mac = args[1]
			}
			if (mac == "") != unknown {
				return usagef("write an Ethernet address, for example 02:00:00:00:00:01, or --unknown, and not both")
			}
			return f.with(func(client *admin.Client) error { return client.SetInstanceMAC(c.Context(), args[0], mac) })
		},
	}
	c.Flags().BoolVar(&unknown, "unknown", false, "its Ethernet address is not known")
	return c
}

func newInstanceSetLimits(f *adminFlags) *cobra.Command {
	var to admin.Limits
	var byDefault bool
	c := &cobra.Command{
		Use:   "set-limits ID",
		Short: "Say what an instance may have of its NAT gateway's limits",
		Long: `Say how many connections by SNAT entries an instance may have open, and open in
a second, of what its NAT gateway's specification allows. What is left out, or 0,
is no limit but the gateway's. With --default it may have again what each host may:
nat.host_share of the configuration.`,
		Example: `  sluicectl instance set-limits i-proxy --sessions 10000
  sluicectl instance set-limits i-scanner --sessions 500 --new-per-second 50`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeInstances,
		RunE: func(c *cobra.Command, args []string) error {
			own := &to
			if byDefault {
				own = nil
			}
			return f.with(func(client *admin.Client) error { return client.SetInstanceLimits(c.Context(), args[0], own) })
		},
	}
	c.Flags().IntVar(&to.Sessions, "sessions", 0, "connections open at once")
	c.Flags().IntVar(&to.NewPerSecond, "new-per-second", 0, "connections opened in a second")
	c.Flags().BoolVar(&byDefault, "default", false, "what each host may have")
	c.MarkFlagsOneRequired("sessions", "new-per-second", "default")
	c.MarkFlagsMutuallyExclusive("sessions", "default")
	c.MarkFlagsMutuallyExclusive("new-per-second", "default")
	return c
}

// limitsText is how a listing shows an instance's limits: sessions, and those opened in a
// second; a dash for no limit but the gateway's.
func limitsText(l *admin.Limits) string {
	if l == nil {
		return "default"
	}
	number := func(n int) string {
		if n == 0 {
			return "-"
		}
		return strconv.Itoa(n)
	}
	return number(l.Sessions) + ", " + number(l.NewPerSecond) + "/s"
}

func (f *adminFlags) completeInstances(c *cobra.Command, args []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
	if len(args) == 0 {
		_ = f.with(func(client *admin.Client) error {
			list, err := client.Instances(c.Context(), admin.InstanceFilter{})
			for _, i := range list {
				ids = append(ids, cobra.CompletionWithDesc(i.ID, i.PrivateIP))
			}
			return err
		})
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
