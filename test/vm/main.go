package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// Exit statuses of the program's own; all others are the command's.
const (
	exitUsage   = 2
	exitFailure = 125
)

func main() {
	switch os.Args[0] {
	case initName:
		runInit()
	case agentName:
		runAgent()
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("vm", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.Usage = func() {
		fmt.Fprintln(stderr, "usage: vm [flags] [--] COMMAND [ARG...]")
		flags.PrintDefaults()
	}
	var o options
	flags.StringVar(&o.kernel, "kernel", "", "`DIRECTORY` with boot/vmlinu[xz]-* and lib/modules/*; default: the one that scripts/kernel.sh has fetched")
	flags.IntVar(&o.cpus, "cpus", 1, "processors; more are slower if this machine has not as many to spare")
	flags.IntVar(&o.memory, "memory", 2048, "`MIB` of memory")
	timeout := flags.Duration("timeout", 10*time.Minute, "end the machine after this time")
	console := flags.Bool("console", false, "copy the machine's console to standard error")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case flags.NArg() == 0:
		flags.Usage()
		return exitUsage
	}
	if *console {
		o.console = stderr
	}
	ctx, cancel := context.WithTimeoutCause(ctx, *timeout, fmt.Errorf("not done after %v", *timeout))
	defer cancel()
	code, err := once(ctx, o, flags.Args(), stdout, stderr)
	if err != nil {
		fmt.Fprintln(stderr, "vm:", err)
		return exitFailure
	}
	return code
}

// once runs one command in a machine of its own.
func once(ctx context.Context, o options, argv []string, stdout, stderr io.Writer) (code int, err error) {
	dir, err := os.Getwd()
	if err != nil {
		return 0, err
	}
	if o.init, err = os.Executable(); err != nil {
		return 0, err
	}
	m, err := boot(ctx, o)
	if err != nil {
		return 0, err
	}
	defer m.close()
	return m.run(command{Argv: argv, Dir: dir, Env: os.Environ()}, stdout, stderr)
}
