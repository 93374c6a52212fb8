package main

import (
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
)

func newTopology() *cobra.Command {
	var f adminFlags
	var dot bool
	var interval time.Duration
	c := &cobra.Command{
		Use:   "topology [ROUTER]",
		Short: "Show routers, and what they are connected with",
		Long: `Show the routers of this machine (those of VPCs, and others) with their VSwitches,
gateways, tunnels and router interfaces: which of them are up, and what passes
just now. With an id, only that router and those that it is linked with.

Rates are those between two looks, an interval apart. With --dot the answer is a
graph for Graphviz: sluicectl topology --dot | dot -Tsvg >topology.svg`,
		Example: `  sluicectl topology
  sluicectl topology vpc-257gq642n
  sluicectl topology --dot | dot -Tsvg >topology.svg`,
		Args: cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if interval <= 0 {
				return usagef("--interval has to be more than 0")
			}
			return f.with(func(client *admin.Client) error {
				before, err := client.Topology(c.Context())
				if err != nil {
					return err
				}
				select {
				case <-c.Context().Done():
					return c.Context().Err()
				case <-time.After(interval):
				}
				now, err := client.Topology(c.Context())
				if err != nil {
					return err
				}
				t := &topology{now: now.Routers, rates: ratesBetween(before, now)}
				if len(args) > 0 {
					if t.now = around(now.Routers, args[0]); t.now == nil {
						return fmt.Errorf("there is no router %s; see: sluicectl topology", args[0])
					}
				}
				if dot {
					_, err = io.WriteString(c.OutOrStdout(), t.graph())
				} else {
					_, err = io.WriteString(c.OutOrStdout(), t.text())
				}
				return err
			})
		},
	}
	f.register(c)
	c.Flags().BoolVar(&dot, "dot", false, "write a graph in Graphviz's language")
	c.Flags().DurationVar(&interval, "interval", time.Second, "time between the two looks that rates are taken from")
	return c
}

// topology is routers, with what passes.
type topology struct {
	now   []admin.Router
	rates map[string]rate
}

// rate is what passes in a second, in bits.
type rate struct{ out, in float64 }

func (r rate) String() string { return "out " + short(r.out) + "bit/s, in " + short(r.in) + "bit/s" }

// ratesBetween returns the rates of all that is counted, by id; of a router's public side, by
// the router's. What has begun to count anew in between has none.
func ratesBetween(before, now *admin.Routers) map[string]rate {
	seconds := now.At.Sub(before.At).Seconds()
	counted := func(r *admin.Routers) map[string][2]uint64 {
		all := map[string][2]uint64{}
		for i := range r.Routers {
			n := &r.Routers[i]
			if n.Public != nil {
				all[n.ID] = [2]uint64{n.Public.Outbound.Bytes, n.Public.Inbound.Bytes}
			}
			for _, g := range n.VPNGateways {
				for _, c := range g.Connections {
					all[c.ID] = [2]uint64{c.Outbound.Bytes, c.Inbound.Bytes}
				}
			}
			for _, k := range n.Interfaces {
				all[k.ID] = [2]uint64{k.Outbound.Bytes, k.Inbound.Bytes}
			}
		}
		return all
	}
	was, out := counted(before), map[string]rate{}
	for id, is := range counted(now) {
		if w, ok := was[id]; ok && seconds > 0 && is[0] >= w[0] && is[1] >= w[1] {
			out[id] = rate{float64(is[0]-w[0]) * 8 / seconds, float64(is[1]-w[1]) * 8 / seconds}
		}
	}
	return out
}

// around returns a router and those that it is linked with; nil if it is not there.
func around(all []admin.Router, id string) (some []admin.Router) {
	at := slices.IndexFunc(all, func(r admin.Router) bool { return r.ID == id })
	if at < 0 {
		return nil
	}
	for i := range all {
		if i == at || slices.ContainsFunc(all[at].Interfaces, func(k admin.RouterInterface) bool { return k.Router == all[i].ID }) {
			some = append(some, all[i])
		}
	}
	return some
}

func (t *topology) text() string {
	var b strings.Builder
	for i := range t.now {
		if i > 0 {
			b.WriteByte('\n')
		}
		t.router(&b, &t.now[i])
	}
	return b.String()
}

func (t *topology) router(b *strings.Builder, r *admin.Router) {
	fmt.Fprintln(b, joined(r.ID, r.Name, r.Region, texts(r.Blocks)))
	if r.Error != "" {
		fmt.Fprintln(b, "  ! "+r.Error)
	}
	for _, s := range r.Switches {
		fmt.Fprintf(b, "  %s\n", joined("VSwitch "+s.ID, s.Block.String(), "gateway "+s.Gateway.String(), amount(s.Hosts, "host")))
	}
	if p := r.Public; p != nil {
		fmt.Fprintf(b, "  %s\n", joined("public "+p.Network.String(), amount(len(p.Elastic), "elastic IP"), t.passing(r.ID)))
	}
	for _, g := range r.NATGateways {
		fmt.Fprintf(b, "  %s\n", joined("NAT gateway "+g.ID, texts(g.Elastic)))
	}
	for _, g := range r.VPNGateways {
		fmt.Fprintf(b, "  %s\n", joined("VPN gateway "+g.ID, g.Address.String()))
		for _, c := range g.Connections {
			fmt.Fprintf(b, "    %s\n", joined(c.ID+" to "+c.Peer.String(), c.State, t.passing(c.ID)))
		}
		for _, id := range g.SSLServers {
			fmt.Fprintf(b, "    SSL-VPN server %s\n", id)
		}
	}
	for _, k := range r.Interfaces {
		fmt.Fprintf(b, "  %s\n", joined("router interface "+k.ID+" to "+k.Peer+" of "+k.Router, bandwidth(k.Mbit), linkState(&k), t.passing(k.ID), dropped(k.Dropped)))
	}
}

func (t *topology) passing(id string) string {
	if r, ok := t.rates[id]; ok {
		return r.String()
	}
	return ""
}

// joined joins those parts that are not empty.
func joined(parts ...string) string {
	return strings.Join(slices.DeleteFunc(parts, func(p string) bool { return p == "" }), "  ")
}

func texts[T fmt.Stringer](all []T) string {
	var out []string
	for _, a := range all {
		out = append(out, a.String())
	}
	return strings.Join(out, ", ")
}

func amount(n int, what string) string {
	if n == 1 {
		return "1 " + what
	}
	return fmt.Sprintf("%d %ss", n, what)
}

func bandwidth(mbit int) string {
	if mbit == 0 {
		return ""
	}
	return fmt.Sprintf("%d Mbit/s", mbit)
}

func linkState(k *admin.RouterInterface) string {
	switch {
	case !k.Linked:
		return "not linked"
	case !k.Reached:
		return "health check fails"
	}
	return "up"
}

func dropped(packets uint64) string {
	if packets == 0 {
		return ""
	}
	return fmt.Sprintf("%d packets dropped", packets)
}

// graph returns the topology in Graphviz's language: a node for each router, an edge for
// each link between two, and one to each peer of a tunnel and to the public side.
func (t *topology) graph() string {
	var b strings.Builder
	b.WriteString("graph topology {\n\tnode [shape=box fontname=\"sans-serif\"];\n\tedge [fontname=\"sans-serif\" fontsize=10];\n")
	var public []netip.Prefix
	for i := range t.now {
		r := &t.now[i]
		label := []string{joined(r.ID, r.Name), texts(r.Blocks)}
		for _, s := range r.Switches {
			label = append(label, joined(s.ID, s.Block.String(), amount(s.Hosts, "host")))
		}
		for _, g := range r.NATGateways {
			label = append(label, joined(g.ID, texts(g.Elastic)))
		}
		fmt.Fprintf(&b, "\t%q [label=%s];\n", r.ID, lines(label))
		if p := r.Public; p != nil {
			if !slices.Contains(public, p.Network) {
				public = append(public, p.Network)
				fmt.Fprintf(&b, "\t%q [shape=ellipse];\n", p.Network)
			}
			fmt.Fprintf(&b, "\t%q -- %q [label=%s];\n", r.ID, p.Network, lines([]string{t.passing(r.ID)}))
		}
		for _, g := range r.VPNGateways {
			for _, c := range g.Connections {
				fmt.Fprintf(&b, "\t%q -- %q [label=%s%s];\n", r.ID, c.Peer, lines([]string{c.ID, c.State, t.passing(c.ID)}), style(c.State == admin.TunnelUp))
			}
		}
		for _, k := range r.Interfaces {
			// Each link is drawn once, from the end whose router or id comes first.
			if there := slices.ContainsFunc(t.now, func(o admin.Router) bool { return o.ID == k.Router }); there && (k.Router < r.ID || k.Router == r.ID && k.Peer < k.ID) {
				continue
			}
			fmt.Fprintf(&b, "\t%q -- %q [label=%s%s];\n", r.ID, k.Router, lines([]string{k.ID + " " + k.Peer, bandwidth(k.Mbit), linkState(&k), t.passing(k.ID)}), style(k.Linked && k.Reached))
		}
	}
	b.WriteString("}\n")
	return b.String()
}

// lines quotes a label of several lines, of which empty ones are left out.
func lines(all []string) string {
	return fmt.Sprintf("%q", strings.Join(slices.DeleteFunc(all, func(l string) bool { return l == "" }), "\n"))
}

func style(up bool) string {
	if up {
		return ""
	}
	return " style=dashed color=red"
}
