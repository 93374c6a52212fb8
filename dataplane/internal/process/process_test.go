package process

import (
	"os/exec"
	"slices"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane/internal/nstest"
)

// begin starts a process in a namespace, which is reaped when it ends.
func begin(t *testing.T, env string, args ...string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(args[0], args[1:]...)
	cmd.Env = []string{env}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := cmd.StdinPipe(); err != nil { // that nobody says anything in
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	if n, err := out.Read(make([]byte, 10)); n == 0 {
		t.Fatal(err) // it says something when it is ready
	}
	reaped := make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(reaped)
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		<-reaped
	})
	return cmd
}

func TestFindAndEnd(t *testing.T) {
	mark := "a test of " + t.Name()
	script := func(trap string) []string {
		return []string{"/bin/sh", "-c", trap + "echo ready; read x", mark}
	}
	mine := func(pid int) bool { return slices.Contains(Arguments(pid), mark) }
	for name, trap := range map[string]string{"listens": "", "does not listen": "trap '' TERM; "} {
		t.Run(name, func(t *testing.T) {
			cmd := begin(t, "MARK="+name, script(trap)...)
			pid := cmd.Process.Pid
			if pids, err := Find(mine); err != nil || !slices.Equal(pids, []int{pid}) {
				t.Fatalf("found %v, %v; want %d", pids, err, pid)
			}
			if env := Environment(pid); !slices.Contains(env, "MARK="+name) {
				t.Errorf("environment %q", env)
			}
			if SameProgram(pid) || !SameProgram(unix.Getpid()) {
				t.Error("the programs are told from each other wrongly")
			}
			fd, err := unix.PidfdOpen(pid, 0)
			if err != nil {
				t.Fatal(err)
			}
			defer unix.Close(fd)
			if Ended(fd, 0) {
				t.Error("it has ended already")
			}
			if err := End(pid); err != nil {
				t.Fatal(err)
			}
			if !Ended(fd, 0) {
				t.Error("it has not ended")
			}
			nstest.Eventually(t, func() error { return End(pid) }) // reaped or not
			if pids, err := Find(mine); err != nil || len(pids) > 0 {
				t.Errorf("found %v, %v", pids, err)
			}
		})
	}
}

func TestIn(t *testing.T) {
	ns, other := nstest.New(t), nstest.New(t)
	var cmd *exec.Cmd
	if err := ns.Do(func() error { cmd = begin(t, "", "/bin/sh", "-c", "echo ready; read x"); return nil }); err != nil {
		t.Fatal(err)
	}
	if pid := cmd.Process.Pid; !In(pid, ns) || In(pid, other) {
		t.Error("it is taken to be in another namespace")
	}
}
