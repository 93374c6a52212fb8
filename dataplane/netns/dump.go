package netns

import (
	"errors"

	"github.com/vishvananda/netlink"
)

// attempts is how often a list is asked for again that changed while the kernel gave it.
const attempts = 20

// Dump returns what the kernel has of something, all of it: a list that changed while the
// kernel gave it may lack some (NLM_F_DUMP_INTR), and is asked for again.
func Dump[T any](read func() ([]T, error)) (list []T, err error) {
	for range attempts {
		if list, err = read(); !errors.Is(err, netlink.ErrDumpInterrupted) {
			return list, err
		}
	}
	return nil, err
}
