package main

import (
	"fmt"
	"io"
	"net/netip"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newVPNStatus(f *adminFlags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status [CONNECTION]",
		Short: "Show how IPsec connections are, and what keeps them from being up",
		Long: `Show all IPsec connections and SSL-VPN servers, one a line, or all that is known of
one connection: what its SAs
have negotiated and since when, where the peer is seen, which pairs of subnets
are carried, what was carried, which routes lead to it, and what failed last, how
often, and where to look first.`,
		Example: `  sluicectl vpn status
  sluicectl vpn status vco-... --json | jq -r '.[0].fault.detail'`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				connection := strings.Join(args, "")
				list, err := client.Tunnels(c.Context(), connection)
				if err != nil {
					return err
				}
				w := c.OutOrStdout()
				switch {
				case asJSON:
					return printIndented(w, list)
				case connection == "":
					if err := printTunnels(w, list, time.Now()); err != nil {
						return err
					}
					servers, err := client.SSLServers(c.Context())
					if err != nil || len(servers) == 0 {
						return err
					}
					fmt.Fprintln(w)
					return printSSLServers(w, servers, time.Now())
				}
				for i := range list {
					printTunnel(w, &list[i], time.Now())
				}
				return nil
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return c
}

// printTunnels prints one line for each connection.
func printTunnels(w io.Writer, list []admin.Tunnel, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "There is no IPsec connection.")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "CONNECTION\tNAME\tPEER\tSTATE\tFOR\tPAIRS\tIN\tOUT\tLAST FAULT")
	for i := range list {
		t := &list[i]
		fault := "-"
		if t.Fault != nil {
			fault = fmt.Sprintf("%s, %s ago", t.Fault.Kind, span(now.Sub(t.Fault.Last)))
		}
		up := 0
		for _, p := range t.Pairs {
			if p.Up {
				up++
			}
		}
		pairs := "-"
		if len(t.Pairs) > 0 {
			pairs = fmt.Sprintf("%d/%d", up, len(t.Pairs))
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", t.Connection, t.Name, t.PeerAddress, t.State, since(t.Since, now), pairs,
			size(t.Inbound.Bytes), size(t.Outbound.Bytes), fault)
	}
	return out.Flush()
}

// printTunnel prints all that is known of a connection.
func printTunnel(w io.Writer, t *admin.Tunnel, now time.Time) {
	line := func(what, format string, args ...any) {
		fmt.Fprintf(w, "%-12s%s\n", what, fmt.Sprintf(format, args...))
	}
	title := t.Connection
	if t.Name != "" {
		title += " (" + t.Name + ")"
	}
	if t.Since.IsZero() {
		fmt.Fprintf(w, "%s: %s\n", title, t.State)
	} else {
		fmt.Fprintf(w, "%s: %s since %s, for %s\n", title, t.State, date(t.Since), span(now.Sub(t.Since)))
	}
	line("gateway", "%s of %s, account %s, %s", t.Gateway, t.VPC, t.Account, t.GatewayAddress)
	line("peer", "%s, %s", t.CustomerGateway, t.PeerAddress)
	if t.State == admin.TunnelUnknown {
		line("", "sluiced has not given it to the dataplane; see sluicectl status")
		return
	}
	switch t.Path {
	case "xfrm":
		line("path", "the kernel's ESP (xfrm), by the interface %s", t.Connection)
	case "libipsec":
		line("path", "charon's own ESP in UDP (libipsec)")
	}
	if len(t.SAs) == 0 {
		line("IKE_SA", "none")
	}
	for i := range t.SAs {
		printSA(line, t, &t.SAs[i], now)
	}
	printPairs(line, t)
	line("carried", "%s, %d packets in, the last %s; %s, %d packets out, the last %s", size(t.Inbound.Bytes), t.Inbound.Packets, ago(t.LastIn, now),
		size(t.Outbound.Bytes), t.Outbound.Packets, ago(t.LastOut, now))
	line("so far", "rekeyed %d times, peer found dead %d times, %d negotiations failed", t.Rekeys, t.DeadPeers, t.Failures)
	if t.Health != "" {
		line("health", "the check is %s", t.Health)
	}
	if t.BGP != "" {
		line("BGP", "%s", t.BGP)
	}
	for _, r := range t.Routes {
		text := r.Destination.String()
		if r.Source.IsValid() {
			text = r.Source.String() + " -> " + text
		}
		if r.Standby {
			text += ", standby"
		}
		if r.Published {
			text += ", published"
		}
		line("route", "%s", text)
	}
	if f := t.Fault; f != nil {
		mended := ""
		if t.Error == "" {
			mended = ", and not since then"
		}
		line("last fault", "%s, %d times from %s to %s, %s ago%s", f.Kind, f.Count, date(f.First), date(f.Last), span(now.Sub(f.Last)), mended)
		line("", "%s", f.Text)
		if f.Detail != "" {
			line("", "%s", f.Detail)
		}
		line("", "look first at: %s", f.Side)
	}
}

func printSA(line func(what, format string, args ...any), t *admin.Tunnel, s *admin.IKESA, now time.Time) {
	by := "begun by the peer"
	if s.Initiator {
		by = "begun by this end"
	}
	age := ""
	if !s.Established.IsZero() {
		age = ", " + since(s.Established, now) + " old"
	}
	line("IKE_SA", "#%s %s, IKEv%d, %s%s", s.ID, s.State, s.Version, by, age)
	line("", "%s [%s] - %s [%s]%s", place(s.Local), s.LocalID, place(s.Remote), s.RemoteID, seen(t, s))
	if s.Algorithms != "" {
		line("", "%s", s.Algorithms)
	}
	for _, k := range s.Children {
		esp := "ESP"
		if k.UDP {
			esp = "ESP in UDP"
		}
		line("  CHILD_SA", "#%s %s, %s, SPIs %s in, %s out, %s old%s%s", k.ID, k.State, esp, k.SPIIn, k.SPIOut, since(k.Installed, now),
			in(", rekeyed in ", k.RekeyIn), in(", ends in ", k.EndsIn))
		line("", "%s === %s", strings.Join(k.Local, " "), strings.Join(k.Remote, " "))
		line("", "%s; %s in, %s out", k.Algorithms, size(k.Inbound.Bytes), size(k.Outbound.Bytes))
	}
}

// seen says what is between this end and the peer.
func seen(t *admin.Tunnel, s *admin.IKESA) string {
	port := s.Remote.Port()
	switch {
	case s.Remote.IsValid() && s.Remote.Addr() != t.PeerAddress:
		return ", not at the customer gateway's address"
	case port != 500 && port != 4500 && port != 0:
		return ", behind a NAT"
	case s.NATRemote:
		return ", behind a NAT, or asks for UDP"
	}
	return ""
}

func printPairs(line func(what, format string, args ...any), t *admin.Tunnel) {
	up := 0
	var missing []string
	for _, p := range t.Pairs {
		if p.Up {
			up++
		} else {
			missing = append(missing, fmt.Sprintf("%s === %s", p.Local, p.Remote))
		}
	}
	if len(t.Pairs) == 0 {
		return
	}
	line("pairs", "%d of %d up", up, len(t.Pairs))
	for _, m := range missing {
		line("", "missing: %s", m)
	}
}

func place(p netip.AddrPort) string {
	if !p.IsValid() {
		return "?"
	}
	return p.String()
}

func in(what string, seconds int) string {
	if seconds == 0 {
		return ""
	}
	return what + span(time.Duration(seconds)*time.Second)
}

func since(t, now time.Time) string {
	if t.IsZero() {
		return "-"
	}
	return span(now.Sub(t))
}

func ago(t, now time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return span(now.Sub(t)) + " ago"
}

func size(bytes uint64) string { return short(float64(bytes)) + "B" }

// span writes a time in its two largest units.
func span(d time.Duration) string {
	d = max(0, d.Round(time.Second))
	day := 24 * time.Hour
	switch {
	case d >= day:
		return fmt.Sprintf("%dd%dh", d/day, d%day/time.Hour)
	case d >= time.Hour:
		return fmt.Sprintf("%dh%dm", d/time.Hour, d%time.Hour/time.Minute)
	case d >= time.Minute:
		return fmt.Sprintf("%dm%ds", d/time.Minute, d%time.Minute/time.Second)
	}
	return fmt.Sprintf("%ds", d/time.Second)
}
