package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

// errRefused ends a command that has said why already.
var errRefused = errors.New("")

// ramFlags choose the account, too.
type ramFlags struct {
	adminFlags
	account string
}

func newRAM() *cobra.Command {
	var f ramFlags
	c := group("ram", "Users of an account, and what they may do",
		`An account's own access keys may do everything on what is the account's. A user
has access keys of its own (accesskey create --user), and may do what its
policies allow; what none allows is refused, and what one denies is refused
whatever else allows it.`,
		group("user", "Users", "Users of an account.", newUserCreate(&f), newUserList(&f), newUserDelete(&f)),
		group("policy", "Policies", "Policies of an account's own, which it can change, and those of the system.",
			newPolicyPut(&f, false), newPolicyPut(&f, true), newPolicyList(&f), newPolicyShow(&f), newPolicyDelete(&f)),
		f.two("attach USER POLICY", "Give a user the rights of a policy", (*admin.Client).AttachPolicy),
		f.two("detach USER POLICY", "Take them away", (*admin.Client).DetachPolicy),
		f.two("grant ACCOUNT POLICY", "Let another account do what a policy allows", (*admin.Client).Grant),
		f.two("revoke ACCOUNT POLICY", "Undo grant", (*admin.Client).Revoke),
		newGrantList(&f), newSimulate(&f))
	f.register(c)
	c.PersistentFlags().StringVar(&f.account, "account", "", "id or name of the account (default: the account \"default\")")
	return c
}

// two is a command with two arguments.
func (f *ramFlags) two(use, short string, do func(c *admin.Client, ctx context.Context, account, a, b string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(2),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error { return do(client, c.Context(), f.account, args[0], args[1]) })
		},
	}
}

// one is a command with one argument.
func (f *ramFlags) one(use, short string, do func(c *admin.Client, ctx context.Context, account, a string) error) *cobra.Command {
	return &cobra.Command{
		Use: use, Short: short, Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error { return do(client, c.Context(), f.account, args[0]) })
		},
	}
}

func newUserCreate(f *ramFlags) *cobra.Command {
	var comments string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a user, without keys and without rights", Args: cobra.ExactArgs(1),
		Example: `  sluicectl ram user create alice
  sluicectl ram attach alice AliyunVPCReadOnlyAccess
  sluicectl accesskey create --user alice`,
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				u, err := client.CreateUser(c.Context(), admin.NewUser{Account: f.account, Name: args[0], Comments: comments})
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), u.ID)
				return err
			})
		},
	}
	c.Flags().StringVar(&comments, "comments", "", "what is to be remembered of the user")
	return c
}

func newUserList(f *ramFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List users with their policies", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				users, err := client.Users(c.Context(), f.account)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "USER\tID\tACCOUNT\tPOLICIES\tCREATED")
				for _, u := range users {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", u.Name, u.ID, u.AccountName, orNone(strings.Join(u.Policies, ",")), date(u.CreatedAt))
				}
				return out.Flush()
			})
		},
	}
}

func orNone(s string) string {
	if s == "" {
		return "none"
	}
	return s
}

func newUserDelete(f *ramFlags) *cobra.Command {
	return f.one("delete NAME", "Delete a user that has neither keys nor policies", (*admin.Client).DeleteUser)
}

func newPolicyPut(f *ramFlags, again bool) *cobra.Command {
	var file, description string
	c := &cobra.Command{
		Use: "create NAME", Short: "Make a policy of a document", Args: cobra.ExactArgs(1),
		Example: `  sluicectl ram policy create only-office --document policy.json`,
		RunE: func(c *cobra.Command, args []string) error {
			var document []byte
			var err error
			if file == "-" {
				document, err = io.ReadAll(c.InOrStdin())
			} else {
				document, err = os.ReadFile(file)
			}
			if err != nil {
				return fmt.Errorf("read the document: %w", err)
			}
			in := admin.NewPolicy{Account: f.account, Name: args[0], Description: description, Document: string(document)}
			return f.with(func(client *admin.Client) error {
				if again {
					return client.UpdatePolicy(c.Context(), in)
				}
				return client.CreatePolicy(c.Context(), in)
			})
		},
	}
	c.Flags().StringVarP(&file, "document", "f", "-", "file with the document; - is the standard input")
	if again {
		c.Use, c.Short, c.Example = "update NAME", "Have another document hold, as a further version", ""
	} else {
		c.Flags().StringVar(&description, "description", "", "what the policy is for")
	}
	return c
}

func newPolicyList(f *ramFlags) *cobra.Command {
	return &cobra.Command{
		Use: "list", Short: "List policies", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				policies, err := client.Policies(c.Context(), f.account)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "POLICY\tTYPE\tVERSION\tATTACHED\tDESCRIPTION")
				for _, p := range policies {
					kind := "custom"
					if p.System {
						kind = "system"
					}
					fmt.Fprintf(out, "%s\t%s\tv%d\t%d\t%s\n", p.Name, kind, p.Version, p.Attached, p.Description)
				}
				return out.Flush()
			})
		},
	}
}

func newPolicyShow(f *ramFlags) *cobra.Command {
	return &cobra.Command{
		Use: "show NAME", Short: "Print the document of a policy", Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				p, err := client.Policy(c.Context(), f.account, args[0])
				if err != nil {
					return err
				}
				_, err = fmt.Fprintln(c.OutOrStdout(), strings.TrimSpace(p.Document))
				return err
			})
		},
	}
}

func newPolicyDelete(f *ramFlags) *cobra.Command {
	return f.one("delete NAME", "Delete a policy that is attached nowhere", (*admin.Client).DeletePolicy)
}

func newGrantList(f *ramFlags) *cobra.Command {
	return &cobra.Command{
		Use: "grants", Short: "List what other accounts may do on the account's resources", Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				grants, err := client.Grants(c.Context(), f.account)
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "ACCOUNT\tPOLICY\tSINCE")
				for _, g := range grants {
					fmt.Fprintf(out, "%s\t%s\t%s\n", g.To, g.Policy, date(g.Since))
				}
				return out.Flush()
			})
		},
	}
}

func newSimulate(f *ramFlags) *cobra.Command {
	var owner, region, source string
	var values []string
	c := &cobra.Command{
		Use:   "simulate USER ACTION [RESOURCE]",
		Short: "Say whether a call would be allowed, and by which statement",
		Long: `Asks the policies about one action on one resource, written as the documents
have it (acs:vpc:cn-beijing:*:vpc/vpc-257gq642n) or as its last part alone
(vpc/vpc-257gq642n). Without a resource it is about everything, which actions
without a documented rule need. The user - is the account itself. Exits with 1
if it would be refused.`,
		Example: `  sluicectl ram simulate alice vpc:DeleteVpc vpc/vpc-257gq642n --region cn-beijing
  sluicectl ram simulate alice vpc:DescribeVpcs 'vpc/*' --source 203.0.113.7`,
		Args: cobra.RangeArgs(2, 3),
		RunE: func(c *cobra.Command, args []string) error {
			q := admin.Question{Account: f.account, User: args[0], Owner: owner, Region: region, Values: map[string]string{}}
			if q.User == "-" {
				q.User = ""
			}
			var ok bool
			if q.Service, q.Action, ok = strings.Cut(args[1], ":"); !ok {
				return usagef("action %q: write <service>:<action>, such as vpc:DeleteVpc", args[1])
			}
			q.Of = q.Service
			if len(args) == 3 {
				q.Resource = args[2]
				if p := strings.SplitN(args[2], ":", 5); p[0] == "acs" && len(p) == 5 {
					q.Of, q.Region, q.Resource = p[1], p[2], p[4]
				} else if p[0] == "acs" {
					return usagef("resource %q: write acs:<service>:<region>:<account>:<id>, or <id> alone", args[2])
				}
			}
			q.Values["acs:currenttime"] = time.Now().UTC().Format(time.RFC3339)
			q.Values["acs:securetransport"], q.Values["acs:mfapresent"] = "true", "false"
			if source != "" {
				q.Values["acs:sourceip"] = source
			}
			for _, v := range values {
				key, value, ok := strings.Cut(v, "=")
				if !ok {
					return usagef("value %q: write <key>=<value>, such as acs:SecureTransport=false", v)
				}
				q.Values[strings.ToLower(key)] = value
			}
			return f.with(func(client *admin.Client) error {
				a, err := client.Simulate(c.Context(), q)
				if err != nil {
					return err
				}
				word := "deny"
				if a.Allowed {
					word = "allow"
				}
				if _, err = fmt.Fprintf(c.OutOrStdout(), "%s  %s on %s: %s\n", word, args[1], a.Resource, a.Why); err != nil || a.Allowed {
					return err
				}
				return errRefused
			})
		},
	}
	c.Flags().StringVar(&owner, "owner", "", "id or name of the account whose the resource is (default: the same account)")
	c.Flags().StringVar(&region, "region", "*", "region of the resource; * is any")
	c.Flags().StringVar(&source, "source", "", "address that the call comes from (acs:SourceIp)")
	c.Flags().StringArrayVar(&values, "value", nil, "value of another condition key, as <key>=<value>")
	return c
}
