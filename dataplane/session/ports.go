package session

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/cilium/ebpf"
	"github.com/cilium/ebpf/link"
	"github.com/cilium/ebpf/ringbuf"
	"golang.org/x/sys/unix"

	"sluice/bpf"
	"sluice/dataplane"
)

// portWatch is the program that counts connections for which no port of their
// elastic IP was free (bpf/ports.c), of all networks. It works as long as it is
// open.
type portWatch struct {
	maps *ebpf.Collection
	link link.Link
	read *ringbuf.Reader
	done sync.WaitGroup

	mu       sync.Mutex
	networks map[uint32]*Network // by number of the namespace
}

func openPortWatch() (_ *portWatch, err error) {
	w := &portWatch{networks: map[uint32]*Network{}}
	defer func() {
		if err != nil {
			w.close()
		}
	}()
	spec, err := bpf.Ports()
	if err != nil {
		return nil, fmt.Errorf("read the BPF program: %w", err)
	}
	if w.maps, err = ebpf.NewCollectionWithOptions(spec, ebpf.CollectionOptions{Cache: kernelTypes.Load()}); err != nil {
		return nil, err
	}
	if w.link, err = link.AttachTracing(link.TracingOptions{Program: w.maps.Programs[bpf.PortsProgDropped], AttachType: ebpf.AttachTraceRawTp}); err != nil {
		return nil, err
	}
	if w.read, err = ringbuf.NewReader(w.maps.Maps[bpf.PortsMapRefusals]); err != nil {
		return nil, err
	}
	w.done.Go(w.answer)
	return w, nil
}

func (w *portWatch) close() {
	if w.read != nil {
		w.read.Close()
	}
	w.done.Wait()
	if w.link != nil {
		w.link.Close()
	}
	if w.maps != nil {
		w.maps.Close()
	}
}

// answer passes on what hosts are to be told, until w is closed.
func (w *portWatch) answer() {
	var record ringbuf.Record
	for {
		if err := w.read.ReadInto(&record); err != nil {
			if errors.Is(err, os.ErrClosed) {
				return
			}
			continue
		}
		r, ok := refusalOf(record.RawSample)
		if !ok {
			continue
		}
		w.mu.Lock()
		n := w.networks[r.network]
		if n != nil {
			n.tell(r)
		}
		w.mu.Unlock()
	}
}

// add begins to count for a network, in its own map.
func (w *portWatch) add(n *Network, counts *ebpf.Map) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.maps.Maps[bpf.PortsMapNetworks].Put(n.number, counts); err != nil {
		return err
	}
	w.networks[n.number] = n
	return nil
}

// tell has the network's hosts told of it, or not.
func (w *portWatch) tell(n *Network, on bool) error {
	told := w.maps.Maps[bpf.PortsMapTold]
	if on {
		return told.Put(n.number, uint32(1))
	}
	if err := told.Delete(n.number); err != nil && !errors.Is(err, ebpf.ErrKeyNotExist) {
		return err
	}
	return nil
}

func (w *portWatch) remove(n *Network) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.networks[n.number] != n {
		return
	}
	delete(w.networks, n.number)
	// What is not there need not go.
	_ = w.maps.Maps[bpf.PortsMapNetworks].Delete(n.number)
	_ = w.maps.Maps[bpf.PortsMapTold].Delete(n.number)
}

// portWatch returns the program, opened for the first network; nil where the
// kernel cannot have it, which is said once.
func (s *Sessions) portWatch() *portWatch {
	s.portsMu.Lock()
	defer s.portsMu.Unlock()
	if s.ports != nil || s.noPorts != nil {
		return s.ports
	}
	if s.ports, s.noPorts = openPortWatch(); s.noPorts != nil {
		s.opt.Logger.Warn("connections for which no port of an elastic IP is free are neither counted nor answered: the kernel takes no BPF program that sees them", "error", s.noPorts)
	}
	return s.ports
}

// openExhausted opens the network's counters of connections without a port, or
// makes them, and has them counted.
func (n *Network) openExhausted() error {
	w := n.s.portWatch()
	if w == nil {
		return nil
	}
	var st unix.Stat_t
	if err := unix.Fstat(int(n.ns.Handle()), &st); err != nil {
		return fmt.Errorf("find the number of %s: %w", n.ns, err)
	}
	n.number = uint32(st.Ino)
	spec, err := bpf.Ports()
	if err != nil {
		return err
	}
	want, path := spec.Maps[bpf.PortsMapExhausted], filepath.Join(n.dir, bpf.PortsMapExhausted)
	m, err := ebpf.LoadPinnedMap(path, nil)
	if err == nil && want.Compatible(m) != nil {
		m.Close()
		m = nil
	}
	if m == nil {
		if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
		if m, err = ebpf.NewMap(want); err != nil {
			return fmt.Errorf("make BPF map %s: %w", bpf.PortsMapExhausted, err)
		}
		if err := m.Pin(path); err != nil {
			m.Close()
			return fmt.Errorf("pin BPF map %s: %w", bpf.PortsMapExhausted, err)
		}
	}
	n.exhausted = m
	// Counted from now on, if there is room for it among what an earlier version has counted.
	_ = m.Update(bpf.PortsExhaustedKey{}, uint64(0), ebpf.UpdateNoExist)
	return w.add(n, m)
}

// closeExhausted ends the counting; the counters stay.
func (n *Network) closeExhausted() {
	if n.exhausted == nil {
		return
	}
	if w := n.s.portWatch(); w != nil {
		w.remove(n)
	}
	n.answers.close()
	n.exhausted.Close()
}

// refusedPortsNow reads how often there was no port, since some time. It reports false
// if that is not counted.
func (n *Network) refusedPortsNow() (all uint64, counted bool) {
	if n.exhausted == nil {
		return 0, true
	}
	err := n.exhausted.Lookup(bpf.PortsExhaustedKey{}, &all)
	return all, err == nil
}

// refusedPorts reads of whom is counted that there was no port.
func (n *Network) refusedPorts() ([]dataplane.NoPort, error) {
	if n.exhausted == nil {
		return nil, nil
	}
	var out []dataplane.NoPort
	err := every(n.exhausted, func(k bpf.PortsExhaustedKey, count uint64) {
		if k.External == 0 {
			return // in all
		}
		p := dataplane.NoPort{External: address(k.External), Protocol: k.Proto, Count: count}
		if k.Private != 0 {
			p.Private = address(k.Private)
		}
		out = append(out, p)
	})
	if err != nil {
		return nil, fmt.Errorf("read the connections without a port of network %s: %w", n.id, err)
	}
	slices.SortFunc(out, func(a, b dataplane.NoPort) int {
		return cmp.Or(a.External.Compare(b.External), cmp.Compare(a.Protocol, b.Protocol), a.Private.Compare(b.Private))
	})
	return out, nil
}
