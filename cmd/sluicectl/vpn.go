package main

import (
	"io"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/controlplane/vpn/peer"
)

func newVPN() *cobra.Command {
	var f adminFlags
	c := group("vpn", "IPsec connections and SSL-VPN: how they are, and what the other end has to know", "", newVPNStatus(&f), newPeerConfig(&f), newVPNSSL(&f))
	f.register(c)
	return c
}

func newPeerConfig(f *adminFlags) *cobra.Command {
	var format string
	c := &cobra.Command{
		Use:   "peer-config CONNECTION",
		Short: "Print the configuration for the device at the other end",
		Long: `Print the configuration for the device at the other end of an IPsec connection,
as it is seen from there: swanctl.conf of strongSwan, also with BGP by FRR;
ipsec.conf and ipsec.secrets of Libreswan; or a plain list. It works unchanged
with a public address and behind a NAT. It holds the pre-shared key: keep it from
the eyes of others.`,
		Example: `  sluicectl vpn peer-config vco-... --format strongswan > branch.conf`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			return f.with(func(client *admin.Client) error {
				text, err := client.PeerConfig(c.Context(), args[0], format)
				if err != nil {
					return err
				}
				_, err = io.WriteString(c.OutOrStdout(), text)
				return err
			})
		},
	}
	c.Flags().StringVar(&format, "format", "generic", "strongswan, frr-strongswan, libreswan or generic")
	_ = c.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(peer.Formats(), cobra.ShellCompDirectiveNoFileComp))
	return c
}
