package memory_test

import (
	"testing"

	"sluice/controlplane/store"
	"sluice/controlplane/store/memory"
	"sluice/controlplane/store/storetest"
)

// space is opened by several writers.
type space struct{ *memory.Space }

func (s space) Open(*testing.T) store.Store   { return s.Space.Open() }
func (s space) Beside(*testing.T) store.Store { return s.Space.Open() }

func TestConformance(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Backend { return space{memory.New(0)} })
}

// TestCompacting is conformance of a store that keeps next to nothing for watchers.
func TestCompacting(t *testing.T) {
	storetest.Run(t, func(*testing.T) storetest.Backend { return space{memory.New(3)} })
}
