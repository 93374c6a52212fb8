// Package errtext says in an operator's words what an error says in those of the kernel and
// of libraries: what is missing, and what to do about it.
//
// It is for where errors are shown: logs, tables, messages on a terminal. It knows errors by
// the standard library's types and by how libraries begin their texts; what it does not know
// it leaves as it is. Nobody decides by these texts: errors.Is and errors.As go by errors.
package errtext

import (
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"regexp"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// Of returns the text of an error; the empty text for nil.
func Of(err error) string {
	if err == nil {
		return ""
	}
	text := err.Error()
	for _, n := range noise {
		text = n.from.ReplaceAllString(text, n.to)
	}
	for number, about := range numbers(err, kernel, nil) {
		if words := about.words(number); words != "" {
			text = strings.ReplaceAll(text, number.Error(), words)
		}
	}
	return text
}

// noise is how libraries begin what they say, and says nothing to an operator.
var noise = []struct {
	from *regexp.Regexp
	to   string
}{
	// github.com/google/nftables and github.com/mdlayher/netlink
	{regexp.MustCompile(`(?:conn\.\w+|SendMessages|failed to \w+ netlink \w+): `), ""},
	{regexp.MustCompile(`netlink [a-z-]+: `), ""},
	// os.SyscallError
	{regexp.MustCompile(`\b(?:send(?:to|msg|mmsg)?|recv(?:from|msg|mmsg)?|[gs]etsockopt|socket|bind|getsockname|setns|unshare|bpf|accept4?|epoll_\w+|fcntl): `), ""},
	// os/exec and net
	{regexp.MustCompile(`fork/exec (\S+): `), "start $1: "},
	{regexp.MustCompile(`dial unix (\S+): connect: `), "connect to $1: "},
	{regexp.MustCompile(`dial (?:tcp|udp) (\S+): connect: `), "connect to $1: "},
	{regexp.MustCompile(`exec: "([^"]+)": executable file not found in \$PATH`), "there is no program $1; install it"},
}

// subject is what an error number is about: it means another thing of a file.
type subject int

const (
	kernel subject = iota // an object of the kernel: a link, a rule, a program
	file
)

// numbers finds the error numbers that an error wraps, and what they are about.
func numbers(err error, about subject, found map[syscall.Errno]subject) map[syscall.Errno]subject {
	if found == nil {
		found = map[syscall.Errno]subject{}
	}
	switch e := err.(type) {
	case nil:
		return found
	case syscall.Errno:
		found[e] = about
		return found
	case *fs.PathError, *os.LinkError, *exec.Error:
		about = file
	case *net.OpError:
		about = file // the path or address stands beside it
	}
	switch e := err.(type) {
	case interface{ Unwrap() error }:
		return numbers(e.Unwrap(), about, found)
	case interface{ Unwrap() []error }:
		for _, one := range e.Unwrap() {
			numbers(one, about, found)
		}
	}
	return found
}

// words say what an error number means to an operator; empty where its own text is as
// good. That has the number's name, by which it is looked for.
func (s subject) words(n syscall.Errno) string {
	meaning := both[n]
	if meaning == "" && s == kernel {
		meaning = ofKernel[n]
	}
	if meaning == "" {
		return ""
	}
	return fmt.Sprintf(meaning, name(n))
}

// name is that of a number; of two, that which the kernel uses.
func name(n syscall.Errno) string {
	if n == unix.EOPNOTSUPP {
		return "EOPNOTSUPP"
	}
	return unix.ErrnoName(n)
}

// both is what a number means of whatever it is.
var both = map[syscall.Errno]string{
	unix.EPERM:         "not permitted (%s): run it as root; a container has to be privileged",
	unix.EMFILE:        "too many files are open (%s): raise LimitNOFILE of the unit, or ulimit -n",
	unix.ENFILE:        "too many files are open on this machine (%s): raise fs.file-max",
	unix.ENOMEM:        "the kernel has no memory left for it (%s)",
	unix.EADDRINUSE:    "another program has this address and port (%s): ss -lnp shows which",
	unix.EADDRNOTAVAIL: "no device of this machine has this address (%s)",
}

// lacks is said of what a kernel was built without.
const lacks = "this kernel has no such thing (%s): a module is missing, or it was built without; sluicectl doctor says what else it lacks"

// ofKernel is what a number means of an object of the kernel.
var ofKernel = map[syscall.Errno]string{
	unix.EOPNOTSUPP:      lacks,
	unix.EPROTONOSUPPORT: lacks,
	unix.EAFNOSUPPORT:    lacks,
	unix.ENOSYS:          lacks,
	unix.ENOENT:          "the kernel does not know it (%s): it is gone, or its module is missing; sluicectl doctor says what this kernel lacks",
	unix.ENODEV:          "there is no such device (%s)",
	unix.ENXIO:           "there is no such device (%s)",
	unix.EBUSY:           "something else is using it (%s)",
	unix.EEXIST:          "it is there already, made by something else (%s)",
	unix.EINVAL:          "the kernel does not accept it (%s)",
	unix.ENOSPC:          "there is no room left for it in the kernel (%s)",
	unix.ENOBUFS:         "the kernel had no room for messages, and dropped some (%s): raise net.core.rmem_max if that comes again",
}

// told is an error with another text.
type told struct {
	text string
	err  error
}

func (t told) Error() string { return t.text }
func (t told) Unwrap() error { return t.err }

// Instead returns an error whose whole text is this one: for where the cause adds nothing to
// it but a library's words. It wraps the cause.
func Instead(err error, format string, args ...any) error {
	return told{fmt.Sprintf(format, args...), err}
}

// Log replaces errors among a record's attributes by their texts. It is a
// slog.HandlerOptions.ReplaceAttr.
func Log(_ []string, a slog.Attr) slog.Attr {
	if a.Value.Kind() != slog.KindAny {
		return a
	}
	if err, ok := a.Value.Any().(error); ok && err != nil {
		a.Value = slog.StringValue(Of(err))
	}
	return a
}
