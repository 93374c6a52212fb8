package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newInstanceAddClassic(f *adminFlags) *cobra.Command {
	var in admin.NewClassicInstance
	c := &cobra.Command{
		Use:   "add-classic --account ID --region REGION --ip ADDRESS",
		Short: "Put an instance of the classic network into the inventory",
		Long: `Put an instance into the inventory that is in no VPC, but on the classic network
of a region, which the configuration names (classic). AttachClassicLinkVpc links it
to a VPC of its account; list-classic shows by which router it then reaches that.`,
		Example: `  sluicectl instance add-classic --account 1000000000000001 --region cn-hangzhou --ip 10.200.0.5 --id i-old`,
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				i, err := client.AddClassicInstance(c.Context(), in)
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), i.ID, i.Address)
				return err
			})
		},
	}
	c.Flags().StringVar(&in.Account, "account", "", "id of the account")
	c.Flags().StringVar(&in.Region, "region", "", "id of the region")
	c.Flags().StringVar(&in.Address, "ip", "", "address in the classic network")
	c.Flags().StringVar(&in.ID, "id", "", "id (default: drawn at random)")
	c.Flags().StringVar(&in.MAC, "mac", "", "hardware address; then no other may use the address")
	for _, name := range []string{"account", "region", "ip"} {
		_ = c.MarkFlagRequired(name)
	}
	return c
}

func newInstanceListClassic(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list-classic",
		Short: "List the instances of classic networks, and what they are linked to",
		Long: `List the instances of classic networks. One that is linked to a VPC needs a route
to the VPC's blocks by its router: ip route add BLOCK via ROUTER.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.ClassicInstances(c.Context())
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "INSTANCE\tADDRESS\tMAC\tREGION\tACCOUNT\tVPC\tROUTER\tBLOCKS")
				for _, i := range list {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", i.ID, i.Address, dash(i.MAC), i.Region, i.Account, dash(i.VPC), dash(i.Router), dash(strings.Join(i.Blocks, ",")))
				}
				return out.Flush()
			})
		},
	}
}
