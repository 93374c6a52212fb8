package process

import (
	"fmt"
	"net"
	"os"
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

// TestMain is what a test has started: it holds a port until it is ended.
func TestMain(m *testing.M) {
	if os.Getenv(holding) == "" {
		os.Exit(m.Run())
	}
	if _, err := net.Listen("tcp", os.Getenv(holding)); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	fmt.Println("ready")
	select {}
}

const holding = "HOLDS_A_PORT"

// Whoever is not found any more after it was killed holds nothing any more.
func TestFindAfterKill(t *testing.T) {
	mark := "a test of " + t.Name()
	mine := func(pid int) bool { return slices.Contains(Arguments(pid), mark) }
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	port := l.Addr().String()
	for round := range 30 {
		l.Close()
		cmd := begin(t, holding+"="+port, "/proc/self/exe", mark)
		if err := cmd.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		for {
			pids, err := Find(mine)
			if err != nil {
				t.Fatal(err)
			}
			if len(pids) == 0 {
				break
			}
		}
		if l, err = net.Listen("tcp", port); err != nil {
			t.Fatalf("round %d: %v", round, err)
		}
	}
	l.Close()
}
