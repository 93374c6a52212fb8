package main

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/controlplane/vpn/client"
)

func newVPNSSL(f *adminFlags) *cobra.Command {
	return group("ssl", "SSL-VPN: servers, their clients, and what a client runs", "", newSSLStatus(f), newSSLClients(f), newClientConfig(f))
}

func newClientConfig(f *adminFlags) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "client-config CERTIFICATE",
		Short: "Print what the client of an SSL-VPN certificate runs",
		Long: `Print the OpenVPN configuration for the holder of a client certificate: one file
with all that is needed (ovpn), or an archive of it and the files that it names
(zip). OpenVPN 2.4 and later and the OpenVPN Connect clients run it as it is. It
holds the private key: keep it from the eyes of others.`,
		Example: `  (umask 077; sluicectl vpn ssl client-config vsc-... > laptop.ovpn)
  sudo openvpn laptop.ovpn`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				content, err := client.ClientConfig(c.Context(), args[0], format)
				if err != nil {
					return err
				}
				_, err = c.OutOrStdout().Write(content)
				return err
			})
		},
	}
	c.Flags().StringVar(&format, "format", client.OVPN, "ovpn or zip")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(client.Formats(), cobra.ShellCompDirectiveNoFileComp))
	return c
}

func newSSLStatus(f *adminFlags) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "status",
		Short: "Show how SSL-VPN servers are, and what keeps clients from getting in",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				list, err := client.SSLServers(c.Context())
				switch {
				case err != nil:
					return err
				case asJSON:
					return printIndented(c.OutOrStdout(), list)
				}
				return printSSLServers(c.OutOrStdout(), list, time.Now())
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list")
	return c
}

func newSSLClients(f *adminFlags) *cobra.Command {
	var (
		asJSON bool
		kill   string
	)
	c := &cobra.Command{
		Use:   "clients",
		Short: "Show the clients that are connected, or end the session of one",
		Long: `Show the clients of all SSL-VPN servers that are connected, one a line. With --kill
the session of one certificate ends; the client may come again. To keep it out,
delete the certificate (DeleteSslVpnClientCert).`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return f.with(func(client *admin.Client) error {
				if kill != "" {
					return client.DisconnectSSL(c.Context(), kill)
				}
				list, err := client.SSLServers(c.Context())
				switch {
				case err != nil:
					return err
				case asJSON:
					return printIndented(c.OutOrStdout(), list)
				}
				return printSSLClients(c.OutOrStdout(), list, time.Now())
			})
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print a JSON list of the servers, with their clients")
	c.Flags().StringVar(&kill, "kill", "", "end the session of this certificate")
	return c
}

// printIndented prints a list as JSON, for programs.
func printIndented[T any](w io.Writer, list []T) error {
	text, err := json.MarshalIndent(list, "", "  ")
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

// printSSLServers prints one line for each server, and one more for what is wrong with it.
func printSSLServers(w io.Writer, list []admin.SSLServer, now time.Time) error {
	if len(list) == 0 {
		_, err := fmt.Fprintln(w, "There is no SSL-VPN server.")
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "SERVER\tNAME\tLISTENS AT\tSTATE\tFOR\tCLIENTS\tREFUSED\tIN\tOUT\tCERTIFICATES\tFAILURES")
	for i := range list {
		s := &list[i]
		fmt.Fprintf(out, "%s\t%s\t%s %s:%d\t%s\t%s\t%d/%d\t%d\t%s\t%s\t%s\t%s\n", s.ID, s.Name, s.Protocol, s.Address, s.Port, s.State, since(s.Since, now),
			len(s.Clients), s.Limit, s.Refused, size(s.Inbound.Bytes), size(s.Outbound.Bytes), certificatesOf(s, now), failuresOf(s))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	for i := range list {
		if s := &list[i]; s.Error != "" {
			if _, err := fmt.Fprintf(w, "%s: %s\n", s.ID, s.Error); err != nil {
				return err
			}
		}
	}
	return nil
}

// certificatesOf says how many certificates a server has, and how many of them end soon or
// have ended.
func certificatesOf(s *admin.SSLServer, now time.Time) string {
	count := map[string]int{}
	for _, c := range s.Certificates {
		count[c.State]++
	}
	text := fmt.Sprint(len(s.Certificates))
	for _, state := range []string{"expiring-soon", "expired"} {
		if n := count[state]; n > 0 {
			text += fmt.Sprintf(", %d %s", n, state)
		}
	}
	if s.Expires.Before(now) {
		text += ", the server's own expired"
	}
	return text
}

func failuresOf(s *admin.SSLServer) string {
	var list []string
	for _, why := range slices.Sorted(maps.Keys(s.Failures)) {
		if n := s.Failures[why]; n > 0 {
			list = append(list, fmt.Sprintf("%d %s", n, why))
		}
	}
	if len(list) == 0 {
		return "-"
	}
	return strings.Join(list, ", ")
}

// printSSLClients prints one line for each client.
func printSSLClients(w io.Writer, list []admin.SSLServer, now time.Time) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	n := 0
	for i := range list {
		for _, c := range list[i].Clients {
			if n++; n == 1 {
				fmt.Fprintln(out, "CERTIFICATE\tNAME\tSERVER\tFROM\tADDRESS\tFOR\tCIPHER\tIN\tOUT")
			}
			fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", c.Certificate, c.Name, list[i].ID, c.Remote, c.Address, since(c.Since, now), c.Cipher,
				size(c.Inbound.Bytes), size(c.Outbound.Bytes))
		}
	}
	if n == 0 {
		_, err := fmt.Fprintln(w, "No client is connected.")
		return err
	}
	return out.Flush()
}
