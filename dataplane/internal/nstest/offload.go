package nstest

import (
	"fmt"
	"testing"
	"unsafe"

	"golang.org/x/sys/unix"

	"sluice/dataplane/netns"
)

// Offload is a feature of a link.
type Offload uint32

// The features that tests switch.
const (
	GRO      Offload = unix.ETHTOOL_SGRO    // of a veth: NAPI, too
	TSO      Offload = unix.ETHTOOL_STSO    // packets that stand for several leave whole
	GSO      Offload = unix.ETHTOOL_SGSO    // the same, in software
	Checksum Offload = unix.ETHTOOL_STXCSUM // checksums are left for the device to complete
	Tagging  Offload = unix.ETHTOOL_SFLAGS  // tags of VLANs are left for the device to put in and take out; switched off only
)

// ethtoolValue is struct ethtool_value, and ifreqPointer struct ifreq with a
// pointer to it (linux/ethtool.h, linux/if.h).
type ethtoolValue struct{ command, data uint32 }

type ifreqPointer struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union's rest
}

// Switch switches a feature of a link on or off. A veth takes notice of GRO only
// while it is up (Linux 6.18).
func Switch(t testing.TB, ns *netns.Namespace, link string, feature Offload, on bool) {
	t.Helper()
	err := ns.Do(func() error {
		fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
		if err != nil {
			return err
		}
		defer unix.Close(fd)
		value := &ethtoolValue{command: uint32(feature)}
		if on {
			value.data = 1
		}
		request := &ifreqPointer{data: unsafe.Pointer(value)}
		copy(request.name[:unix.IFNAMSIZ-1], link)
		if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(request))); errno != 0 {
			return fmt.Errorf("ioctl SIOCETHTOOL: %w", errno)
		}
		return nil
	})
	if err != nil {
		t.Fatalf("switch feature %#x of %s in %s to %v: %v", uint32(feature), link, ns, on, err)
	}
}
