package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"regexp"
	"syscall"
	"time"

	"sluice/dataplane/bgp"
)

// Exit statuses.
const (
	exitFailure = 1
	exitUsage   = 2
)

func main() {
	bgp.Main()    // an engine's speakers are this program, started once more
	besiegeMain() // so are the strangers of a siege
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
	defer stop()
	os.Exit(start(ctx, os.Args[1:], os.Stdout, os.Stderr))
}

func start(ctx context.Context, args []string, stdout, stderr io.Writer) int {
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	out := flags.String("o", "build/bench.json", "`FILE` that gets the figures; the run keeps its data beside it")
	only := flags.String("run", "", "measure only what matches this `REGEXP`: "+names())
	quick := flags.Bool("quick", false, "small samples, to try the program out; the figures are worth little")
	idle := flags.Duration("idle", 0, "watch an idle daemon for that `TIME`; by default 5m, or 20s with -quick")
	switch err := flags.Parse(args); {
	case errors.Is(err, flag.ErrHelp):
		return 0
	case err != nil:
		return exitUsage
	case flags.NArg() > 0:
		fmt.Fprintf(stderr, "bench: unexpected argument %q\n", flags.Arg(0))
		return exitUsage
	}
	if *idle == 0 {
		if *idle = idleWindow; *quick {
			*idle = 20 * time.Second
		}
	}
	selected, err := regexp.Compile(*only)
	if err != nil {
		fmt.Fprintf(stderr, "bench: -run: %v\n", err)
		return exitUsage
	}
	if os.Geteuid() != 0 {
		fmt.Fprintln(stderr, "bench: it makes network namespaces, which only root may do")
		return exitUsage
	}
	if err := measure(ctx, *out, selected, *quick, *idle, stdout, stderr); err != nil {
		fmt.Fprintln(stderr, "bench:", err)
		return exitFailure
	}
	return 0
}

func names() string {
	text := ""
	for _, m := range measurements {
		text += " " + m.name
	}
	return text[1:]
}

// measure does the selected measurements and writes the figures of those that
// worked, also if others did not.
func measure(ctx context.Context, out string, selected *regexp.Regexp, quick bool, idle time.Duration, stdout, stderr io.Writer) (err error) {
	r, err := newRun(ctx, filepath.Join(filepath.Dir(out), "bench.work"), quick, idle, stderr)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, r.close(ctx)) }()
	var errs []error
	for _, m := range measurements {
		if !selected.MatchString(m.name) {
			continue
		}
		if err := m.run(ctx, r); err != nil {
			errs = append(errs, fmt.Errorf("%s: %w", m.name, err))
		}
		if ctx.Err() != nil {
			return errors.Join(append(errs, errors.New("interrupted; no figures written"))...)
		}
	}
	if len(r.report.figures) == 0 && len(errs) == 0 {
		return fmt.Errorf("-run %q matches none of: %s", selected, names())
	}
	return errors.Join(append(errs, r.report.write(out), r.report.print(stdout))...)
}
