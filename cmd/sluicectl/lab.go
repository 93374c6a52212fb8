package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/test/lab"
)

func newLab() *cobra.Command {
	return group("lab", "A private gateway to try things on",
		`A private gateway in network namespaces of this machine: a sluiced of its own, a
public network 203.0.113.0/24 in the namespace <lab>-internet, where an HTTP
server at 203.0.113.1 answers the caller's address and port, and hosts in
namespaces <lab>-<host> that are plugged into VSwitches. It needs root, and
touches nothing of the machine's own network.`,
		newLabUp(), newLabDown(), newLabStatus(), newLabHost(), newLabInternet(), newLabExec(), newLabGet(), newLabServe())
}

// labFlags choose a lab.
type labFlags struct{ name, dir string }

func (f *labFlags) register(set *pflag.FlagSet) {
	set.StringVar(&f.name, "name", first(os.Getenv("SLUICE_LAB"), lab.DefaultName), "name of the lab, the prefix of its namespaces ($SLUICE_LAB)")
	set.StringVar(&f.dir, "dir", "", "directory of the lab (default "+lab.DefaultDir("<name>")+")")
}

func (f *labFlags) options() lab.Options { return lab.Options{Name: f.name, Dir: f.dir} }

func newLabUp() *cobra.Command {
	var f labFlags
	var env, tls, classic bool
	var sluiced, listen, extra string
	c := &cobra.Command{
		Use:   "up",
		Short: "Bring up a lab",
		Example: `  eval "$(sluicectl lab up --env)"
  sluicectl lab up --name second --extra-config more.yaml`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			o := f.options()
			o.Sluiced, o.Listen, o.TLS, o.Classic = sluiced, listen, tls, classic
			if extra != "" {
				text, err := os.ReadFile(extra)
				if err != nil {
					return usageError{err}
				}
				o.ExtraConfig = string(text)
			}
			l, err := lab.Up(c.Context(), o)
			if errors.Is(err, lab.ErrUp) {
				fmt.Fprintf(c.ErrOrStderr(), "lab %s is up already\n", f.name)
				l, err = lab.Open(o)
			}
			if err != nil {
				return err
			}
			if env {
				return printEnv(c.OutOrStdout(), l)
			}
			_, err = fmt.Fprintf(c.OutOrStdout(), "Lab %s is up. To speak to it from this shell:\n\n  eval \"$(sluicectl lab up --env%s)\"\n", l.Name, f.repeat())
			return err
		},
	}
	f.register(c.Flags())
	c.Flags().BoolVar(&env, "env", false, "print shell assignments for clients of the lab")
	c.Flags().BoolVar(&tls, "tls", false, "the API speaks HTTPS, with a certificate of its own; --env tells clients by $SLUICE_CA what to trust")
	c.Flags().BoolVar(&classic, "classic", false, "with a classic network, 10.200.0.0/24, for hosts in no VPC: see lab host add-classic")
	c.Flags().StringVar(&sluiced, "sluiced", "", "program to run (default: the one beside sluicectl, or in PATH)")
	c.Flags().StringVar(&listen, "listen", "", "host:port of the API (default: a free port of 127.0.0.1)")
	c.Flags().StringVar(&extra, "extra-config", "", "YAML file to append to the configuration of sluiced")
	return c
}

// repeat returns the flags that choose the same lab again.
func (f *labFlags) repeat() string {
	s := ""
	if f.name != lab.DefaultName {
		s += " --name " + f.name
	}
	if f.dir != "" {
		s += " --dir " + quote(f.dir)
	}
	return s
}

// printEnv prints assignments for any POSIX shell.
func printEnv(w io.Writer, l *lab.Lab) error {
	vars, err := l.Env()
	if err != nil {
		return err
	}
	for _, v := range vars {
		if _, err := fmt.Fprintf(w, "export %s=%s\n", v.Name, quote(v.Value)); err != nil {
			return err
		}
	}
	return nil
}

// quote makes a word of a POSIX shell of any text.
func quote(s string) string {
	return "'" + strings.ReplaceAll(s, "'", `'\''`) + "'"
}

func newLabDown() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "down",
		Short: "Remove every trace of a lab, also after a crash",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			ctx, cancel := context.WithTimeout(c.Context(), 2*time.Minute)
			defer cancel()
			return lab.Remove(ctx, f.options())
		},
	}
	f.register(c.Flags())
	return c
}

func newLabStatus() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "status",
		Short: "Show a lab: its daemon, files and hosts",
		Args:  cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			p, alive, err := l.Daemon()
			if err != nil {
				return err
			}
			endpoint, err := l.Endpoint()
			if err != nil {
				return err
			}
			w := c.OutOrStdout()
			daemon := "does not run"
			if alive {
				daemon = fmt.Sprintf("runs as process %d", p.PID)
			}
			fmt.Fprintf(w, "lab %s: sluiced %s, answers at %s\n", l.Name, daemon, endpoint)
			fmt.Fprintf(w, "configuration %s\nlog %s\nadmin socket %s\n\n", l.ConfigFile(), l.LogFile(), l.AdminSocket())
			if err := printHosts(w, l); err != nil {
				return err
			}
			if !alive {
				return errors.New("sluiced of the lab does not run")
			}
			return nil
		},
	}
	f.register(c.Flags())
	return c
}

func printHosts(w io.Writer, l *lab.Lab) error {
	hosts, err := l.Hosts()
	if err != nil {
		return err
	}
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(out, "HOST\tNAMESPACE\tADDRESS\tVSWITCH\tINSTANCE")
	for _, h := range hosts {
		where := h.VSwitch
		if h.Internet {
			where = "(public)"
		}
		if h.Classic {
			where = "(classic)"
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\n", h.Name, h.Namespace, h.Address, where, h.InstanceID)
	}
	return out.Flush()
}
