package lab

import (
	"context"
	"fmt"
	"math/rand/v2"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
)

// program finds a program: where it was said to be, else beside the running
// one, else by PATH.
func program(name, given string) (string, error) {
	if given != "" {
		path, err := exec.LookPath(given)
		if err != nil {
			return "", fmt.Errorf("%s: %w; build it with: make build", name, err)
		}
		return filepath.Abs(path)
	}
	self, err := os.Executable()
	if err != nil {
		return "", err
	}
	if filepath.Base(self) == name {
		return self, nil
	}
	beside := filepath.Join(filepath.Dir(self), name)
	if _, err := os.Stat(beside); err == nil {
		return beside, nil
	}
	path, err := exec.LookPath(name)
	if err != nil {
		return "", fmt.Errorf("%s is neither in %s nor in PATH; build it with: make build", name, filepath.Dir(self))
	}
	return filepath.Abs(path)
}

// Build compiles sluiced and sluicectl of this module into a directory and
// returns Options that name them. The flags go to go build, for example -race.
func Build(ctx context.Context, dir string, flags ...string) (Options, error) {
	args := append([]string{"build", "-o", dir + string(filepath.Separator)}, flags...)
	cmd := exec.CommandContext(ctx, "go", append(args, "sluice/cmd/sluiced", "sluice/cmd/sluicectl")...)
	if out, err := cmd.CombinedOutput(); err != nil {
		return Options{}, fmt.Errorf("build sluiced and sluicectl: %w\n%s", err, out)
	}
	return Options{Sluiced: filepath.Join(dir, "sluiced"), Sluicectl: filepath.Join(dir, "sluicectl")}, nil
}

// freePort returns an address of the loopback whose port nobody listens on. The
// port is below those that the kernel gives to outgoing connections, so that it
// is still free when the daemon starts again.
func freePort(ctx context.Context) (string, error) {
	var err error
	for range 100 {
		address := net.JoinHostPort("127.0.0.1", strconv.Itoa(20000+rand.IntN(12000)))
		var l net.Listener
		if l, err = new(net.ListenConfig).Listen(ctx, "tcp", address); err == nil {
			return address, l.Close()
		}
	}
	return "", fmt.Errorf("no free port on 127.0.0.1 between 20000 and 32000: %w", err)
}
