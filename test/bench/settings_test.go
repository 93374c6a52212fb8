package main

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestSettingsRoundTrip(t *testing.T) {
	want := settings{{conntrackMax, "262144"}, {conntrackBuckets, "65536"}}
	got, err := parseSettings(want.String())
	if err != nil {
		t.Fatal(err)
	}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	for _, text := range []string{"/proc/sys/net/x\n", "/etc/passwd 1\n", "\n"} {
		if s, err := parseSettings(text); err == nil {
			t.Errorf("%q was taken for %v", text, s)
		}
	}
}

func TestSettingsOfARunThatMadeNone(t *testing.T) {
	if err := (&run{dir: t.TempDir()}).restoreSettings(); err != nil {
		t.Error(err)
	}
}

// What cannot be restored stays recorded, for the next run.
func TestSettingsStayRecorded(t *testing.T) {
	dir := t.TempDir()
	text := "/proc/sys/net/no_such_setting 1\n"
	if err := os.WriteFile(filepath.Join(dir, settingsFile), []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := (&run{dir: dir}).restoreSettings(); err == nil || !strings.Contains(err.Error(), "no_such_setting") {
		t.Errorf("error %v", err)
	}
	if got, err := os.ReadFile(filepath.Join(dir, settingsFile)); err != nil || string(got) != text {
		t.Errorf("recorded is %q, %v", got, err)
	}
}

func TestMemlock(t *testing.T) {
	const fdinfo = "pos:\t0\nflags:\t02000002\nmap_type:\t1\nkey_size:\t4\nmemlock:\t8421568\nmap_id:\t7\n"
	if got, err := parseMemlock(fdinfo); err != nil || got != 8421568 {
		t.Errorf("%d, %v", got, err)
	}
	if _, err := parseMemlock("pos:\t0\n"); err == nil {
		t.Error("memory came out of nothing")
	}
}
