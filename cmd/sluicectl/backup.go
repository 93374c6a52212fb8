package main

import (
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sluice/controlplane/store/bolt"
)

func newBackup() *cobra.Command {
	var dir string
	there := func() error {
		if _, err := os.Stat(dir); err != nil {
			return fmt.Errorf("the directory of the store is not there: %w; name the data_dir of sluiced by --data-dir", err)
		}
		return nil
	}
	list := &cobra.Command{
		Use:   "list",
		Short: "List the copies of the store, the oldest first",
		Long: `List the copies of the store, the oldest first: those that sluiced makes of a
store that has changed, once a day, the newest seven, and those of before an upgrade.`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := there(); err != nil {
				return err
			}
			var all []string
			for _, pattern := range []string{"backups/store.db.*Z", "store.db.schema-*Z", "store.db.format-*Z", "store.db.replaced.*Z"} {
				found, err := filepath.Glob(filepath.Join(dir, pattern))
				if err != nil {
					return err
				}
				all = append(all, found...)
			}
			if len(all) == 0 {
				_, err := fmt.Fprintf(c.ErrOrStderr(), "there is no copy in %s yet\n", dir)
				return err
			}
			for _, path := range all {
				info, err := os.Stat(path)
				if err != nil {
					return err
				}
				fmt.Fprintf(c.OutOrStdout(), "%s  %10d  %s\n", info.ModTime().UTC().Format(time.RFC3339), info.Size(), path)
			}
			return nil
		},
	}
	restore := &cobra.Command{
		Use:   "restore FILE",
		Short: "Put a copy in the place of the store, while sluiced is stopped",
		Long: `Put a copy in the place of the store, while sluiced is stopped. The copy is checked
before, and stays; the store that was there is moved aside. Networks that were made
since are not in it: sluiced then says so, and does not start without
--allow-removal.`,
		Args: cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := there(); err != nil {
				return err
			}
			aside, err := bolt.Restore(args[0], filepath.Join(dir, "store.db"))
			if err != nil {
				return err
			}
			if aside != "" {
				fmt.Fprintf(c.OutOrStdout(), "restored; the store that was there is %s\n", aside)
				return nil
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), "restored")
			return err
		},
	}
	g := group("backup", "Copies of the store of this machine's gateway", "List and restore copies of the store of this machine's gateway. Needs no daemon.", list, restore)
	g.PersistentFlags().StringVar(&dir, "data-dir", "/var/lib/sluice", "data_dir of the configuration of sluiced")
	return g
}
