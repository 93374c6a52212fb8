package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

const qemu = "qemu-system-x86_64"

// options are what a machine is made of.
type options struct {
	init    string // this program, without libraries
	kernel  string // directory of the kernel; empty: the one that was fetched
	cpus    int
	memory  int       // MiB
	console io.Writer // gets a copy of the console; may be nil
}

// machine is a virtual machine that runs one command after the other.
type machine struct {
	ctx     context.Context // the machine ends with it
	version string          // the kernel's

	commands *json.Encoder
	reports  *json.Decoder
	console  *tail
	stderr   *tail // QEMU's
	ended    chan struct{}
	kill     context.CancelFunc
}

// boot starts a machine and returns when it takes commands. It ends with close,
// with the context, and with this process.
func boot(ctx context.Context, o options) (*machine, error) {
	k, err := findKernel(o.kernel)
	if err != nil {
		return nil, err
	}
	ramfs, err := initramfs(o.init, k)
	if err != nil {
		return nil, err
	}
	defer ramfs.Close()
	m := &machine{ctx: ctx, console: &tail{copy: o.console}, stderr: &tail{}, ended: make(chan struct{})}
	if err := m.start(o, k, ramfs); err != nil {
		return nil, err
	}
	var r report
	if err := m.reports.Decode(&r); err != nil {
		return nil, m.failed(err)
	}
	m.version = r.Ready
	return m, nil
}

// start starts QEMU.
func (m *machine) start(o options, k kernel, ramfs *os.File) error {
	// What the machine needs of pipes: commands to it, reports and console from it.
	var pipes [3]struct{ r, w *os.File }
	for i := range pipes {
		var err error
		if pipes[i].r, pipes[i].w, err = os.Pipe(); err != nil {
			return err
		}
	}
	commands, reports, console := pipes[0], pipes[1], pipes[2]

	ctx, kill := context.WithCancel(m.ctx)
	cmd := exec.CommandContext(ctx, qemu, arguments(o, k)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = commands.r, reports.w, m.stderr
	cmd.ExtraFiles = []*os.File{console.w, ramfs} // consoleFile, ramfsFile
	// Whoever kills this process ends the machine; an interrupt is for this
	// process only, which ends the machine as well.
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL, Setpgid: true}

	var reading sync.WaitGroup
	reading.Go(func() { _, _ = io.Copy(m.console, console.r) })
	started := make(chan error)
	go func() {
		// The signal at the parent's death is sent at its thread's death.
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		err := cmd.Start()
		for _, f := range []*os.File{commands.r, reports.w, console.w} {
			f.Close()
		}
		started <- err
		if err == nil {
			_ = cmd.Wait() // it ends by being killed
			commands.w.Close()
		}
		reading.Wait()
		console.r.Close()
		close(m.ended)
	}()
	m.commands, m.reports, m.kill = json.NewEncoder(commands.w), json.NewDecoder(reports.r), kill
	if err := <-started; err != nil {
		kill()
		commands.w.Close()
		reports.r.Close()
		return fmt.Errorf("start a virtual machine: %w", err)
	}
	return nil
}

// Files that QEMU is started with.
const (
	consoleFile = "/proc/self/fd/3"
	ramfsFile   = "/proc/self/fd/4"
)

func arguments(o options, k kernel) []string {
	return []string{
		"-nodefaults", "-no-user-config", "-display", "none",
		// KVM may be there and not work, as in a machine that is virtual itself.
		"-accel", "tcg,thread=multi", "-cpu", "max",
		"-smp", strconv.Itoa(o.cpus), "-m", strconv.Itoa(o.memory),
		"-kernel", k.image, "-initrd", ramfsFile,
		// What goes wrong in the kernel ends the machine.
		"-no-reboot", "-append", "console=ttyS0 loglevel=5 panic=-1 oops=panic",
		"-chardev", "file,id=console,path=" + consoleFile, "-serial", "chardev:console",
		"-device", "virtio-serial-pci",
		"-chardev", "stdio,id=channel,signal=off", "-device", "virtserialport,chardev=channel,name=" + channelName,
		"-fsdev", "local,id=root,path=/,security_model=none,readonly=on,multidevs=remap",
		"-device", "virtio-9p-pci,fsdev=root,mount_tag=" + rootTag,
	}
}

// run runs a command in the machine and returns its exit status. An error
// means that the command could not be started or that the machine has ended.
func (m *machine) run(c command, stdout, stderr io.Writer) (int, error) {
	if err := m.commands.Encode(c); err != nil {
		return 0, m.failed(err)
	}
	for {
		var r report
		if err := m.reports.Decode(&r); err != nil {
			return 0, m.failed(err)
		}
		if _, err := stdout.Write(r.Stdout); err != nil {
			return 0, err
		}
		if _, err := stderr.Write(r.Stderr); err != nil {
			return 0, err
		}
		switch {
		case r.Error != "":
			return 0, errors.New(r.Error)
		case r.Exit != nil:
			return *r.Exit, nil
		}
	}
}

// close ends the machine; nothing of it is worth an orderly end.
func (m *machine) close() {
	m.kill()
	<-m.ended
}

// failed ends the machine and says why it did not do as it should.
func (m *machine) failed(err error) error {
	if m.ctx.Err() != nil {
		err = context.Cause(m.ctx)
	} else if errors.Is(err, io.EOF) || errors.Is(err, syscall.EPIPE) {
		err = errors.New("the virtual machine has ended")
	}
	m.close()
	for _, t := range []struct {
		name string
		tail *tail
	}{{"QEMU", m.stderr}, {"its console", m.console}} {
		if text := t.tail.String(); text != "" {
			err = fmt.Errorf("%w; %s said last:\n%s", err, t.name, text)
		}
	}
	return err
}

// tail keeps the end of what is written to it.
type tail struct {
	copy io.Writer

	mu   sync.Mutex
	text []byte
}

func (t *tail) Write(b []byte) (int, error) {
	const enough = 8 << 10
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.text = append(t.text, b...); len(t.text) > 2*enough {
		t.text = append(t.text[:0], t.text[len(t.text)-enough:]...)
	}
	if t.copy != nil {
		return t.copy.Write(b)
	}
	return len(b), nil
}

// String returns the last lines, enough for a panic with its registers.
func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	lines := strings.Split(strings.TrimSpace(strings.ReplaceAll(string(t.text), "\r", "")), "\n")
	return strings.Join(lines[max(0, len(lines)-100):], "\n")
}
