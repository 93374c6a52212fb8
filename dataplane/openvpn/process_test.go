package openvpn

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"sluice/dataplane/internal/openvpntest"
)

// Without OpenVPN it is said what to install, by Apply, too.
func TestUnavailable(t *testing.T) {
	l := newLab(t)
	for program, want := range map[string]string{
		"/nowhere/openvpn": "no such file",
		old(t, "2.5.1"):    "is OpenVPN 2.5.1; install 2.6 or later",
		old(t, "2.6.0"):    "",
		old(t, "3.0_x"):    "",
	} {
		m, err := New(Options{Dir: filepath.Join(l.dir, "x"), Program: program})
		if err != nil {
			t.Fatal(err)
		}
		err = m.Available()
		if want == "" && err != nil || want != "" && (!errors.Is(err, ErrUnsupported) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s: %v", program, err)
		}
	}
	l.m.options.Program = "/nowhere/openvpn"
	l.authority.Put(&l.server)
	openvpntest.Device(t, l.gw, &l.server)
	if err := l.m.Apply(t.Context(), l.gw, vpc, l.gateways()); err == nil || !strings.Contains(err.Error(), "/nowhere/openvpn") {
		t.Errorf("Apply says %v", err)
	}
}

// old makes a program that says that it is a version of OpenVPN.
func old(t *testing.T, version string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), "openvpn")
	if err := os.WriteFile(file, []byte("#!/bin/sh\necho 'OpenVPN "+version+" x86_64-pc-linux-gnu [SSL (OpenSSL)]'\nexit 1\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return file
}
