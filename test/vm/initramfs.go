package main

import (
	"bytes"
	"debug/elf"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"golang.org/x/sys/unix"
)

// Files of the initramfs.
const (
	initName   = "/init" // what the kernel starts, by this name
	setupFile  = "/setup.json"
	moduleFile = "/modules/"
)

// setup is what the init process is told.
type setup struct {
	Load    []string // module files of the initramfs, in this order
	Version string   // the kernel's
	Modules string   // its directory of modules, as the root has it
}

// initramfs returns a file in memory with everything that the machine needs
// until it sees this machine's files.
func initramfs(init string, k kernel) (*os.File, error) {
	program, err := elf.Open(init)
	if err != nil {
		return nil, err
	}
	defer program.Close()
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		return nil, fmt.Errorf("%s needs libraries, which the machine has not when it starts; build it with CGO_ENABLED=0", init)
	}
	text, err := os.ReadFile(init)
	if err != nil {
		return nil, err
	}
	var a archive
	a.add(initName, 0o100755, text)
	a.add(moduleFile, 0o040755, nil)
	order, err := k.loading("virtio_pci", "virtio_console", "9pnet_virtio", "9p", "overlay")
	if err != nil {
		return nil, err
	}
	s := setup{Version: k.version(), Modules: k.modules}
	for _, path := range order {
		if text, err = os.ReadFile(path); err != nil {
			return nil, err
		}
		file := moduleFile + filepath.Base(path)
		a.add(file, 0o100644, text)
		s.Load = append(s.Load, file)
	}
	if text, err = json.Marshal(s); err != nil {
		return nil, err
	}
	a.add(setupFile, 0o100644, text)
	return inMemory("initramfs", a.end())
}

// archive is a cpio archive of the kind that the kernel unpacks
// (Documentation/driver-api/early-userspace/buffer-format.rst).
type archive struct{ bytes.Buffer }

func (a *archive) add(name string, mode int, text []byte) {
	name = filepath.Clean(name)[1:]
	a.entry(name, mode, text)
}

func (a *archive) entry(name string, mode int, text []byte) {
	const inode, uid, gid, links, mtime, major, minor, sum = 0, 0, 0, 1, 0, 0, 0, 0
	fmt.Fprintf(a, "070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x",
		inode, mode, uid, gid, links, mtime, len(text), major, minor, major, minor, len(name)+1, sum)
	a.WriteString(name + "\x00")
	a.pad()
	a.Write(text)
	a.pad()
}

func (a *archive) pad() { a.Write(make([]byte, -a.Len()&3)) }

func (a *archive) end() []byte {
	a.entry("TRAILER!!!", 0, nil)
	return a.Bytes()
}

// inMemory returns a file that has no name and ends with its last descriptor.
func inMemory(name string, text []byte) (*os.File, error) {
	fd, err := unix.MemfdCreate(name, unix.MFD_CLOEXEC)
	if err != nil {
		return nil, fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), name)
	if _, err := f.Write(text); err != nil {
		f.Close()
		return nil, err
	}
	return f, nil
}
