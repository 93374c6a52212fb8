package admin

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// ErrRunning says that a daemon answers on the socket already.
var ErrRunning = errors.New("sluiced is already running")

// Listen makes the socket, readable and writable by its owner alone, in a
// directory that is made, for its owner alone, where it is missing. The socket
// of a dead daemon is replaced; that of a live one is ErrRunning.
func Listen(path string) (net.Listener, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, fmt.Errorf("make the directory of the admin socket: %w", err)
	}
	if err := clearStale(path); err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("make the admin socket: %w", err)
	}
	// Between the two calls the directory and the check of the peer guard it.
	if err := os.Chmod(path, 0o600); err != nil {
		return nil, fmt.Errorf("close the admin socket to others: %w", errors.Join(err, l.Close()))
	}
	return l, nil
}

func clearStale(path string) error {
	info, err := os.Lstat(path)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look at the admin socket: %w", err)
	case info.Mode().Type() != fs.ModeSocket:
		return fmt.Errorf("%s is not a socket: move it away, or set admin_socket to another path", path)
	}
	c, err := net.DialTimeout("unix", path, time.Second)
	switch {
	case err == nil:
		c.Close()
		return fmt.Errorf("%w: a process answers on %s", ErrRunning, path)
	case !errors.Is(err, syscall.ECONNREFUSED):
		// Alive but not accepting is alive.
		return fmt.Errorf("%w, or hangs: %v", ErrRunning, err)
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the admin socket of a dead sluiced: %w", err)
	}
	return nil
}

// peerKey is the key of a connection's *unix.Ucred in its context.
type peerKey struct{}

// withPeer notes who is at the other end of a connection (SO_PEERCRED, unix(7)).
func withPeer(ctx context.Context, c net.Conn) context.Context {
	u, ok := c.(*net.UnixConn)
	if !ok {
		return ctx
	}
	raw, err := u.SyscallConn()
	if err != nil {
		return ctx
	}
	var peer *unix.Ucred
	if err := raw.Control(func(fd uintptr) {
		peer, err = unix.GetsockoptUcred(int(fd), unix.SOL_SOCKET, unix.SO_PEERCRED)
	}); err != nil || peer == nil {
		return ctx
	}
	return context.WithValue(ctx, peerKey{}, peer)
}

func rootOrSelf(uid uint32) bool { return uid == 0 || int(uid) == os.Geteuid() }

// onlyFrom refuses requests of other users, and those whose user is not known.
func onlyFrom(allow func(uint32) bool, next http.Handler, a Audit, log *slog.Logger) http.Handler {
	denied := recorded(func(*http.Request) (any, error) {
		return nil, &Error{Status: http.StatusForbidden, Message: "the admin socket is for root and the user of sluiced; call as one of them"}
	}, a, log)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		peer, ok := r.Context().Value(peerKey{}).(*unix.Ucred)
		if !ok || !allow(peer.Uid) {
			if ok {
				log.Warn("admin call denied", "uid", peer.Uid, "pid", peer.Pid)
			}
			denied.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}
