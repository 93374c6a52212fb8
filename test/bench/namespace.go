package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"runtime"

	"github.com/vishvananda/netns"
)

// createNamespace makes a named network namespace without IPv6, whose
// neighbour discovery would be among the packets.
func createNamespace(name string) error {
	done := make(chan error, 1)
	go func() {
		// Not unlocked: the thread is in the new namespace and ends with the goroutine.
		runtime.LockOSThread()
		done <- func() error {
			h, err := netns.NewNamed(name)
			if err != nil {
				return fmt.Errorf("create network namespace %s: %w", name, err)
			}
			defer h.Close()
			for _, which := range []string{"all", "default"} {
				err := os.WriteFile("/proc/sys/net/ipv6/conf/"+which+"/disable_ipv6", []byte("1"), 0)
				if err != nil && !errors.Is(err, fs.ErrNotExist) {
					return fmt.Errorf("turn off IPv6 in %s: %w", name, err)
				}
			}
			return nil
		}()
	}()
	return <-done
}

// removeNamespace removes a named network namespace; an absent one is fine.
func removeNamespace(name string) error {
	path := "/run/netns/" + name
	if _, err := os.Lstat(path); errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err := netns.DeleteNamed(name); err != nil {
		// A run that was killed half-way may have left a plain file.
		if rm := os.Remove(path); rm != nil && !errors.Is(rm, fs.ErrNotExist) {
			return fmt.Errorf("remove network namespace %s: %w", name, errors.Join(err, rm))
		}
	}
	return nil
}
