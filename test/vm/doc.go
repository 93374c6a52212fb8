// Command vm runs a command under another kernel than this machine's: in a
// virtual machine that sees the files of this one, with the kernel of Debian
// 12 (Linux 6.1), the oldest that Sluice supports. The command has the caller's
// working directory and environment, its output comes out as it is, and its
// exit status is the program's.
//
// QEMU emulates the processor, so that nothing is needed from the hardware, at
// the price of programs that run 10 to 30 times slower. The machine's root is
// this machine's, read-only by 9p, under a layer in memory that takes what is
// written and ends with the machine; only /run, /dev and /proc are its own, and
// it has no network. The program is its own init process: it puts itself into
// the initramfs, loads what the root needs, and waits for commands.
//
// The tests of this package run tests of others in one such machine. The
// package must not know what those test.
package main
