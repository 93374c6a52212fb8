package main

import (
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"
)

// newMan is for those who make packages: it is not among the commands that are shown.
func newMan() *cobra.Command {
	return &cobra.Command{
		Use:   "man DIRECTORY",
		Short: "Write the manual pages of all commands into a directory",
		Long: `Write the manual pages of all commands into a directory. Their date is
$SOURCE_DATE_EPOCH, if that is set, or today.`,
		Args:   cobra.ExactArgs(1),
		Hidden: true,
		RunE: func(c *cobra.Command, args []string) error {
			root := c.Root()
			root.DisableAutoGenTag = true
			root.InitDefaultCompletionCmd()
			return doc.GenManTree(root, &doc.GenManHeader{Section: "8", Source: "Sluice " + version, Manual: "Sluice"}, args[0])
		},
	}
}
