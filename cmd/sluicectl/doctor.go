package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/dataplane/probe"
)

func newDoctor() *cobra.Command {
	return &cobra.Command{
		Use:   "doctor",
		Short: "Try what this kernel and machine can do for a gateway",
		Long: `Try what this kernel and machine can do for a gateway, and print what is there,
what is missing, and what that costs. Nothing is changed: everything is tried in
a network namespace that is thrown away. The exit code is 1 only if something is
missing without which no gateway works.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			results, err := probe.All(c.Context())
			if err != nil {
				return err
			}
			return diagnose(c.OutOrStdout(), results)
		},
	}
}

// diagnose prints the results, and returns an error that names what is needed
// and missing.
func diagnose(w io.Writer, results []probe.Result) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "FEATURE\tTHERE\tNEEDED\tSINCE\tREMARK")
	var missing, open []string
	for _, r := range results {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", r.Name, r.Answer, needed(r.Need), r.Since, remark(r))
		switch {
		case r.Missing():
			missing = append(missing, r.Name)
		case r.Need == probe.Required && r.Answer == probe.Unknown:
			open = append(open, r.Name)
		}
	}
	if err := out.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	if len(missing) > 0 {
		return errors.New("this machine cannot be a gateway, it lacks: " + strings.Join(missing, ", "))
	}
	if len(open) > 0 {
		_, err := fmt.Fprintf(w, "Could not tell whether this machine can be a gateway: %s. Run this as root.\n", strings.Join(open, ", "))
		return err
	}
	_, err := fmt.Fprintln(w, "This machine can be a gateway.")
	return err
}

func needed(n probe.Need) string {
	switch n {
	case probe.Required:
		return "always"
	case probe.VPN:
		return "for VPN gateways only"
	case probe.Looking:
		return "for looking only"
	default:
		return "no"
	}
}

func remark(r probe.Result) string {
	switch r.Answer {
	case probe.Yes:
		return r.Detail
	case probe.No:
		return r.Costs + " (" + r.Detail + ")"
	default:
		return r.Detail
	}
}
