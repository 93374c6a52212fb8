package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// agentName is what the program is called when it takes commands in the machine.
const agentName = "vm-agent"

// runAgent runs one command after the other, as long as the machine lives.
func runAgent() {
	err := serve(context.Background())
	fmt.Fprintln(os.Stderr, "agent:", err)
	os.Exit(1)
}

func serve(ctx context.Context) error {
	port, err := openChannel(ctx)
	if err != nil {
		return err
	}
	defer port.Close()
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return err
	}
	reports, commands := newReporter(port), json.NewDecoder(port)
	if err := reports.send(report{Ready: unix.ByteSliceToString(u.Release[:])}); err != nil {
		return err
	}
	for {
		var c command
		if err := commands.Decode(&c); err != nil {
			return fmt.Errorf("read a command: %w", err)
		}
		if err := reports.send(execute(c, reports)); err != nil {
			return fmt.Errorf("report: %w", err)
		}
	}
}

// openChannel waits for the port, which the driver makes in its own time.
func openChannel(ctx context.Context) (*os.File, error) {
	ctx, cancel := context.WithTimeout(ctx, 30*time.Second)
	defer cancel()
	for {
		names, err := filepath.Glob("/sys/class/virtio-ports/*/name")
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			text, err := os.ReadFile(n)
			if err != nil {
				return nil, err
			}
			if strings.TrimSpace(string(text)) == channelName {
				return os.OpenFile("/dev/"+filepath.Base(filepath.Dir(n)), os.O_RDWR, 0)
			}
		}
		select {
		case <-ctx.Done():
			return nil, fmt.Errorf("no serial port %s", channelName)
		case <-time.After(10 * time.Millisecond):
		}
	}
}

// execute runs a command and returns how it ended.
func execute(c command, reports *reporter) report {
	env := environment(c.Env)
	path, err := find(c.Argv[0], c.Dir, env)
	if err != nil {
		return report{Error: err.Error()}
	}
	cmd := &exec.Cmd{
		Path: path, Args: c.Argv, Dir: c.Dir, Env: env,
		Stdout: writerFunc(func(b []byte) error { return reports.send(report{Stdout: b}) }),
		Stderr: writerFunc(func(b []byte) error { return reports.send(report{Stderr: b}) }),
		// What it has started may live on and hold its output open.
		WaitDelay: 2 * time.Second,
	}
	if err := cmd.Start(); err != nil {
		return report{Error: err.Error()}
	}
	err = cmd.Wait()
	if err != nil && !errors.As(err, new(*exec.ExitError)) && !errors.Is(err, exec.ErrWaitDelay) {
		return report{Error: err.Error()}
	}
	code := cmd.ProcessState.ExitCode()
	if w := cmd.ProcessState.Sys().(syscall.WaitStatus); w.Signaled() {
		code = 128 + int(w.Signal())
	}
	return report{Exit: &code}
}

// environment returns the caller's, with the programs of root in the path.
func environment(env []string) []string {
	path := "/usr/local/bin:/usr/bin:/bin"
	for _, v := range env {
		if p, ok := strings.CutPrefix(v, "PATH="); ok {
			path = p
		}
	}
	return append(env, "PATH="+path+":/usr/sbin:/sbin")
}

// find looks a program up in the command's path, not in this process's.
func find(name, dir string, env []string) (string, error) {
	if strings.Contains(name, "/") {
		if !filepath.IsAbs(name) {
			name = filepath.Join(dir, name)
		}
		return name, nil
	}
	path := strings.TrimPrefix(env[len(env)-1], "PATH=")
	for _, d := range filepath.SplitList(path) {
		if file, err := exec.LookPath(filepath.Join(d, name)); err == nil {
			return file, nil
		}
	}
	return "", fmt.Errorf("%s is not in %s", name, path)
}
