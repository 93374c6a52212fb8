package main

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newLine() *cobra.Command {
	var f adminFlags
	c := group("line", "Leased lines: what the operator does with them",
		`Leased lines (physical connections) end in ports of the access points that the
configuration names. A customer applies for one by CreatePhysicalConnection; the
operator approves or rejects it, gives it a port, and confirms it when it is
built; then the customer enables it.`,
		newLineList(&f), newLineShow(&f), newLinePorts(&f),
		newLineStep(&f, admin.LineApprove, "Accept an application", "", []string{"applied"}),
		newLineStep(&f, admin.LineReject, "Turn an application down; with any change it is applied for again", "", []string{"applied", "approved"}),
		newLineAllocate(&f),
		newLineStep(&f, admin.LineFail, "Note that there is no port for a line: it is over, and its owner can delete it", "", []string{"approved", "allocating"}),
		newLineStep(&f, admin.LineConfirm, "Note that a line is built: its owner can enable it", "", []string{"allocated"}))
	f.register(c)
	return c
}

func newLineList(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "list",
		Short: "List the leased lines of all accounts",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.Lines(c.Context())
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "LINE\tSTATE\tACCESS POINT\tPORT\tLINK\tMBIT/S\tROUTERS\tNAME\tACCOUNT")
				for _, l := range list {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%d\t%d\t%s\t%s\n", l.ID, l.State, l.AccessPoint, dash(l.Port), linkText(l.Link), l.Bandwidth, len(l.Routers), dash(l.Name), l.Account)
				}
				return out.Flush()
			})
		},
	}
}

func newLineShow(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:               "show LINE",
		Short:             "Show a leased line with its port and its border routers",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeLines(),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				l, err := client.Line(c.Context(), args[0])
				if err != nil {
					return err
				}
				return printLine(c.OutOrStdout(), l)
			})
		},
	}
}

func printLine(w io.Writer, l admin.Line) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	row := func(name, value string) {
		if value != "" {
			fmt.Fprintf(out, "%s\t%s\n", name, value)
		}
	}
	row("line", l.ID)
	row("state", l.State)
	row("name", l.Name)
	row("description", l.Description)
	row("account", l.Account)
	row("applied for", l.CreatedAt.Format(time.RFC3339))
	if !l.EnabledAt.IsZero() {
		row("enabled", l.EnabledAt.Format(time.RFC3339))
	}
	row("access point", l.AccessPoint+" in "+l.Region)
	row("port", l.Port)
	row("location", l.Location)
	row("port type", l.PortType)
	row("carrier", l.Carrier)
	row("circuit code", l.CircuitCode)
	row("other end", l.PeerLocation)
	row("bandwidth", fmt.Sprintf("%d Mbit/s", l.Bandwidth))
	row("stands in for", l.Redundant)
	if l.Link != nil {
		row("device", l.Link.Device)
		row("link", linkText(l.Link)+" since "+l.Link.Since.Format(time.RFC3339))
		row("carries", strings.Join(l.Link.Networks, ", "))
	}
	if err := out.Flush(); err != nil || len(l.Routers) == 0 {
		return err
	}
	fmt.Fprintln(w)
	fmt.Fprintln(out, "BORDER ROUTER\tSTATE\tVLAN\tLOCAL\tPEER\tSUBNET\tACCOUNT")
	for _, b := range l.Routers {
		fmt.Fprintf(out, "%s\t%s\t%d\t%s\t%s\t%s\t%s\n", b.ID, b.State, b.VLAN, dash(b.Local), dash(b.Peer), dash(b.Subnet), b.Account)
	}
	return out.Flush()
}

func newLinePorts(f *adminFlags) *cobra.Command {
	return &cobra.Command{
		Use:   "ports",
		Short: "List the ports of all access points, and how their devices are",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.Ports(c.Context())
				if err != nil {
					return err
				}
				out := tabwriter.NewWriter(c.OutOrStdout(), 0, 0, 2, ' ', 0)
				fmt.Fprintln(out, "ACCESS POINT\tPORT\tDEVICE\tLINK\tLOCATION\tLINE\tACCOUNT")
				for _, p := range list {
					fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\n", p.AccessPoint, p.Number, p.Link.Device, linkText(&p.Link), dash(p.Location), dash(p.Line), dash(p.Account))
				}
				return out.Flush()
			})
		},
	}
}

func newLineAllocate(f *adminFlags) *cobra.Command {
	port := ""
	c := newLineStep(f, admin.LineAllocate, "Give a line a port of its access point", `Give an approved line a port of its access point: the one named with --port, or
the first that is free, rather one that lies elsewhere than the port of the line
that it stands in for. While the port's device is not there, the line is being
allocated, and may be given another port.`, []string{"approved", "allocating"}, &port)
	c.Flags().StringVar(&port, "port", "", "number of the port (default: one that is free)")
	return c
}

// newLineStep is a command for one of the operator's steps, which completes lines in those states.
func newLineStep(f *adminFlags, step, short, long string, from []string, port ...*string) *cobra.Command {
	return &cobra.Command{
		Use:               step + " LINE",
		Short:             short,
		Long:              long,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeLines(from...),
		RunE: func(c *cobra.Command, args []string) error {
			number := ""
			for _, p := range port {
				number = *p
			}
			return f.with(func(client *admin.Client) error {
				l, err := client.StepLine(c.Context(), args[0], step, number)
				if err != nil {
					return err
				}
				if l.Port != "" {
					_, err = fmt.Fprintf(c.OutOrStdout(), "%s %s port %s\n", l.ID, l.State, l.Port)
				} else {
					_, err = fmt.Fprintln(c.OutOrStdout(), l.ID, l.State)
				}
				return err
			})
		},
	}
}

// linkText is how a listing shows how a device is.
func linkText(l *admin.Link) string {
	switch {
	case l == nil:
		return "-"
	case !l.Present:
		return "missing"
	case !l.Up:
		return "set down"
	case !l.Carrier:
		return "no carrier"
	case l.Speed > 0:
		return fmt.Sprintf("up, %d Mbit/s", l.Speed)
	}
	return "up"
}

// completeLines completes the ids of lines in some states; without any, of all.
func (f *adminFlags) completeLines(states ...string) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) (ids []string, _ cobra.ShellCompDirective) {
		if len(args) == 0 {
			_ = f.with(func(client *admin.Client) error {
				list, err := client.Lines(c.Context())
				for _, l := range list {
					if len(states) == 0 || slices.Contains(states, l.State) {
						ids = append(ids, cobra.CompletionWithDesc(l.ID, l.State))
					}
				}
				return err
			})
		}
		return ids, cobra.ShellCompDirectiveNoFileComp
	}
}
