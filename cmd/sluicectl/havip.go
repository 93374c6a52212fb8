package main

import (
	"cmp"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newHaVip() *cobra.Command {
	var f adminFlags
	c := group("havip", "Private addresses that move between instances",
		`A HaVip is a private address of a VSwitch that moves between the instances that it
is bound to: the one that announces it by ARP, as keepalived does, has it. Elastic
IPs are bound to it, and route entries lead to it.`,
		newHaVipAdd(&f), newHaVipList(&f), newHaVipBind(&f), newHaVipUnbind(&f), newHaVipAnyHost(&f), newHaVipRemove(&f))
	f.register(c)
	return c
}

func newHaVipAdd(f *adminFlags) *cobra.Command {
	var in admin.NewHaVip
	c := &cobra.Command{
		Use:     "add --vswitch ID",
		Short:   "Make a HaVip",
		Example: `  sluicectl havip add --vswitch vsw-... --ip 10.0.1.100`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				h, err := client.AddHaVip(c.Context(), in)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), h.ID, h.PrivateIP)
				return err
			})
		},
	}
	c.Flags().StringVar(&in.VSwitch, "vswitch", "", "id of the VSwitch")
	c.Flags().StringVar(&in.PrivateIP, "ip", "", "private address (default: the lowest that is free)")
	c.Flags().StringVar(&in.Name, "name", "", "name")
	c.Flags().BoolVar(&in.AnyHost, "any-host", false, "every host of the VSwitch may have it, bound or not")
	_ = c.MarkFlagRequired("vswitch")
	return c
}

func newHaVipList(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List HaVips, and who has them",
		Long: `List HaVips, with the instances that each is bound to, and the one that was seen to
have the address: by what it announces, or answers when it is asked. A dash is
nobody; an Ethernet address is that of somebody who is none of the instances.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.HaVips(c.Context())
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "HAVIP\tADDRESS\tSTATUS\tINSTANCES\tMASTER\tSINCE\tELASTIC IP\tVSWITCH\tVPC\tACCOUNT")
				for _, h := range list {
					instances := strings.Join(h.Instances, ",")
					if h.AnyHost {
						instances = strings.TrimPrefix(instances+",any", ",")
					}
					since := "-"
					if !h.MasterSince.IsZero() {
						since = h.MasterSince.Local().Format("2006-01-02 15:04:05")
					}
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", h.ID, h.PrivateIP, h.Status, cmp.Or(instances, "-"),
						cmp.Or(h.Master, h.MasterMAC, "-"), since, cmp.Or(strings.Join(h.Elastic, ","), "-"), h.VSwitch, h.VPC, h.Account)
				}
				return out.Flush()
			})
		},
	}
}

func newHaVipBind(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "bind HAVIP INSTANCE",
		Short:             "Let an instance have the address of a HaVip",
		Example:           `  sluicectl havip bind havip-... i-web1`,
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: f.completeHaVips,
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				_, err := client.BindHaVip(c.Context(), args[0], args[1])
				return err
			})
		},
	}
}

func newHaVipUnbind(f *adminFlags) *cobra.Command {
	var force bool
	c := &cobra.Command{
		Use:               "unbind HAVIP INSTANCE",
		Short:             "Take the right to a HaVip's address from an instance",
		Args:              cobra.ExactArgs(2),
		ValidArgsFunction: f.completeHaVips,
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				_, err := client.UnbindHaVip(c.Context(), args[0], args[1], force)
				return err
			})
		},
	}
	c.Flags().BoolVar(&force, "force", false, "also from the one that has the address")
	return c
}

func newHaVipAnyHost(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "any-host HAVIP on|off",
		Short: "Say whether every host of the VSwitch may have a HaVip's address",
		Long: `Say whether every host of the VSwitch may have a HaVip's address, or, with port
security, those alone that it is bound to.`,
		Args: cobra.ExactArgs(2),
		ValidArgsFunction: func(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
			if len(args) == 1 {
				return []string{"on", "off"}, cobra.ShellCompDirectiveNoFileComp
			}
			return f.completeHaVips(c, args, toComplete)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if args[1] != "on" && args[1] != "off" {
				return usagef("write on or off")
			}
			return f.with(func(client *admin.Client) error { return client.LetAnyHost(c.Context(), args[0], args[1] == "on") })
		},
	}
}

func newHaVipRemove(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "remove HAVIP",
		Short:             "Delete a HaVip that is bound to nothing",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeHaVips,
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error { return client.RemoveHaVip(c.Context(), args[0]) })
		},
	}
}

// completeHaVips completes the id of a HaVip, and behind it that of an instance.
func (f *adminFlags) completeHaVips(c *cobra.Command, args []string, toComplete string) (ids []string, _ cobra.ShellCompDirective) {
	if len(args) == 1 {
		return f.completeInstances(c, nil, toComplete)
	}
	if len(args) == 0 {
		_ = f.with(func(client *admin.Client) error {
			list, err := client.HaVips(c.Context())
			for _, h := range list {
				ids = append(ids, cobra.CompletionWithDesc(h.ID, h.PrivateIP))
			}
			return err
		})
	}
	return ids, cobra.ShellCompDirectiveNoFileComp
}
