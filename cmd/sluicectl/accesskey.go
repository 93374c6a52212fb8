package main

import (
	"context"
	"fmt"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newAccessKey() *cobra.Command {
	var f adminFlags
	c := group("accesskey", "Access keys of clients",
		`Access keys let clients sign as an account. The secret is shown once, when the
key is made; sluiced keeps it encrypted.`,
		newAccessKeyCreate(&f), newAccessKeyList(&f),
		f.onKey("disable", "Refuse what is signed by a key", (*admin.Client).DisableAccessKey),
		f.onKey("enable", "Undo disable", (*admin.Client).EnableAccessKey),
		f.onKey("delete", "Delete a key for good", (*admin.Client).DeleteAccessKey))
	f.register(c)
	return c
}

func newAccessKeyCreate(f *adminFlags) *cobra.Command {
	var in admin.NewAccessKey
	var env bool
	c := &cobra.Command{
		Use:   "create",
		Short: "Make a key and show its secret",
		Example: `  sluicectl accesskey create --account office
  eval "$(sluicectl accesskey create --env)"`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				k, err := client.CreateAccessKey(c.Context(), in)
				if err != nil {
					return err
				}
				if env {
					_, err = fmt.Fprintf(c.OutOrStdout(), "export SLUICE_ACCESS_KEY_ID=%s\nexport SLUICE_ACCESS_KEY_SECRET=%s\n", quote(k.ID), quote(k.Secret))
					return err
				}
				_, err = fmt.Fprintf(c.OutOrStdout(), "access key id      %s\naccess key secret  %s\naccount            %s (%s)\n", k.ID, k.Secret, k.Account, k.AccountName)
				return err
			})
		},
	}
	c.Flags().StringVar(&in.Account, "account", "", "id or name of the account (default: the account \"default\", which is made if there is none)")
	c.Flags().StringVar(&in.User, "user", "", "name of a user of the account, whose rights the key has (default: all of the account's)")
	c.Flags().StringVar(&in.ID, "id", "", "access key id (default: drawn at random)")
	c.Flags().StringVar(&in.Secret, "secret", "", "its secret (default: drawn at random)")
	c.Flags().BoolVar(&in.DescribeOnly, "describe-only", false, "the key may not call actions that write")
	c.Flags().BoolVar(&env, "env", false, "print shell assignments")
	return c
}

func newAccessKeyList(f *adminFlags) *cobra.Command {
	var account string
	c := &cobra.Command{
		Use:   "list",
		Short: "List access keys",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				keys, err := client.AccessKeys(c.Context(), account)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "ACCESS KEY\tACCOUNT\tNAME\tUSER\tSTATE\tMAY\tCREATED")
				for _, k := range keys {
					state, may := "enabled", "call everything"
					if k.Disabled {
						state = "disabled"
					}
					if k.DescribeOnly {
						may = "describe only"
					}
					if k.UserName != "" && !k.DescribeOnly {
						may = "what policies allow"
					}
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", k.ID, k.Account, k.AccountName, dash(k.UserName), state, may, date(k.CreatedAt))
				}
				return out.Flush()
			})
		},
	}
	c.Flags().StringVar(&account, "account", "", "only keys of this account, by id or name")
	return c
}

// dash stands for what there is none of.
func dash(s string) string {
	if s == "" {
		return "-"
	}
	return s
}

// date writes a time as the API does.
func date(t time.Time) string { return t.UTC().Format("2006-01-02T15:04:05Z") }

// onKey is a command that does one thing to a key.
func (f *adminFlags) onKey(verb, short string, do func(*admin.Client, context.Context, string) error) *cobra.Command {
	return &cobra.Command{
		Use:   verb + " ID",
		Short: short,
		Args:  cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error { return do(client, c.Context(), args[0]) })
		},
		ValidArgsFunction: func(c *cobra.Command, args []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
			if len(args) == 0 {
				_ = f.with(func(client *admin.Client) error {
					keys, err := client.AccessKeys(c.Context(), "")
					for _, k := range keys {
						ids = append(ids, cobra.CompletionWithDesc(k.ID, k.AccountName))
					}
					return err
				})
			}
			return ids, cobra.ShellCompDirectiveNoFileComp
		},
	}
}
