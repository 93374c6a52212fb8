package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"runtime"
	"runtime/debug"
	"syscall"

	"sluice/config"
	"sluice/dataplane/bgp"
	"sluice/errtext"
)

// version is set when the program is built: -ldflags "-X main.version=…".
var version string

// Exit statuses.
const (
	exitFailure = 1
	// A wrong configuration or command line: EX_CONFIG of sysexits.h. It is what the
	// systemd unit does not try again, and so must not be 2, with which a Go program ends
	// that crashes.
	exitUsage = 78
)

func main() {
	bgp.Main() // a BGP speaker is this program, too
	os.Exit(start(os.Args[1:], os.Stdout, os.Stderr))
}

func start(args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("sluiced", flag.ContinueOnError)
	flags.SetOutput(io.Discard) // a mistake is told in one line, below
	file := flags.String("config", "", "configuration `FILE` (default "+config.DefaultPath+", or built-in if that is absent)")
	check := flags.Bool("check", false, "check the configuration and exit")
	allowRemoval := flags.Bool("allow-removal", false, "remove the networks of another store, which a new one does not know")
	remove := flags.Bool("remove-networks", false, "take all networks out of the kernel and exit; the store keeps them, and the next start makes them again")
	showVersion := flags.Bool("version", false, "print the version and exit")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		fmt.Fprintf(stderr, "Usage: sluiced [--config FILE] [--allow-removal] [--check] [--remove-networks] [--version]\n\n")
		flags.SetOutput(stderr)
		flags.PrintDefaults()
		return 0
	case err != nil:
		fmt.Fprintf(stderr, "%v; sluiced --help shows the flags\n", err)
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "sluiced: unexpected argument %q; name a configuration with --config\n", flags.Arg(0))
		return exitUsage
	}
	if *showVersion {
		fmt.Fprintf(stdout, "sluiced %s (%s, %s/%s)\n", versionText(), runtime.Version(), runtime.GOOS, runtime.GOARCH)
		return 0
	}
	c, err := config.Load(*file)
	if err != nil {
		fmt.Fprintln(stderr, err)
		return exitUsage
	}
	if *check {
		return 0
	}
	c.AllowRemoval = *allowRemoval
	log := newLog(stderr, c)
	slog.SetDefault(log)

	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	if *remove {
		if err := removeNetworks(ctx, c, log); err != nil {
			log.Error("not all networks could be removed from the kernel", "error", err)
			return exitFailure
		}
		return 0
	}
	d, err := open(ctx, c, log)
	if err == nil {
		err = d.run(ctx)
	}
	if err != nil {
		log.Error("sluiced ends", "error", err)
		return exitFailure
	}
	log.Info("sluiced ends; the kernel stays as it is")
	return 0
}

func newLog(w io.Writer, c *config.Config) *slog.Logger {
	options := &slog.HandlerOptions{Level: c.LogLevel, ReplaceAttr: errtext.Log}
	if c.LogFormat == "json" {
		return slog.New(slog.NewJSONHandler(w, options))
	}
	return slog.New(slog.NewTextHandler(w, options))
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value[:min(12, len(s.Value))]
			}
		}
	}
	return "unknown"
}
