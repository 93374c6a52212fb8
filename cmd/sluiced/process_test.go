package main

import (
	"bytes"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"sluice/api/admin"
)

// asDaemon in the environment makes the test program be sluiced.
const asDaemon = "SLUICE_TEST_AS_DAEMON"

func TestMain(m *testing.M) {
	if os.Getenv(asDaemon) != "" {
		os.Exit(start(os.Args[1:], os.Stdout, os.Stderr))
	}
	os.Exit(m.Run())
}

// TestProcess runs the whole program, with the real dataplane, in a network
// namespace of its own: readiness to systemd, an orderly end on SIGTERM, and a
// start after kill -9.
func TestProcess(t *testing.T) {
	if os.Getuid() != 0 {
		t.Skip("needs root for a network namespace")
	}
	dir := t.TempDir()
	file := filepath.Join(dir, "sluiced.yaml")
	// The namespace's loopback is down and has no address: listen on any.
	text := "listen: 0.0.0.0:0\ndata_dir: " + dir + "/data\nrun_dir: " + dir + "/run\npublic: []\nlog_format: json\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	systemd, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: filepath.Join(dir, "notify"), Net: "unixgram"})
	if err != nil {
		t.Fatal(err)
	}
	defer systemd.Close()
	notified := func() string {
		t.Helper()
		buf := make([]byte, 256)
		if err := systemd.SetReadDeadline(time.Now().Add(30 * time.Second)); err != nil {
			t.Fatal(err)
		}
		n, err := systemd.Read(buf)
		if err != nil {
			t.Fatalf("systemd hears nothing: %v", err)
		}
		return string(buf[:n])
	}

	for _, end := range []syscall.Signal{syscall.SIGKILL, syscall.SIGTERM, syscall.SIGINT} {
		var log bytes.Buffer
		cmd := exec.Command(os.Args[0], "--config", file)
		cmd.Env = append(os.Environ(), asDaemon+"=1", "NOTIFY_SOCKET="+systemd.LocalAddr().String())
		cmd.Stderr = &log
		cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		if got := notified(); got != "READY=1" {
			t.Errorf("systemd hears %q, want READY=1", got)
		}
		c, err := admin.Dial(filepath.Join(dir, "run", "admin.sock"))
		if err != nil {
			t.Fatal(err)
		}
		info, err := c.Info(t.Context())
		if err != nil || !info.Ready || info.PID != cmd.Process.Pid || info.Config != file || strings.HasSuffix(info.Listen, ":0") {
			t.Errorf("info: %+v, %v", info, err)
		}
		c.Close()
		if err := cmd.Process.Signal(end); err != nil {
			t.Fatal(err)
		}
		err = cmd.Wait()
		if end == syscall.SIGKILL {
			continue // the socket it leaves is replaced in the next turn
		}
		if err != nil {
			t.Errorf("after %v: %v\n%s", end, err, log.String())
		}
		if got := notified(); got != "STOPPING=1" {
			t.Errorf("systemd hears %q, want STOPPING=1", got)
		}
		if !strings.Contains(log.String(), "the kernel stays as it is") {
			t.Errorf("the log does not tell the end: %s", log.String())
		}
	}
}
