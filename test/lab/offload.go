package lab

import (
	"fmt"
	"unsafe"

	"golang.org/x/sys/unix"
)

// ethtoolValue is struct ethtool_value, and ifreqPointer struct ifreq with a
// pointer to it (linux/ethtool.h, linux/if.h).
type ethtoolValue struct {
	command uint32
	data    uint32
}

type ifreqPointer struct {
	name [unix.IFNAMSIZ]byte
	data unsafe.Pointer
	_    [16]byte // the union's rest
}

// EnableGRO turns on generic receive offload for a link in the namespace of
// the caller's thread. For the end of a veth pair that means NAPI, without
// which nothing can be redirected to the other end. The link must be up: of one
// that is not the driver takes no notice (Linux 6.18).
func EnableGRO(name string) error {
	if len(name) >= unix.IFNAMSIZ {
		return fmt.Errorf("%s is too long for the name of a link", name)
	}
	fd, err := unix.Socket(unix.AF_INET, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open a socket for ethtool: %w", err)
	}
	defer unix.Close(fd)
	value := &ethtoolValue{command: unix.ETHTOOL_SGRO, data: 1}
	request := &ifreqPointer{data: unsafe.Pointer(value)}
	copy(request.name[:], name)
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.SIOCETHTOOL, uintptr(unsafe.Pointer(request)))
	if errno != 0 {
		return fmt.Errorf("turn on GRO for %s: %w", name, errno)
	}
	return nil
}
