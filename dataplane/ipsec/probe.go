package ipsec

import (
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"sync"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// findCharon returns the path of charon's program.
func findCharon() (string, error) {
	for _, name := range []string{"charon-systemd", "/usr/sbin/charon-systemd", "/usr/libexec/strongswan/charon-systemd"} {
		if path, err := exec.LookPath(name); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: charon-systemd is not installed (Debian package charon-systemd)", ErrUnsupported)
}

// Available says how this machine would carry tunnels, or, wrapping
// ErrUnsupported, what is lacking. It needs root.
func Available() (dataplane.VPNPath, error) {
	if _, err := findCharon(); err != nil {
		return "", err
	}
	return choosePath()
}

// choosePath tries what this machine can do, once in a process.
var choosePath = sync.OnceValues(func() (dataplane.VPNPath, error) {
	xfrm := apart(func() error {
		nl, err := netlink.NewHandle(unix.NETLINK_ROUTE, unix.NETLINK_XFRM)
		if err != nil {
			return err
		}
		defer nl.Close()
		attrs := netlink.NewLinkAttrs()
		attrs.Name = "probe"
		if err := nl.LinkAdd(&netlink.Xfrmi{LinkAttrs: attrs, Ifid: 1}); err != nil {
			return fmt.Errorf("no XFRM interfaces: %w", err)
		}
		return trySA(nl, encryptions[dataplane.AES128], integrities[dataplane.SHA1])
	})
	if xfrm == nil {
		return dataplane.VPNByXFRM, nil
	}
	libipsec := errors.Join(tryTUN(), tryPlugin())
	if libipsec == nil {
		return dataplane.VPNByLibipsec, nil
	}
	return "", fmt.Errorf("%w: neither the kernel's ESP (%w) nor charon's own (%w)", ErrUnsupported, xfrm, libipsec)
})

func tryTUN() error {
	f, err := os.OpenFile("/dev/net/tun", os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("no TUN devices: %w", err)
	}
	return f.Close()
}

func tryPlugin() error {
	for _, dir := range []string{"/usr/lib/ipsec/plugins", "/usr/lib/strongswan/plugins", "/usr/lib64/strongswan/plugins"} {
		if _, err := os.Stat(filepath.Join(dir, "libstrongswan-kernel-libipsec.so")); err == nil {
			return nil
		}
	}
	return errors.New("no plugin kernel-libipsec (Debian package libcharon-extra-plugins)")
}

// apart runs f in a new network namespace that ends with it, and with what f
// starts.
func apart(f func() error) error {
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := unix.Unshare(unix.CLONE_NEWNET); err != nil {
			done <- fmt.Errorf("make a network namespace: %w", err)
			return
		}
		done <- f()
	}()
	return <-done
}

// algorithm is what VICI and the kernel call an algorithm.
type algorithm struct {
	charon string
	kernel string
	bytes  int // of its key
	trunc  int // bits of the check value
}

var encryptions = map[dataplane.Encryption]algorithm{
	dataplane.AES128:    {"AES_CBC", "cbc(aes)", 16, 0},
	dataplane.AES192:    {"AES_CBC", "cbc(aes)", 24, 0},
	dataplane.AES256:    {"AES_CBC", "cbc(aes)", 32, 0},
	dataplane.TripleDES: {"3DES_CBC", "cbc(des3_ede)", 24, 0},
	dataplane.DES:       {"DES_CBC", "cbc(des)", 8, 0},
	dataplane.Null:      {"NULL", "ecb(cipher_null)", 0, 0},
}

var integrities = map[dataplane.Integrity]algorithm{
	dataplane.MD5:    {"HMAC_MD5_96", "hmac(md5)", 16, 96},
	dataplane.SHA1:   {"HMAC_SHA1_96", "hmac(sha1)", 20, 96},
	dataplane.SHA256: {"HMAC_SHA2_256_128", "hmac(sha256)", 32, 128},
	dataplane.SHA384: {"HMAC_SHA2_384_192", "hmac(sha384)", 48, 192},
	dataplane.SHA512: {"HMAC_SHA2_512_256", "hmac(sha512)", 64, 256},
}

// trySA makes an SA and removes it.
func trySA(nl *netlink.Handle, e, i algorithm) error {
	key := func(n int) []byte { // none that DES calls weak
		b := make([]byte, n)
		for k := range b {
			b[k] = byte(17*k + 1)
		}
		return b
	}
	sa := &netlink.XfrmState{
		Src: net.IPv4(192, 0, 2, 1), Dst: net.IPv4(192, 0, 2, 2), Spi: 0x1000, Ifid: 1,
		Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL,
		Crypt: &netlink.XfrmStateAlgo{Name: e.kernel, Key: key(e.bytes)},
		Auth:  &netlink.XfrmStateAlgo{Name: i.kernel, Key: key(i.bytes), TruncateLen: i.trunc},
	}
	if err := nl.XfrmStateAdd(sa); err != nil {
		return fmt.Errorf("no ESP with %s and %s: %w", e.kernel, i.kernel, err)
	}
	return nl.XfrmStateDel(sa)
}
