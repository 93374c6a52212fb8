package lab

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"strings"
	"text/template"
	"time"
)

var configTemplate = template.Must(template.New("sluiced.yaml").Parse(`# The configuration of lab {{.Lab.Name}}'s sluiced.
listen: {{.Listen}}
{{if .TLS}}tls: auto
{{end}}data_dir: {{.Lab.DataDir}}
run_dir: {{.RunDir}}
admin_socket: {{.Lab.AdminSocket}}
regions:
  - id: {{.Region}}
    zones: [{{.Region}}-a, {{.Region}}-b]
{{range .Beside}}  - id: {{.}}
    zones: [{{.}}-a]
{{end}}public:
  - name: internet
    mode: bridge
    device: {{.Bridge}}
    namespace: {{.Namespace}}
    prefix: {{.Prefix}}
    gateway: {{.Gateway}}
    pool: [{{.First}}-{{.Last}}{{.More}}]
{{if .Classic}}classic:
  - region: {{.Region}}
    device: {{.ClassicBridge}}
    namespace: {{.Namespace}}
    prefix: {{.ClassicPrefix}}
    pool: [10.200.0.128-10.200.0.254]
{{end}}`))

// RunDir returns the directory of the daemon's sockets and ownership marks.
func (l *Lab) RunDir() string { return filepath.Join(l.Dir, "run") }

func (l *Lab) writeConfig(s *state, o Options) error {
	var text strings.Builder
	prefix, more := PublicPrefix, ""
	if o.ManyPublic {
		prefix, more = WidePrefix, ", 203.0.114.0-203.0.127.254"
	}
	err := configTemplate.Execute(&text, map[string]any{
		"Lab": l, "Listen": s.Listen, "TLS": s.TLS, "Region": s.Region, "Beside": o.Beside, "RunDir": l.RunDir(),
		"Bridge": PublicBridge, "Namespace": l.namespace(InternetHost),
		"Prefix": prefix, "Gateway": PublicGateway, "First": PoolFirst, "Last": PoolLast, "More": more, "Classic": o.Classic, "ClassicBridge": ClassicBridge, "ClassicPrefix": ClassicPrefix,
	})
	if err != nil {
		return err
	}
	text.WriteString(o.ExtraConfig)
	return os.WriteFile(l.ConfigFile(), []byte(text.String()), 0o600)
}

// StartDaemon starts sluiced and returns when it answers. It fails if it runs
// already.
func (l *Lab) StartDaemon(ctx context.Context) error {
	var p Process
	err := l.change(func(s *state) (err error) {
		if s.Daemon != nil && s.Daemon.Alive() {
			return fmt.Errorf("sluiced of lab %s runs already, as process %d", l.Name, s.Daemon.PID)
		}
		p, err = startDetached(l.Dir, "", l.LogFile(), s.Sluiced, "--config", l.ConfigFile())
		s.Daemon = &p
		return err
	})
	if err != nil {
		return err
	}
	return l.awaitDaemon(ctx, p)
}

func (l *Lab) awaitDaemon(ctx context.Context, p Process) error {
	s, err := l.state()
	if err != nil {
		return err
	}
	// A daemon that has ended will not answer any more, however long one waits.
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	return Await(ctx, "wait for sluiced", func() error {
		if !p.Alive() {
			err := fmt.Errorf("sluiced ended; its log is %s", l.LogFile())
			cancel(err)
			return err
		}
		c, err := new(net.Dialer).DialContext(ctx, "tcp", s.Listen)
		if err != nil {
			return err
		}
		c.Close()
		return l.probeAdmin(ctx)
	})
}

// stopGrace is longer than sluiced gives running requests to finish.
const stopGrace = 20 * time.Second

// StopDaemon ends sluiced with SIGTERM; what it has programmed stays.
func (l *Lab) StopDaemon() error {
	return l.endDaemon(func(p Process) error { return p.Stop(stopGrace) })
}

// KillDaemon ends sluiced with SIGKILL.
func (l *Lab) KillDaemon() error { return l.endDaemon(Process.Kill) }

func (l *Lab) endDaemon(end func(Process) error) error {
	return l.change(func(s *state) error {
		if s.Daemon == nil {
			return nil
		}
		if err := end(*s.Daemon); err != nil {
			return fmt.Errorf("sluiced of lab %s: %w", l.Name, err)
		}
		s.Daemon = nil
		return nil
	})
}

// RestartDaemon ends sluiced with SIGTERM and starts it again.
func (l *Lab) RestartDaemon(ctx context.Context) error {
	if err := l.StopDaemon(); err != nil {
		return err
	}
	return l.StartDaemon(ctx)
}

// Daemon returns the identity of the running sluiced; ok is false if none runs.
func (l *Lab) Daemon() (p Process, ok bool, err error) {
	s, err := l.state()
	if err != nil || s.Daemon == nil {
		return Process{}, false, err
	}
	return *s.Daemon, s.Daemon.Alive(), nil
}

// logTail returns the last lines of the daemon's log, for an error's text.
func (l *Lab) logTail() string {
	text, err := os.ReadFile(l.LogFile())
	if errors.Is(err, os.ErrNotExist) || len(text) == 0 {
		return ""
	}
	if err != nil {
		return fmt.Sprintf(" (%v)", err)
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "\nsluiced said last:\n  " + strings.Join(lines[max(0, len(lines)-15):], "\n  ")
}
