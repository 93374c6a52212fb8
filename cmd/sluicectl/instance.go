package main

import (
	"cmp"
	"fmt"
	"slices"
	"strconv"
	"strings"
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
		newInstanceAdd(&f), newInstanceList(&f), newInstanceShow(&f), newInstanceRemove(&f), newInstanceSetPublic(&f), newInstanceSetState(&f), newInstanceSetMAC(&f), newInstanceSetLimits(&f), newInstanceAddClassic(&f), newInstanceListClassic(&f))
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
	c.Flags().StringSliceVar(&in.Further, "further-ip", nil, "further private addresses of its interface")
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
				fmt.Fprintln(out, "INSTANCE\tKIND\tSTATE\tADDRESS\tFURTHER\tMAC\tLIMITS\tVSWITCH\tVPC\tACCOUNT")
				for _, i := range list {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.Kind, i.State, i.PrivateIP, further(i), i.MAC, limitsText(i.Limits), i.VSwitch, i.VPC, i.Account)
				}
				return out.Flush()
			})
		},
	}
	c.Flags().StringVar(&filter.VPC, "vpc", "", "only of this VPC")
	c.Flags().StringVar(&filter.VSwitch, "vswitch", "", "only of this VSwitch")
	return c
}

// further is how many private addresses an instance has besides its own.
func further(i admin.Instance) (n int) {
	for _, x := range i.Interfaces {
		n += len(x.Addresses)
	}
	return max(0, n-1)
}

func newInstanceShow(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "show ID",
		Short:             "Show the network interfaces of an instance, and their addresses",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeInstances,
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.Instances(c.Context(), admin.InstanceFilter{})
				if err != nil {
					return err
				}
				at := slices.IndexFunc(list, func(i admin.Instance) bool { return i.ID == args[0] })
				if at < 0 {
					return fmt.Errorf("there is no instance %s in the inventory", args[0])
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "INTERFACE\tINDEX\tADDRESS\tPUBLIC\tMAC\tVSWITCH\tGROUPS")
				for _, x := range list[at].Interfaces {
					for _, a := range x.Addresses {
						fmt.Fprintf(out, "%s\t%d\t%s\t%s\t%s\t%s\t%s\n", x.ID, x.Index, a.Address, cmp.Or(a.Public, "-"), x.MAC, x.VSwitch, cmp.Or(strings.Join(x.Groups, ","), "-"))
					}
				}
				return out.Flush()
			})
		},
	}
}

func newInstanceSetPublic(f *adminFlags) *cobra.Command {
	var none bool
	c := &cobra.Command{
		Use:   "set-public-ip ID [ADDRESS]",
		Short: "Give an instance an ordinary public address",
		Long: `Give an instance an ordinary public address: the one that is named, of its
region's pool, or any that is free. It goes with the instance, gives way to an
elastic IP, and becomes one by Tencent Cloud's TransformAddress. With --none it is
taken away.`,
		Example:           "  sluicectl instance set-public-ip i-web 203.0.113.20",
		Args:              cobra.RangeArgs(1, 2),
		ValidArgsFunction: f.completeInstances,
		RunE: func(c *cobra.Command, args []string) error {
			if none && len(args) == 2 {
				return usagef("write an address or --none, and not both")
			}
			return f.with(func(client *admin.Client) error {
				if none {
					return client.TakePublic(c.Context(), args[0])
				}
				return client.GivePublic(c.Context(), args[0], strings.Join(args[1:], ""))
			})
		},
	}
	c.Flags().BoolVar(&none, "none", false, "it has none any more")
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
			classic, _ := client.ClassicInstances(c.Context())
			for _, i := range classic {
				ids = append(ids, cobra.CompletionWithDesc(i.ID, i.Address))
			}
			return err
		})
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
