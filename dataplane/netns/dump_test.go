package netns_test

import (
	"errors"
	"testing"

	"github.com/vishvananda/netlink"

	"sluice/dataplane/netns"
)

// TestDump: a list that was interrupted is asked for again, and one that never ends is an
// error, not a part of it.
func TestDump(t *testing.T) {
	left := 3
	list, err := netns.Dump(func() ([]int, error) {
		if left--; left > 0 {
			return []int{1}, netlink.ErrDumpInterrupted
		}
		return []int{1, 2}, nil
	})
	if err != nil || len(list) != 2 {
		t.Errorf("%v, %v", list, err)
	}
	list, err = netns.Dump(func() ([]int, error) { return []int{1}, netlink.ErrDumpInterrupted })
	if list != nil || !errors.Is(err, netlink.ErrDumpInterrupted) {
		t.Errorf("of one that never ends: %v, %v", list, err)
	}
	asked := 0
	_, err = netns.Dump(func() ([]int, error) { asked++; return nil, errors.ErrUnsupported })
	if asked != 1 || !errors.Is(err, errors.ErrUnsupported) {
		t.Errorf("of another error: asked %d times, %v", asked, err)
	}
}
