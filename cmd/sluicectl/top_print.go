package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"math"
	"os"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"
)

func printJSON(w io.Writer, r activity) error {
	text, err := json.Marshal(r)
	if err != nil {
		return fmt.Errorf("encode the reading: %w", err)
	}
	_, err = fmt.Fprintf(w, "%s\n", text)
	return err
}

func printActivity(w io.Writer, r activity, by string) error {
	out := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintf(out, "%s, addresses by %s\n\n", r.At.Format(time.TimeOnly), by)
	fmt.Fprintln(out, "GATEWAY\tVPC\tSNAT SESSIONS\tOTHERS\tNEW/S\tREFUSED/S\tOUT BIT/S\tOUT P/S\tIN BIT/S\tIN P/S")
	for _, g := range r.Gateways {
		if g.Error != "" {
			continue
		}
		fmt.Fprintf(out, "%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\t%s\n", cmp.Or(g.Gateway, "-"), g.VPC, ofLimit(g.SNAT, g.Limit), g.Sessions-g.SNAT,
			short(g.New), strings.TrimSpace(short(g.Refused)+" "+g.Why), short(g.OutBits), short(g.OutPackets), short(g.InBits), short(g.InPackets))
	}
	fmt.Fprintln(out, "\nGATEWAY\tADDRESS\tOUT BIT/S\tOUT P/S\tIN BIT/S\tIN P/S\tSESSIONS\tNEW/S\tNO PORT/S")
	for _, a := range r.Addresses {
		fmt.Fprintf(out, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\n", cmp.Or(a.Gateway, a.VPC), a.Address,
			short(a.OutBits), short(a.OutPackets), short(a.InBits), short(a.InPackets), a.Sessions, short(a.New), short(a.Refused))
	}
	if err := out.Flush(); err != nil {
		return err
	}
	if r.Left > 0 {
		fmt.Fprintf(w, "and %d more; --limit shows them\n", r.Left)
	}
	for _, g := range r.Gateways {
		if g.Error != "" {
			fmt.Fprintf(w, "%s: %s\n", cmp.Or(g.Gateway, g.VPC), g.Error)
		}
	}
	_, err := fmt.Fprintln(w)
	return err
}

func ofLimit(n uint64, limit int) string {
	if limit == 0 {
		return strconv.FormatUint(n, 10)
	}
	return fmt.Sprintf("%d/%d", n, limit)
}

// short writes a number with three digits that count: 0, 0.25, 12, 1.50k, 340M.
func short(v float64) string {
	unit := ""
	for _, next := range []string{"k", "M", "G", "T"} {
		if v < 999.5 {
			break
		}
		v, unit = v/1000, next
	}
	switch {
	case v >= 99.95, unit == "" && v == math.Trunc(v):
		return fmt.Sprintf("%.0f%s", v, unit)
	case v >= 9.995:
		return fmt.Sprintf("%.1f%s", v, unit)
	default:
		return fmt.Sprintf("%.2f%s", v, unit)
	}
}

// screen is a terminal on which one frame replaces the other (ECMA-48).
type screen struct {
	w    io.Writer
	size func() (columns, rows int) // 0: not known
}

// newScreen returns nil if w is no terminal that can do it.
func newScreen(w io.Writer) *screen {
	f, ok := w.(*os.File)
	if !ok || os.Getenv("TERM") == "dumb" {
		return nil
	}
	if _, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ); err != nil {
		return nil
	}
	return &screen{w: w, size: func() (columns, rows int) {
		size, err := unix.IoctlGetWinsize(int(f.Fd()), unix.TIOCGWINSZ)
		if err != nil {
			return 0, 0
		}
		return int(size.Col), int(size.Row)
	}}
}

// show replaces what is on the screen, as far as it fits. Lines are overwritten
// rather than cleared first, so that nothing flickers.
func (s *screen) show(text string) error {
	columns, rows := s.size()
	lines := strings.Split(strings.TrimRight(text, "\n"), "\n")
	if rows > 1 && len(lines) > rows-1 {
		lines = lines[:rows-1] // the cursor has the last
	}
	var frame strings.Builder
	frame.WriteString("\x1b[H") // to the upper left corner
	for _, l := range lines {
		if columns > 0 && len(l) > columns {
			l = l[:columns]
		}
		frame.WriteString(l + "\x1b[K\n") // and clear the rest of the line
	}
	frame.WriteString("\x1b[J") // clear the rest of the screen
	_, err := io.WriteString(s.w, frame.String())
	return err
}
