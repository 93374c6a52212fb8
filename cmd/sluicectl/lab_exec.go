package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os/exec"
	"time"

	"github.com/spf13/cobra"

	"sluice/test/lab"
)

func newLabExec() *cobra.Command {
	var f labFlags
	c := &cobra.Command{
		Use:   "exec NAME -- COMMAND [ARG]...",
		Short: "Run a command in a host of the lab",
		Long: `Run a command in a host of the lab, as if it had been called directly: with this
terminal, and its exit code. What runs on in the background ends with the lab.`,
		Example: `  sluicectl lab exec web -- ping -c 1 203.0.113.1
  sluicectl lab exec internet -- sluicectl lab get http://203.0.113.10/`,
		Args:              cobra.MinimumNArgs(2),
		ValidArgsFunction: f.completeHosts,
		RunE: func(c *cobra.Command, args []string) error {
			l, err := lab.Open(f.options())
			if err != nil {
				return err
			}
			command := args[1:]
			if command[0] == "--" {
				command = command[1:]
			}
			if len(command) == 0 {
				return usagef("no command to run in %s; usage: %s", args[0], c.UseLine())
			}
			err = l.Exec(args[0], command...)
			if errors.Is(err, exec.ErrNotFound) || errors.Is(err, fs.ErrNotExist) {
				return usageError{err}
			}
			return err
		},
	}
	f.register(c.Flags())
	// What follows the host's name belongs to the command.
	c.Flags().SetInterspersed(false)
	return c
}

func newLabGet() *cobra.Command {
	var timeout time.Duration
	var verbose bool
	c := &cobra.Command{
		Use:   "get URL",
		Short: "Get a URL, over a new connection and without redirects or proxies",
		Long: `Get a URL and print the answer: a client for machines without curl. The HTTP
servers of the lab answer with the address and port that they see.`,
		Example: `  sluicectl lab exec web -- sluicectl lab get http://203.0.113.1/`,
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			ctx, cancel := context.WithTimeoutCause(c.Context(), timeout, fmt.Errorf("no answer within %v", timeout))
			defer cancel()
			answer, err := lab.Get(ctx, nil, args[0])
			if err != nil {
				return err
			}
			if verbose {
				fmt.Fprintf(c.ErrOrStderr(), "answered by %s\n", answer.Server)
			}
			_, err = fmt.Fprint(c.OutOrStdout(), answer.Body)
			return err
		},
	}
	c.Flags().DurationVar(&timeout, "timeout", 5*time.Second, "how long to wait for the whole answer")
	c.Flags().BoolVarP(&verbose, "verbose", "v", false, "say which server answered, on standard error")
	return c
}

// newLabServe is what the lab starts in its namespaces.
func newLabServe() *cobra.Command {
	var name, listen string
	c := &cobra.Command{
		Use:    "serve",
		Short:  "Serve HTTP: answer the caller's address and port",
		Hidden: true,
		Args:   cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			return lab.Serve(c.Context(), name, listen)
		},
	}
	c.Flags().StringVar(&name, "name", "lab", "name to answer by")
	c.Flags().StringVar(&listen, "listen", ":80", "address and port")
	return c
}
