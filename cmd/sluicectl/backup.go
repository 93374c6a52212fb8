package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/config"
	"sluice/controlplane/seal"
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
store that has changed, once a day, the newest seven, those that were asked for
(backup create), and those of before an upgrade.`,
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
	g := group("backup", "Copies of the store of this machine's gateway", "Make, list and restore copies of the store of this machine's gateway.", newBackupCreate(&dir), list, restore)
	g.PersistentFlags().StringVar(&dir, "data-dir", config.Default().DataDir, "data_dir of the configuration of sluiced")
	return g
}

func newBackupCreate(dir *string) *cobra.Command {
	var f adminFlags
	var to string
	c := &cobra.Command{
		Use:   "create",
		Short: "Copy the store as it is now, while sluiced runs or is stopped",
		Long: `Copy the store as it is now, and print where the copy is. A sluiced that runs goes
on meanwhile; one that is stopped is not needed. Copies are made in backups in the
data_dir, where the newest seven that were asked for are kept.

With --to the copy is put into a directory that is made for it, with the key that
opens its secrets, the configuration and the authority of tls: auto: all that
another machine needs to go on. Whoever has that directory has all secrets.`,
		Example: `  sluicectl backup create
  sluicectl backup create --to /mnt/backup/gateway-$(date +%F)`,
		Args: cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			path, from, err := copyStore(c, &f, *dir)
			if err != nil {
				return err
			}
			if to != "" {
				if err := collect(to, path, from); err != nil {
					return fmt.Errorf("%w; the copy of the store is %s", err, path)
				}
				path = to
			}
			_, err = fmt.Fprintln(c.OutOrStdout(), path)
			return err
		},
	}
	f.register(c)
	c.Flags().StringVar(&to, "to", "", "directory to make, for the copy, the key of its secrets (seal.key), the configuration and the authority of tls: auto")
	return c
}

// source is what a copy is of.
type source struct{ dataDir, config string }

// copyStore copies the store, by the daemon if one runs.
func copyStore(c *cobra.Command, f *adminFlags, dir string) (path string, from source, err error) {
	client, err := admin.Dial(f.socket)
	if err == nil {
		defer client.Close()
		info, err := client.Info(c.Context())
		if err != nil {
			return "", source{}, err
		}
		b, err := client.Backup(c.Context())
		return b.Path, source{info.DataDir, info.Config}, err
	}
	from = source{dir, config.DefaultPath}
	path, storeErr := copyStopped(dir)
	if storeErr != nil {
		// With a daemon that runs, and is not reached, the store is locked.
		return "", from, fmt.Errorf("%w; and the store of one that is stopped cannot be copied: %w", err, storeErr)
	}
	return path, from, nil
}

// copyStopped copies the store of a daemon that does not run, after checking it.
func copyStopped(dir string) (path string, err error) {
	store := filepath.Join(dir, "store.db")
	if _, err := os.Stat(store); err != nil {
		return "", err
	}
	s, err := bolt.Open(store, 2*time.Second)
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := os.MkdirAll(filepath.Join(dir, "backups"), 0o700); err != nil {
		return "", err
	}
	path = filepath.Join(dir, "backups", "store.db.asked."+time.Now().UTC().Format("20060102T150405Z"))
	return path, s.Backup(path)
}

// collect makes a directory with what belongs to a copy, and moves the copy there.
func collect(to, path string, from source) error {
	if err := os.Mkdir(to, 0o700); err != nil {
		return err
	}
	files := map[string]string{
		path: "store.db",
		// Clients that trust this authority go on doing so.
		filepath.Join(from.dataDir, "tls", "ca.pem"): "ca.pem",
		filepath.Join(from.dataDir, "tls", "ca.key"): "ca.key",
		filepath.Join(from.dataDir, seal.File):       seal.File, from.config: "sluiced.yaml",
	}
	for src, name := range files {
		text, err := os.ReadFile(src)
		if errors.Is(err, fs.ErrNotExist) && src != path {
			continue // no secret has been sealed yet, the configuration is the built-in one, or there is no authority
		}
		if err == nil {
			err = os.WriteFile(filepath.Join(to, name), text, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return os.Remove(path)
}
