package openvpn

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"sluice/dataplane/internal/process"
)

// running makes OpenVPN run.
func (s *server) running(ctx context.Context) error {
	if s.process != nil && s.process.Ended(0) {
		s.lose()
	}
	open, err := checkDevice(s.ns, &s.want.server)
	if err != nil {
		return err
	}
	conf := settings(s.dir, s.want.at, &s.want.server, s.m.group)
	has, _ := os.ReadFile(filepath.Join(s.dir, settingsFile))
	if s.process != nil && string(has) == conf && open {
		return nil
	}
	pids, err := find(s.dir)
	if err != nil {
		return fmt.Errorf("look for OpenVPN: %w", err)
	}
	if s.process == nil && len(pids) == 1 && string(has) == conf && open { // who has it open is in its namespace
		if h, err := process.Adopt(pids[0]); err == nil {
			s.log.Info("adopted an SSL-VPN server's OpenVPN", "process", h.PID)
			s.attend(h)
			return nil
		}
	}
	if len(pids) > 0 {
		s.log.Info("an SSL-VPN server's OpenVPN is started anew, and its clients come back", "reason", differs(string(has), conf, open))
	}
	return s.begin(ctx, conf, string(has))
}

// differs says in what settings differ, without telling them. open is whether OpenVPN has
// the TUN device, which has been made anew else.
func differs(has, want string, open bool) string {
	if !open {
		return "it has lost its TUN device"
	}
	words := func(s string) map[string]string {
		out := map[string]string{}
		s, _, _ = strings.Cut(s, "\n<") // keys begin
		for line := range strings.Lines(s) {
			word, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
			out[word] += rest + "\n"
		}
		return out
	}
	old, changed := words(has), []string(nil)
	for word, rest := range words(want) {
		if !strings.HasPrefix(word, "#") && old[word] != rest {
			changed = append(changed, word)
		}
	}
	slices.Sort(changed)
	if changed == nil {
		return "other keys, or it runs elsewhere"
	}
	return "settings: " + strings.Join(changed, ", ")
}

// begin starts OpenVPN, after ending what is there.
func (s *server) begin(ctx context.Context, conf, before string) error {
	s.drop()
	if err := endAll(s.dir); err != nil {
		return err
	}
	s.hear()
	if s.tracker.lost(time.Now(), "OpenVPN was ended") {
		s.m.changed(s.network)
	}
	if poolOf(conf) != poolOf(before) { // nobody has an address of another pool
		if err := os.RemoveAll(filepath.Join(s.dir, poolFile)); err != nil {
			return err
		}
	}
	program, err := s.m.program()
	if err != nil {
		return err
	}
	s.tracker.started()
	h, err := start(program, s.dir, conf, s.m.rawFull, s.ns.Do)
	if err != nil {
		return fmt.Errorf("start %s: %w", program, err)
	}
	within, cancel := context.WithTimeout(ctx, readyTimeout)
	defer cancel()
	err = h.Await(within, func(context.Context) error {
		if s.hear(); !s.tracker.isReady() {
			return errors.New("it does not listen yet")
		}
		return nil
	})
	if err == nil {
		s.log.Info("started an SSL-VPN server's OpenVPN", "process", h.PID)
		s.attend(h)
		return nil
	}
	s.drop()
	ended := errors.Is(err, process.ErrEnded)
	err = errors.Join(fmt.Errorf("OpenVPN (process %d): %w", h.PID, err), h.End())
	h.Close()
	s.hear()
	if words := s.tracker.lastWords(); ended && words != "" {
		return fmt.Errorf("OpenVPN: %s", words)
	}
	return err
}

func poolOf(conf string) (out string) {
	for line := range strings.Lines(conf) {
		if strings.HasPrefix(line, "server ") {
			out = line
		}
	}
	return out
}

// attend takes an OpenVPN to be the server's, and has it noticed when that ends.
func (s *server) attend(h *process.Helper) {
	s.process = h
	watched, err := process.Adopt(h.PID)
	if err != nil {
		s.nudge()
		return
	}
	s.watching.Go(func() {
		defer watched.Close()
		for !watched.Ended(time.Second) {
			select {
			case <-s.quit:
				return
			default:
			}
		}
		s.nudge()
	})
}

// lose forgets an OpenVPN that has ended by itself.
func (s *server) lose() {
	s.drop()
	s.hear()
	words := s.tracker.lastWords()
	s.log.Warn("lost an SSL-VPN server's OpenVPN", "reason", words)
	s.tracker.lost(time.Now(), "OpenVPN has ended")
	s.m.changed(s.network)
}

// drop ends the connection with OpenVPN, which works on.
func (s *server) drop() {
	if s.control != nil {
		s.control.close()
		s.control = nil
	}
	if s.process != nil {
		s.process.Close()
		s.process = nil
	}
}
