package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"

	"sluice/config"
	"sluice/controlplane/local"
	"sluice/controlplane/store/bolt"
	"sluice/dataplane/link"
)

// removeNetworks takes out of the kernel what is marked in run_dir as the daemon's, with
// the processes that carry tunnels, and the bridges that it has made. The store is left
// as it is: the next daemon makes everything again. A daemon that runs, which would do so
// at once, is an error.
func removeNetworks(ctx context.Context, c *config.Config, log *slog.Logger) error {
	if _, err := os.Stat(c.RunDir); errors.Is(err, fs.ErrNotExist) {
		return nil // nothing was made since the machine has been started
	}
	if err := errors.Join(checkPrivate("data_dir", c.DataDir), checkPrivate("run_dir", c.RunDir), checkPrivate("bpf_dir", c.BPFDir)); err != nil {
		return err
	}
	unlock, err := bolt.Lock(filepath.Join(c.DataDir, local.File))
	switch {
	case err == nil:
		defer unlock()
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	dp, err := openKernel(c, log)
	if err != nil {
		return err
	}
	ids, err := dp.Networks()
	for _, id := range ids {
		err = errors.Join(err, dp.Remove(ctx, id))
	}
	if err = errors.Join(err, dp.Close()); err != nil {
		return err
	}
	for _, b := range c.Bridges {
		if err := link.RemoveBridge(b.Namespace, b.Name); err != nil {
			return fmt.Errorf("public network: %w", err)
		}
	}
	// Empty by now, unless somebody else has put something there.
	_ = os.Remove(c.BPFDir)
	log.Info("the networks were removed from the kernel", "networks", len(ids))
	return nil
}
