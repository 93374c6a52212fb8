package engine

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"

	"sluice/dataplane"
)

// Where the kernel says how full its table of neighbours is: in the first network
// namespace alone.
const (
	neighbourStatistics = "/proc/thread-self/net/stat/arp_cache"
	neighbourLimit      = "/proc/sys/net/ipv4/neigh/default/gc_thresh3"
)

// Neighbours returns how full the machine's table of neighbours is. The error is
// one of fs.ErrNotExist where the daemon is not in the first network namespace.
func (e *Engine) Neighbours() (dataplane.Neighbours, error) {
	statistics, err := os.ReadFile(neighbourStatistics)
	if err != nil {
		return dataplane.Neighbours{}, err
	}
	limit, err := os.ReadFile(neighbourLimit)
	if err != nil {
		return dataplane.Neighbours{}, err
	}
	n, err := parseNeighbours(string(statistics))
	if err != nil {
		return n, fmt.Errorf("%s: %w", neighbourStatistics, err)
	}
	if n.Most, err = strconv.Atoi(strings.TrimSpace(string(limit))); err != nil {
		return n, fmt.Errorf("%s: %w", neighbourLimit, err)
	}
	return n, nil
}

// parseNeighbours reads the kernel's statistics: names of columns, and one line for
// each CPU. The number of entries is that of all, in each line.
func parseNeighbours(text string) (n dataplane.Neighbours, err error) {
	head, lines, _ := strings.Cut(text, "\n")
	names := strings.Fields(head)
	entries, full := slices.Index(names, "entries"), slices.Index(names, "table_fulls")
	if entries < 0 || full < 0 {
		return n, fmt.Errorf("there is no column entries or table_fulls in %q", head)
	}
	seen := false
	for line := range strings.Lines(lines) {
		values := strings.Fields(line)
		if len(values) <= max(entries, full) {
			return n, fmt.Errorf("%d values for %d columns", len(values), len(names))
		}
		all, err := strconv.ParseUint(values[entries], 16, 32)
		if err != nil {
			return n, err
		}
		overflows, err := strconv.ParseUint(values[full], 16, 64)
		if err != nil {
			return n, err
		}
		n.Entries, seen = int(all), true
		n.Overflows += overflows
	}
	if !seen {
		return n, errors.New("it says nothing of any CPU")
	}
	return n, nil
}
