package lineport

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	mdlayher "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// lookAgain is how long what is known of the devices is believed without an event: some may
// have been lost.
const lookAgain = 30 * time.Second

// Watcher knows how the devices are. Its methods may be called from several goroutines.
type Watcher struct {
	ns      *netns.Namespace
	devices []string
	log     *slog.Logger
	now     func() time.Time

	mu    sync.Mutex
	known map[string]dataplane.LineStatus
	can   map[string]bool // kinds of links that the kernel has been found to have
}

// New returns a Watcher of devices in a namespace, which stays the caller's, and looks at them
// once.
func New(ns *netns.Namespace, devices []string, log *slog.Logger) *Watcher {
	w := &Watcher{ns: ns, devices: devices, log: log, now: time.Now, known: map[string]dataplane.LineStatus{}, can: map[string]bool{}}
	w.look()
	return w
}

// Run follows the devices until ctx ends.
func (w *Watcher) Run(ctx context.Context) {
	if len(w.devices) == 0 {
		return
	}
	events := make(chan struct{}, 1)
	conn, err := mdlayher.Dial(unix.NETLINK_ROUTE, &mdlayher.Config{NetNS: int(w.ns.Handle()), Groups: unix.RTMGRP_LINK})
	if err != nil {
		w.log.Warn("changes of the devices of lines are found half a minute later", "error", err)
	} else {
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		go func() {
			for {
				if _, err := conn.Receive(); err != nil && !errors.Is(err, unix.ENOBUFS) {
					return
				}
				select {
				case events <- struct{}{}:
				default:
				}
			}
		}()
	}
	again := time.NewTicker(lookAgain)
	defer again.Stop()
	for {
		w.look()
		select {
		case <-events:
		case <-again.C:
		case <-ctx.Done():
			return
		}
	}
}

// look reads all devices, and logs those that are other than they were.
func (w *Watcher) look() {
	for _, device := range w.devices {
		s := w.read(device)
		w.mu.Lock()
		old, again := w.known[device]
		same := again && old.Present == s.Present && old.Up == s.Up && old.Carrier == s.Carrier
		if same {
			s.Since = old.Since
		}
		w.known[device] = s
		w.mu.Unlock()
		if same {
			continue
		}
		attrs := []any{"device", device, "present", s.Present, "up", s.Up, "carrier", s.Carrier, "speed", s.Speed}
		if s.Present && s.Up && !s.Carrier {
			w.log.Warn("the link of a line is down", attrs...)
		} else {
			w.log.Info("device of a line", attrs...)
		}
	}
}

// read returns how a device is now.
func (w *Watcher) read(device string) dataplane.LineStatus {
	s := dataplane.LineStatus{Device: device, Since: w.now()}
	k, err := w.ns.Netlink().LinkByName(device)
	if err != nil {
		return s
	}
	flags := k.Attrs().RawFlags
	s.Present, s.Up, s.Carrier = true, flags&unix.IFF_UP != 0, flags&unix.IFF_RUNNING != 0
	s.Speed = speed(w.ns, device)
	return s
}

// speed returns a device's speed in Mbit/s, 0 where its driver does not tell.
func speed(ns *netns.Namespace, device string) (mbit int) {
	if ns.Name() != "" {
		return 0 // sysfs shows the devices of the namespace that it was mounted in
	}
	b, err := os.ReadFile(filepath.Join("/sys/class/net", device, "speed"))
	if err != nil {
		return 0
	}
	n, err := strconv.Atoi(strings.TrimSpace(string(b)))
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// Status returns how a device is, as it was seen last; one that is not watched as it is now.
func (w *Watcher) Status(device string) dataplane.LineStatus {
	w.mu.Lock()
	s, ok := w.known[device]
	w.mu.Unlock()
	if !ok {
		return w.read(device)
	}
	return s
}

// SetUp sets a device up.
func (w *Watcher) SetUp(device string) error {
	k, err := w.ns.Netlink().LinkByName(device)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return fmt.Errorf("the line's device %s is missing in %s; create it there, or name another one in the configuration", device, w.ns)
	}
	if err != nil {
		return fmt.Errorf("look for the line's device %s: %w", device, err)
	}
	if k.Attrs().RawFlags&unix.IFF_UP != 0 {
		return nil
	}
	if err := w.ns.Netlink().LinkSetUp(k); err != nil {
		return fmt.Errorf("set the line's device %s up: %w", device, err)
	}
	return nil
}

// Available says why there can be no link on a device for frames that have a VLAN, or for
// those that have none; nil if there can.
func (w *Watcher) Available(tagged bool) error {
	if tagged {
		return w.has("vlan", "this kernel has no 802.1Q links (CONFIG_VLAN_8021Q, module 8021q); load the module, or leave the VLAN out")
	}
	return w.has("macvlan", "this kernel has no macvlan links (CONFIG_MACVLAN, module macvlan); load the module")
}

// has asks the kernel for a link of a kind on no device: what it lacks is the kind, or the
// device. What it has it keeps; what it lacks may be loaded.
func (w *Watcher) has(kind, lack string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.can[kind] {
		return nil
	}
	err := w.ns.Do(func() error {
		req := nl.NewNetlinkRequest(unix.RTM_NEWLINK, unix.NLM_F_CREATE|unix.NLM_F_EXCL|unix.NLM_F_ACK)
		req.AddData(nl.NewIfInfomsg(unix.AF_UNSPEC))
		req.AddData(nl.NewRtAttr(unix.IFLA_IFNAME, nl.ZeroTerminated("sluice-probe")))
		info := nl.NewRtAttr(unix.IFLA_LINKINFO, nil)
		info.AddRtAttr(nl.IFLA_INFO_KIND, nl.NonZeroTerminated(kind))
		req.AddData(info)
		_, err := req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
	if errors.Is(err, unix.EOPNOTSUPP) {
		return errors.New(lack)
	}
	w.can[kind] = true
	return nil
}
