package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/dataplane"
	"sluice/dataplane/ipsec"
	"sluice/dataplane/probe"
	"sluice/errtext"
)

func newDoctor() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Try what this kernel and machine can do for a gateway",
		Long: `Try what this kernel and machine can do for a gateway, and print what is there,
what is missing, and what that costs. Nothing is changed: everything is tried in
a network namespace that is thrown away. The exit code is 1 only if something is
missing without which no gateway works. A strongSwan is started for a moment and
asked for its version, its plugins, and what it lacks.

If sluiced runs, it is asked how the BPF programs of each VPC's links are
attached: by XDP, in the driver, or by tcx or clsact, and why not by XDP.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			results, err := probe.All(c.Context())
			if err != nil {
				return err
			}
			if err := diagnose(c.OutOrStdout(), results); err != nil {
				return err
			}
			path, err := ipsec.Available()
			if err := tunnels(c.OutOrStdout(), path, err); err != nil {
				return err
			}
			if err == nil {
				there, err := ipsec.Examine(c.Context())
				if err := strongswan(c.OutOrStdout(), there, err); err != nil {
					return err
				}
			}
			return tellAttached(c.Context(), c.OutOrStdout(), &f)
		},
	}
	f.register(c)
	return c
}

// tellAttached prints how the daemon's BPF programs are attached. That none
// runs, or that it cannot be asked, says nothing against the machine.
func tellAttached(ctx context.Context, w io.Writer, f *adminFlags) error {
	var networks []attached
	err := f.with(func(client *admin.Client) error {
		list, err := client.Networks(ctx)
		if err != nil {
			return err
		}
		for _, n := range list {
			programs, err := client.Programs(ctx, n.ID)
			if err != nil {
				return err
			}
			networks = append(networks, attached{n.ID, programs})
		}
		return nil
	})
	if err != nil {
		_, err = fmt.Fprintf(w, "How the BPF programs of its links are attached, only a running daemon tells: %s\n", errtext.Of(err))
		return err
	}
	return printAttached(w, networks)
}

// attached is a network with how the programs of its links are attached.
type attached struct {
	network  string
	programs []admin.LinkPrograms
}

func printAttached(w io.Writer, networks []attached) error {
	if len(networks) == 0 {
		_, err := fmt.Fprintln(w, "sluiced has no VPC, and so no link with BPF programs.")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "\nVPC\tLINK\tPROGRAMS BY\tWHY NOT BY XDP")
	for _, n := range networks {
		for _, p := range n.programs {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\n", n.network, p.Link, p.By, p.Why)
		}
		if len(n.programs) == 0 {
			fmt.Fprintf(out, "%s\t-\tnone\tit has no public side, or the session programs do not run here (see the log of sluiced)\n", n.network)
		}
	}
	return out.Flush()
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

// tunnels prints how IPsec tunnels would be carried.
func tunnels(w io.Writer, path dataplane.VPNPath, err error) error {
	text := "VPN gateways' tunnels are carried by "
	switch {
	case err != nil:
		text = "There can be no IPsec: " + errtext.Of(err)
	case path == dataplane.VPNByXFRM:
		text += "the kernel."
	default:
		text += "charon itself (kernel-libipsec), since the kernel has no ESP or no XFRM interfaces."
	}
	_, err = fmt.Fprintln(w, text)
	return err
}

// strongswan prints what there is of it.
func strongswan(w io.Writer, s ipsec.Strongswan, err error) error {
	if err != nil {
		_, err = fmt.Fprintf(w, "What strongSwan can do could not be asked: %s\n", errtext.Of(err))
		return err
	}
	lacks := "all versions of IKE and algorithms that connections may ask for"
	if len(s.Lacks) > 0 {
		lacks = "not " + strings.Join(s.Lacks, ", ") + ": connections that ask for that are refused"
	}
	_, err = fmt.Fprintf(w, "strongSwan %s (%s) has %s.\nIts plugins: %s\n", s.Version, s.Program, lacks, strings.Join(s.Plugins, " "))
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
