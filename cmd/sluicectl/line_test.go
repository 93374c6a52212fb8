package main

import (
	"context"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"sluice/api/admin"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// serveLines has a control plane's leased lines behind an admin socket, which it returns.
func serveLines(t *testing.T, p *planetest.Plane) (socket string) {
	t.Helper()
	socket = filepath.Join(t.TempDir(), "admin.sock")
	l, err := admin.Listen(socket)
	if err != nil {
		t.Fatal(err)
	}
	log := slog.New(slog.DiscardHandler)
	s := &admin.Server{Listener: l, Handler: admin.NewHandler(admin.Services{Identity: p.Keys, RAM: p.RAM, Lines: p.Lines}, log), Log: log, Grace: time.Second, Allow: func(uint32) bool { return true }}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	})
	return socket
}

// TestLine takes a line through its steps by sluicectl, and compares what it prints.
func TestLine(t *testing.T) {
	p := planetest.New(t)
	socket := serveLines(t, p)
	first, second := p.Line(planetest.Alice, resource.LineApplied), p.Line(planetest.Alice, resource.LineApplied)
	first, second = min(first, second), max(first, second) // as they are listed
	p.Devices.Set(dataplane.LineStatus{Device: "eth2", Present: true, Up: true, Since: planetest.Now})
	p.Devices.Set(dataplane.LineStatus{Device: "eth3"})
	names := map[string]string{first: "pc-firstline", second: "pc-otherline"} // as long as ids are
	var out strings.Builder
	line := func(args ...string) {
		t.Helper()
		text, err := run(t, append([]string{"line", "--socket", socket}, args...)...)
		if err != nil {
			text += "refused: " + err.Error() + "\n"
		}
		for id, name := range names {
			text = strings.ReplaceAll(text, id, name)
			for i := range args {
				args[i] = strings.ReplaceAll(args[i], id, name)
			}
		}
		out.WriteString("$ sluicectl line " + strings.Join(args, " ") + "\n" + text)
		out.WriteString("\n")
	}
	line("list")
	line("approve", first)
	line("allocate", first, "--port", "2")
	line("approve", second)
	line("allocate", second, "--port", "2")
	line("allocate", second, "--port", "3") // whose device is missing
	line("confirm", second)
	line("confirm", first)
	if err := p.Lines.Enable(t.Context(), planetest.Alice, planetest.Region, first); err != nil {
		t.Fatalf("%v\n%s", err, out.String())
	}
	peering := leasedline.Peering{Local: netip.MustParseAddr("192.168.50.17"), Peer: netip.MustParseAddr("192.168.50.18"), Bits: 29}
	names[p.BorderRouter(planetest.Alice, first, 10, peering)] = "vbr-newrouter"
	p.Devices.Set(dataplane.LineStatus{Device: "eth2", Present: true, Up: true, Since: planetest.Now, Networks: []string{"vbr-of-before"}})
	line("list")
	line("show", first)
	line("ports")
	line("fail", second)
	line("reject", second)
	line("show", "pc-none")

	const file = "testdata/line.golden"
	if *update {
		if err := os.WriteFile(file, []byte(out.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(string(want), out.String()); d != "" {
		t.Error(d)
	}
	for _, c := range []struct{ step, want, not string }{{"show", first, "pc-none"}, {"approve", "", first}, {"confirm", "", first}} {
		if text, err := run(t, "__complete", "line", "--socket", socket, c.step, ""); err != nil || !strings.Contains(text, c.want) || strings.Contains(text, c.not) {
			t.Errorf("line %s completes, %v:\n%s", c.step, err, text)
		}
	}
}
