package main

import (
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newStatus() *cobra.Command {
	var f adminFlags
	c := &cobra.Command{
		Use:   "status",
		Short: "Show the daemon, and how far the kernel has followed each VPC",
		Long: `Show the daemon, and for each VPC the revision that is wanted and the one that
the kernel holds. The exit code is 1 if the daemon is not ready or a VPC could
not be applied.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				info, err := client.Info(c.Context())
				if err != nil {
					return err
				}
				networks, err := client.Networks(c.Context())
				if err != nil {
					return err
				}
				return printStatus(c.OutOrStdout(), info, networks)
			})
		},
	}
	f.register(c)
	return c
}

func printStatus(w io.Writer, info admin.Info, networks []admin.Network) error {
	ready := "ready"
	if !info.Ready {
		ready = "starting"
	}
	fmt.Fprintf(w, "sluiced %s: %s, process %d since %s, answers at %s, data in %s", info.Version, ready, info.PID, date(info.Started), info.Listen, info.DataDir)
	for _, l := range info.Others {
		fmt.Fprintf(w, ", %s alone at %s", l.Family, l.Listen)
	}
	if info.Metrics != "" {
		fmt.Fprintf(w, ", metrics at http://%s/metrics", info.Metrics)
	}
	fmt.Fprintln(w)
	for _, address := range info.Absent {
		fmt.Fprintf(w, "%s is no address of this machine now: nobody reaches it until it is\n", address)
	}
	failed := 0
	if len(networks) > 0 {
		out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
		fmt.Fprintln(out, "\nVPC\tNAME\tCIDR\tGATEWAY\tVSWITCHES\tEIPS\tDNAT\tSNAT\tWANTED\tAPPLIED\tSTATE")
		for _, n := range networks {
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%d\t%d\t%s\n",
				n.ID, n.Name, n.CIDR, strings.Join(n.Gateways, ","), n.VSwitches, n.Elastic, n.DNAT, n.SNAT, n.Wanted, n.Applied, networkState(n))
		}
		if err := out.Flush(); err != nil {
			return err
		}
	}
	for _, n := range networks {
		if text := dropsText(n.GroupDrops); text != "" {
			fmt.Fprintf(w, "\n%s: security groups have dropped %s\n", n.ID, text)
		}
	}
	for _, n := range networks {
		if n.Error != "" {
			failed++
			fmt.Fprintf(w, "\n%s, since %s: %s\n", n.ID, date(n.Since), n.Error)
		}
	}
	switch {
	case failed > 0:
		return fmt.Errorf("%d of %d VPCs could not be applied; sluiced keeps trying", failed, len(networks))
	case !info.Ready:
		return fmt.Errorf("sluiced is not ready yet")
	}
	return nil
}

// dropsText says how many packets were dropped, and why; empty if none were.
func dropsText(drops map[string]uint64) string {
	var total uint64
	var reasons []string
	for _, reason := range slices.Sorted(maps.Keys(drops)) {
		if n := drops[reason]; n > 0 {
			total += n
			reasons = append(reasons, fmt.Sprintf("%s %d", reason, n))
		}
	}
	if total == 0 {
		return ""
	}
	return fmt.Sprintf("%d packets: %s", total, strings.Join(reasons, ", "))
}

func networkState(n admin.Network) string {
	switch {
	case n.Error != "":
		return "failed"
	case n.Applied >= n.Wanted:
		return "in step"
	default:
		return "following"
	}
}
