package main

import (
	"fmt"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/spec"
)

var families = []string{spec.Aliyun, spec.Tencent3, spec.Tencent2}

func completeFamilies(*cobra.Command, []string, string) ([]string, cobra.ShellCompDirective) {
	return families, cobra.ShellCompDirectiveNoFileComp
}

func checkFamily(family string) error {
	if !slices.Contains(families, family) {
		return usagef("there is no family %q; there are %s", family, strings.Join(families, ", "))
	}
	return nil
}

func newDescribe() *cobra.Command {
	var family string
	c := &cobra.Command{
		Use:   "describe ACTION",
		Short: "Print an action's parameters, answer, rules and errors",
		Example: `  sluicectl describe CreateForwardEntry
  sluicectl describe --family tencent3 CreateVpc`,
		Args: cobra.ExactArgs(1),
		ValidArgsFunction: func(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
			return completeActions(family, args)
		},
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkFamily(family); err != nil {
				return err
			}
			catalog, err := spec.Load()
			if err != nil {
				return err
			}
			if catalog.Family(family).Find(args[0]) == nil {
				return usagef("%s", unknownAction(catalog, family, args[0]))
			}
			if err := spec.Describe(c.OutOrStdout(), family, args[0]); err != nil {
				return usageError{err}
			}
			return nil
		},
	}
	c.Flags().StringVar(&family, "family", spec.Aliyun, "wire family: "+strings.Join(families, ", "))
	_ = c.RegisterFlagCompletionFunc("family", completeFamilies)
	return c
}

func newActions() *cobra.Command {
	var family string
	var supported bool
	c := &cobra.Command{
		Use:   "actions",
		Short: "List the actions of the catalog",
		Example: `  sluicectl actions --supported
  sluicectl actions --family tencent2`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			list := families
			if family != "" {
				if err := checkFamily(family); err != nil {
					return err
				}
				list = []string{family}
			}
			catalog, err := spec.Load()
			if err != nil {
				return err
			}
			out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
			fmt.Fprintln(out, "FAMILY\tGROUP\tACTION\tSTATE")
			for _, f := range list {
				for _, a := range catalog.Family(f).Actions() {
					state := "not yet"
					if a.Supported() {
						state = spec.Supported
					}
					if !supported || a.Supported() {
						fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", f, a.Group, a.Key(), state)
					}
				}
			}
			return out.Flush()
		},
	}
	c.Flags().StringVar(&family, "family", "", "only this wire family: "+strings.Join(families, ", "))
	c.Flags().BoolVar(&supported, "supported", false, "only what the service answers")
	_ = c.RegisterFlagCompletionFunc("family", completeFamilies)
	return c
}
