package main

import (
	"os"

	"github.com/spf13/cobra"

	"sluice/api/admin"
	"sluice/config"
)

// adminFlags choose the daemon of this machine that is spoken to.
type adminFlags struct{ socket string }

func (f *adminFlags) register(c *cobra.Command) {
	c.PersistentFlags().StringVar(&f.socket, "socket", first(os.Getenv("SLUICE_ADMIN_SOCKET"), config.Default().AdminSocket),
		"admin socket of sluiced ($SLUICE_ADMIN_SOCKET)")
}

// with calls fn with a client of the admin socket.
func (f *adminFlags) with(fn func(c *admin.Client) error) error {
	c, err := admin.Dial(f.socket)
	if err != nil {
		return err
	}
	defer c.Close()
	return fn(c)
}
