package main

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/spf13/cobra"

	"sluice/test/lab"
)

func newLabHost() *cobra.Command {
	return group("host", "Hosts of VPCs", "Hosts of VPCs, each in a namespace of its own.",
		newLabHostAdd(), newLabHostAddClassic(), newLabHostPlug(), newLabHostRemove(), newLabHostList())
}

func newLabHostAdd() *cobra.Command {
	var f labFlags
	var o lab.HostOptions
	var ip string
	var further []string
	c := &cobra.Command{
		Use:   "add NAME --vswitch ID",
		Short: "Plug a new host into a VSwitch",
		Long: `Make a namespace with one interface that is plugged into a VSwitch, its address
and default route, and register it in the inventory. Waits until the VSwitch is
Available.`,
		Example: `  sluicectl lab host add web --vswitch vsw-... --ip 10.0.1.10 --serve`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) (err error) {
			o.Name = args[0]
			if o.IP, err = parseIP(ip); err != nil {
				return err
			}
			for _, text := range further {
				a, err := parseIP(text)
				if err != nil {
					return err
				}
				o.Further = append(o.Further, a)
			}
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			h, err := l.HostAdd(c.Context(), o)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "host %s: namespace %s, address %s, instance %s\n", h.Name, h.Namespace, h.Address, h.InstanceID)
			return err
		},
	}
	f.register(c.Flags())
	c.Flags().StringVar(&o.VSwitch, "vswitch", "", "id of the VSwitch")
	c.Flags().StringVar(&ip, "ip", "", "address (default: the next free one of the VSwitch)")
	c.Flags().StringSliceVar(&further, "further-ip", nil, "further addresses of its interface")
	c.Flags().StringVar(&o.InstanceID, "instance-id", "", "id in the inventory (default i-NAME)")
	c.Flags().BoolVar(&o.Unregistered, "unregistered", false, "leave it out of the inventory")
	c.Flags().BoolVar(&o.Serve, "serve", false, "run an HTTP server on port 80 that answers the caller's address and port")
	_ = c.MarkFlagRequired("vswitch")
	return c
}

func newLabHostAddClassic() *cobra.Command {
	var f labFlags
	var ip string
	c := &cobra.Command{
		Use:   "add-classic NAME",
		Short: "Plug a new host into the classic network",
		Long: `Make a namespace with one interface on the classic network of the lab, which has
one if it was brought up with --classic, and register it in the inventory as
i-NAME. After AttachClassicLinkVpc, "lab host plug" gives it its routes.`,
		Example: `  sluicectl lab host add-classic old --ip 10.200.0.5
  sluicectl call --family tencent3 AttachClassicLinkVpc --VpcId vpc-... --InstanceIds.0 i-old
  sluicectl lab host plug old`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a, err := parseIP(ip)
			if err != nil {
				return err
			}
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			h, err := l.ClassicAdd(c.Context(), args[0], a)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "host %s: namespace %s, address %s, instance %s\n", h.Name, h.Namespace, h.Address, h.InstanceID)
			return err
		},
	}
	f.register(c.Flags())
	c.Flags().StringVar(&ip, "ip", "", "address in 10.200.0.0/24")
	_ = c.MarkFlagRequired("ip")
	return c
}

func newLabHostPlug() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "plug NAME",
		Short: "Give a host the network interfaces that its instance has now",
		Long: `Plug what is attached to the host's instance in the inventory into the VSwitches
that it is in: as eth1 and so on, each with its Ethernet address, its addresses,
and a route table of its own for what comes from these. What is attached no
longer goes. A host of the classic network gets the routes to the VPC that it is
linked to. Run it again after each change.`,
		Example: `  sluicectl call --family tencent3 AttachNetworkInterface --NetworkInterfaceId eni-... --InstanceId i-web
  sluicectl lab host plug web`,
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeHosts,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			links, err := l.HostPlug(c.Context(), args[0])
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "host %s has %s\n", args[0], strings.Join(links, ", "))
			return err
		},
	}
	f.register(c.Flags())
	return c
}

func parseIP(text string) (netip.Addr, error) {
	if text == "" {
		return netip.Addr{}, nil
	}
	a, err := netip.ParseAddr(text)
	if err != nil || !a.Is4() {
		return a, usagef("%q is no IPv4 address; write for example 10.0.1.10", text)
	}
	return a, nil
}

func newLabHostRemove() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:               "remove NAME",
		Short:             "Remove a host of a VPC or of the Internet",
		Args:              cobra.ExactArgs(1),
		ValidArgsFunction: f.completeHosts,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			return l.HostRemove(c.Context(), args[0])
		},
	}
	f.register(c.Flags())
	return c
}

func newLabHostList() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "list",
		Short: "List all hosts of the lab",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			return printHosts(c.OutOrStdout(), l)
		},
	}
	f.register(c.Flags())
	return c
}

// completeHosts completes the name of a host.
func (f *labFlags) completeHosts(_ *cobra.Command, args []string, _ string) ([]string, cobra.ShellCompDirective) {
	l, err := lab.Open(f.options())
	if err != nil || len(args) > 0 {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	hosts, err := l.Hosts()
	if err != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	var names []string
	for _, h := range hosts {
		names = append(names, h.Name)
	}
	return names, cobra.ShellCompDirectiveNoFileComp
}

func newLabInternet() *cobra.Command {
	var f labFlags
	var ip string
	add := &cobra.Command{
		Use:     "add NAME",
		Short:   "Add a host to the public network, with an HTTP server",
		Example: `  sluicectl lab internet add second --ip 203.0.113.5`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			addr, err := parseIP(ip)
			if err != nil {
				return err
			}
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			h, err := l.InternetAdd(c.Context(), args[0], addr)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Internet host %s: namespace %s, address %s\n", h.Name, h.Namespace, h.Address)
			return err
		},
	}
	f.register(add.Flags())
	add.Flags().StringVar(&ip, "ip", "", "address outside the elastic IPs (default: the next free one)")
	return group("internet", "Hosts of the public network",
		"Hosts of the public network, besides the one that is always there. Remove them with: sluicectl lab host remove NAME", add)
}
