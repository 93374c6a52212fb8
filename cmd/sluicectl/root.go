package main

import (
	"errors"
	"strings"

	"github.com/spf13/cobra"
)

func newRoot() *cobra.Command {
	root := group("sluicectl", "Drive a Sluice NAT gateway",
		`Drive a Sluice NAT gateway.

Actions of the API are called with an access key (sluicectl call). Access keys,
accounts, the inventory of instances and the state of the dataplane are reached
over the admin socket of the sluiced of this machine, by root only.`)
	root.Example = `  eval "$(sluicectl lab up --env)"          # a gateway to try things on
  sluicectl call CreateVpc --CidrBlock 10.0.0.0/16
  sluicectl describe CreateForwardEntry     # parameters, rules, errors
  sluicectl status                          # what the kernel has of each VPC
  sluicectl top                             # who sends most just now`
	root.SilenceUsage, root.SilenceErrors = true, true
	root.Version = versionText()
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return usagef("%w; see: %s --help", err, c.CommandPath())
	})
	root.AddGroup(
		&cobra.Group{ID: "api", Title: "The API:"},
		&cobra.Group{ID: "admin", Title: "This machine's gateway:"},
		&cobra.Group{ID: "lab", Title: "Trying things:"},
	)
	add := func(group string, cmds ...*cobra.Command) {
		for _, c := range cmds {
			c.GroupID = group
			root.AddCommand(c)
		}
	}
	add("api", newCall(), newDescribe(), newActions(), newDraw())
	add("admin", newAccessKey(), newAccount(), newRAM(), newInstance(), newHaVip(), newLine(), newVPN(), newInit(), newStatus(), newTop(), newTopology(), newDoctor(), newBackup(), newAudit())
	add("lab", newLab())
	root.AddCommand(newVersion(), newMan())
	wrapArgs(root)
	return root
}

// wrapArgs makes a wrong number of arguments, or a flag that is missing, a
// usage error in all commands.
func wrapArgs(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			err := check(c, args)
			if err == nil {
				// Here, since cobra would not say whose mistake it is.
				err = errors.Join(c.ValidateRequiredFlags(), c.ValidateFlagGroups())
			}
			if err != nil {
				return usagef("%w; usage: %s", err, c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		wrapArgs(sub)
	}
}

// group is a command that only holds others.
func group(use, short, long string, cmds ...*cobra.Command) *cobra.Command {
	c := &cobra.Command{
		Use: use, Short: short, Long: long,
		Args: cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			var names []string
			for _, sub := range c.Commands() {
				if sub.IsAvailableCommand() {
					names = append(names, sub.Name())
				}
			}
			return usagef("unknown command %q for %s%s", args[0], c.CommandPath(), didYouMean(args[0], names))
		},
	}
	c.AddCommand(cmds...)
	return c
}

// suggest returns the candidates that what was written may have meant.
func suggest(written string, candidates []string) []string {
	// cobra knows how to do this for commands.
	all := &cobra.Command{SuggestionsMinimumDistance: max(2, len(written)/4)}
	for _, c := range candidates {
		all.AddCommand(&cobra.Command{Use: c, Run: func(*cobra.Command, []string) {}})
	}
	found := all.SuggestionsFor(written)
	return found[:min(len(found), 5)]
}

func didYouMean(written string, candidates []string) string {
	switch s := suggest(written, candidates); len(s) {
	case 0:
		return ""
	case 1:
		return "; did you mean " + s[0] + "?"
	default:
		return "; did you mean one of " + strings.Join(s, ", ") + "?"
	}
}
