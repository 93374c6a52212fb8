package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"sluice/errtext"
)

// Exit codes.
const (
	exitFailed = 1 // the command was understood and could not be done
	exitUsage  = 2 // the command line or a configuration file is wrong
)

// usageError is a mistake in what the user wrote, not in what happened then.
type usageError struct{ error }

func (e usageError) Unwrap() error { return e.error }

func usagef(format string, args ...any) error {
	return usageError{fmt.Errorf(format, args...)}
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := newRoot().ExecuteContext(ctx)
	stop()
	os.Exit(report(err))
}

// report prints an error as one clear message and returns the exit code.
func report(err error) int {
	if err == nil {
		return 0
	}
	if text := errtext.Of(err); text != "" {
		fmt.Fprintln(os.Stderr, "sluicectl: "+strings.TrimRight(text, "\n"))
	}
	if errors.As(err, new(usageError)) {
		return exitUsage
	}
	return exitFailed
}
