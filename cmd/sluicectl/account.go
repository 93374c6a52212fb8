package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newAccount() *cobra.Command {
	var f adminFlags
	c := group("account", "Accounts", "Accounts own resources and access keys; one does not see another's resources.",
		newAccountCreate(&f), newAccountList(&f))
	f.register(c)
	return c
}

func newAccountCreate(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:     "create NAME",
		Short:   "Make an account",
		Example: `  sluicectl account create office`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				a, err := client.CreateAccount(c.Context(), args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), a.ID)
				return err
			})
		},
	}
}

func newAccountList(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List accounts",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				accounts, err := client.Accounts(c.Context())
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "ACCOUNT\tNAME\tCREATED")
				for _, a := range accounts {
					fmt.Fprintf(out, "%s\t%s\t%s\n", a.ID, a.Name, date(a.CreatedAt))
				}
				return out.Flush()
			})
		},
	}
}
