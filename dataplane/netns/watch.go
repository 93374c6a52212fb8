package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/unix"
)

// Watch calls changed with each name under Dir that is made, removed or
// renamed, and with the empty name where events were lost and any name may
// have. It returns when ctx is done.
//
// A name that is unmounted but not removed makes no event.
func Watch(ctx context.Context, changed func(name string)) error {
	if err := shareDir(); err != nil {
		return fmt.Errorf("watch network namespaces: %w", err)
	}
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch network namespaces: %w", err)
	}
	// Non-blocking, so that the runtime polls it and Close ends Read.
	f := os.NewFile(uintptr(fd), "inotify")
	defer f.Close()
	const events = unix.IN_CREATE | unix.IN_DELETE | unix.IN_MOVED_FROM | unix.IN_MOVED_TO
	if _, err := unix.InotifyAddWatch(fd, Dir, events); err != nil {
		return fmt.Errorf("watch network namespaces: watch %s: %w", Dir, err)
	}
	stop := context.AfterFunc(ctx, func() { f.Close() })
	defer stop()
	buf := make([]byte, 64<<10)
	for {
		n, err := f.Read(buf)
		if err != nil {
			if ctx.Err() != nil || errors.Is(err, os.ErrClosed) {
				return nil
			}
			return fmt.Errorf("watch network namespaces: %w", err)
		}
		for b := buf[:n]; len(b) >= unix.SizeofInotifyEvent; {
			e := (*unix.InotifyEvent)(unsafe.Pointer(&b[0]))
			end := unix.SizeofInotifyEvent + int(e.Len)
			name := string(bytes.TrimRight(b[unix.SizeofInotifyEvent:end], "\x00"))
			b = b[end:]
			if e.Mask&unix.IN_Q_OVERFLOW != 0 {
				name = ""
			}
			changed(name)
		}
	}
}
