package lab

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"sluice/api/admin"
	"sluice/api/aliyun"
	"sluice/dataplane"
	"sluice/dataplane/netns"
)

// up brings up a lab with the programs of this source tree.
func up(t *testing.T, number int) (*Lab, Options) {
	t.Helper()
	requireRoot(t)
	o := programs(t)
	o.Name = fmt.Sprintf("slt-up%d-%d", number, os.Getpid())
	// Not below t.TempDir, whose name may be too long for a socket.
	dir, err := os.MkdirTemp("", "slt-")
	if err != nil {
		t.Fatal(err)
	}
	o.Dir = filepath.Join(dir, "lab")
	l, err := Up(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		down(t, l)
		if err := os.Remove(dir); err != nil {
			t.Error(err)
		}
	})
	return l, o
}

// vswitch makes a VPC with a VSwitch and returns their ids.
func vswitch(t *testing.T, l *Lab) (vpc, vsw string) {
	t.Helper()
	c := client(t, l)
	var made struct{ VpcId, VSwitchId string }
	err := c.CallInto(t.Context(), "CreateVpc", map[string]string{"RegionId": DefaultRegion, "CidrBlock": "10.0.0.0/16"}, &made)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
	defer cancel()
	err = Await(ctx, "make a VSwitch", func() error {
		return c.CallInto(ctx, "CreateVSwitch", map[string]string{
			"ZoneId": DefaultRegion + "-a", "VpcId": made.VpcId, "CidrBlock": "10.0.1.0/24",
		}, &made)
	})
	if err != nil {
		t.Fatal(err)
	}
	return made.VpcId, made.VSwitchId
}

func client(t *testing.T, l *Lab) *aliyun.Client {
	t.Helper()
	c, err := l.Client()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestHostsOfAVSwitch(t *testing.T) {
	l, _ := up(t, 1)
	vpc, vsw := vswitch(t, l)
	web, err := l.HostAdd(t.Context(), HostOptions{Name: "web", VSwitch: vsw, Serve: true})
	if err != nil {
		t.Fatal(err)
	}
	if web.Address != netip.MustParsePrefix("10.0.1.1/24") || web.Gateway != netip.MustParseAddr("10.0.1.253") || web.VPC != vpc {
		t.Errorf("host is %+v", web)
	}
	worker, err := l.HostAdd(t.Context(), HostOptions{Name: "worker", VSwitch: vsw, InstanceID: "i-1", IP: netip.MustParseAddr("10.0.1.50"),
		Further: []netip.Addr{netip.MustParseAddr("10.0.1.51"), netip.MustParseAddr("10.0.1.60")}})
	if err != nil {
		t.Fatal(err)
	}
	a, err := l.Get(t.Context(), "worker", "http://10.0.1.1/")
	if err != nil || a.Server != "web" || !strings.HasPrefix(a.Body, "10.0.1.50:") {
		t.Errorf("worker got %+v from web, %v", a, err)
	}
	inventory := instances(t, l)
	if got := inventory["i-web"]; got.PrivateIP != "10.0.1.1" || got.MAC != web.MAC || got.VSwitch != vsw {
		t.Errorf("the inventory has web as %+v", got)
	}
	if got := inventory["i-1"]; got.PrivateIP != worker.IP().String() || len(got.Interfaces) != 1 || len(got.Interfaces[0].Addresses) != 3 || got.Interfaces[0].Addresses[2].Address != "10.0.1.60" {
		t.Errorf("the inventory has worker as %+v", got)
	}

	// What fails leaves nothing.
	for name, o := range map[string]HostOptions{
		"a taken name":      {Name: "web", VSwitch: vsw},
		"a taken address":   {Name: "other", VSwitch: vsw, IP: worker.IP()},
		"a taken further":   {Name: "other", VSwitch: vsw, Further: worker.Further[1:]},
		"one twice":         {Name: "other", VSwitch: vsw, IP: netip.MustParseAddr("10.0.1.80"), Further: []netip.Addr{netip.MustParseAddr("10.0.1.80")}},
		"a taken id":        {Name: "other", VSwitch: vsw, InstanceID: "i-1"},
		"an unusable id":    {Name: "other", VSwitch: vsw, InstanceID: "1"},
		"no VSwitch":        {Name: "other", VSwitch: "vsw-none"},
		"an unusable name":  {Name: "a/b", VSwitch: vsw},
		"the gateway's own": {Name: "other", VSwitch: vsw, IP: web.Gateway},
	} {
		if _, err := l.HostAdd(t.Context(), o); err == nil {
			t.Errorf("%s: no error", name)
		}
		if there, err := exists(l.namespace("other")); err != nil || there {
			t.Errorf("%s: a namespace is left (%v)", name, err)
		}
	}
	if n := len(instances(t, l)); n != 2 {
		t.Errorf("the inventory has %d instances, want 2", n)
	}

	if err := l.HostRemove(t.Context(), "worker"); err != nil {
		t.Fatal(err)
	}
	if _, there := instances(t, l)["i-1"]; there {
		t.Error("the removed host is in the inventory")
	}
	err = inNamespace(dataplane.Namespace(vpc), func(nl *netlink.Handle, _ *netns.Namespace) error {
		if _, err := nl.LinkByName(portName("web")); err != nil {
			return fmt.Errorf("port of web: %w", err)
		}
		if _, err := nl.LinkByName(portName("worker")); err == nil {
			return errors.New("the port of the removed host is left")
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

// TestHostPlug: a host has the network interfaces that are attached to its instance, by which
// it is reached, and no longer those that are detached.
func TestHostPlug(t *testing.T) {
	l, _ := up(t, 1)
	vpc, vsw := vswitch(t, l)
	for _, o := range []HostOptions{{Name: "web", VSwitch: vsw, Serve: true}, {Name: "worker", VSwitch: vsw}} {
		if _, err := l.HostAdd(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	c, err := l.TencentClient()
	if err != nil {
		t.Fatal(err)
	}
	defer c.HTTP.CloseIdleConnections()
	call := func(action string, params map[string]string, into any) {
		t.Helper()
		answer, err := c.Call(t.Context(), action, params)
		if err == nil && into != nil {
			err = json.Unmarshal(answer, into)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	var made struct {
		NetworkInterface struct{ NetworkInterfaceId string }
	}
	call("CreateNetworkInterface", map[string]string{"VpcId": vpc, "SubnetId": vsw, "NetworkInterfaceName": "second",
		"PrivateIpAddresses.0.PrivateIpAddress": "10.0.1.70", "PrivateIpAddresses.0.Primary": "true", "PrivateIpAddresses.1.PrivateIpAddress": "10.0.1.71"}, &made)
	at := map[string]string{"NetworkInterfaceId": made.NetworkInterface.NetworkInterfaceId, "InstanceId": "i-web"}
	plugged := func(want ...string) {
		t.Helper()
		for range 2 { // the second time changes nothing
			if links, err := l.HostPlug(t.Context(), "web"); err != nil || !slices.Equal(links, want) {
				t.Fatalf("web has %v, %v; want %v", links, err, want)
			}
		}
	}
	reached := func(address string) error {
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		_, err := l.Get(ctx, "worker", "http://"+address+"/")
		if errors.Is(err, unix.ECONNREFUSED) {
			return nil // by the host: its server is at the first address alone
		}
		return err
	}
	plugged("eth0")
	call("AttachNetworkInterface", at, nil)
	plugged("eth0", "eth1")
	for _, address := range []string{"10.0.1.70", "10.0.1.71"} {
		if err := reached(address); err != nil {
			t.Errorf("%s: %v", address, err)
		}
	}
	call("UnassignPrivateIpAddresses", map[string]string{"NetworkInterfaceId": at["NetworkInterfaceId"], "PrivateIpAddresses.0.PrivateIpAddress": "10.0.1.71"}, nil)
	plugged("eth0", "eth1")
	if err := reached("10.0.1.71"); err == nil {
		t.Error("an address that was taken back is reached")
	}
	call("DetachNetworkInterface", at, nil)
	plugged("eth0")
	if err := reached("10.0.1.70"); err == nil {
		t.Error("a detached interface is reached")
	}
}

func instances(t *testing.T, l *Lab) map[string]admin.Instance {
	t.Helper()
	c, err := l.Admin()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	list, err := c.Instances(t.Context(), admin.InstanceFilter{})
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]admin.Instance{}
	for _, i := range list {
		out[i.ID] = i
	}
	return out
}

// TestDaemonComesAndGoes kills sluiced, starts it again, and takes the lab down
// while it is dead.
func TestDaemonComesAndGoes(t *testing.T) {
	l, o := up(t, 2)
	if _, err := Up(t.Context(), o); !errors.Is(err, ErrUp) {
		t.Errorf("a second Up: %v", err)
	}
	vpc, vsw := vswitch(t, l)
	if _, err := l.HostAdd(t.Context(), HostOptions{Name: "web", VSwitch: vsw}); err != nil {
		t.Fatal(err)
	}
	before, alive, err := l.Daemon()
	if err != nil || !alive {
		t.Fatalf("daemon: %v, %v", alive, err)
	}
	if err := l.StartDaemon(t.Context()); err == nil {
		t.Error("a second sluiced was started")
	}
	if err := l.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	if before.Alive() {
		t.Fatal("sluiced runs after KillDaemon")
	}
	if _, err := Up(t.Context(), o); err == nil || errors.Is(err, ErrUp) {
		t.Errorf("Up over what a dead daemon left: %v", err)
	}
	if err := l.StartDaemon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := l.RestartDaemon(t.Context()); err != nil {
		t.Fatal(err)
	}
	if after, alive, err := l.Daemon(); err != nil || !alive || after == before {
		t.Errorf("daemon is %+v, %v, %v", after, alive, err)
	}
	if _, err := l.HostAdd(t.Context(), HostOptions{Name: "worker", VSwitch: vsw}); err != nil {
		t.Errorf("add a host after the restart: %v", err)
	}
	if err := l.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	down(t, l)
	if there, err := exists(dataplane.Namespace(vpc)); err != nil || there {
		t.Errorf("the VPC's namespace is left (%v)", err)
	}
}

// TestUpThatFailsLeavesNothing has a configuration that sluiced refuses.
func TestUpThatFailsLeavesNothing(t *testing.T) {
	requireRoot(t)
	o := programs(t)
	dir, err := os.MkdirTemp("", "slt-")
	if err != nil {
		t.Fatal(err)
	}
	defer os.Remove(dir)
	o.Name, o.Dir = fmt.Sprintf("slt-bad-%d", os.Getpid()), filepath.Join(dir, "lab")
	o.ExtraConfig = "nonsense: true\n"
	l, err := Up(t.Context(), o)
	if err == nil {
		down(t, l)
		t.Fatal("sluiced started with a wrong configuration")
	}
	// It does not wait for a daemon that has ended, and tells what that said.
	if !strings.Contains(err.Error(), "nonsense") || !strings.Contains(err.Error(), "sluiced ended") {
		t.Errorf("the error does not tell what happened: %v", err)
	}
	down(t, &Lab{Name: o.Name, Dir: o.Dir})
}

// TestExecPassesOn runs commands by way of sluicectl, as a user does.
func TestExecPassesOn(t *testing.T) {
	l, o := up(t, 3)
	sluicectl := func(args ...string) *exec.Cmd {
		cmd := exec.CommandContext(t.Context(), o.Sluicectl, args...)
		cmd.Env = append(os.Environ(), "SLUICE_LAB=")
		return cmd
	}
	flags := []string{"lab", "exec", "--name", l.Name, "--dir", l.Dir, InternetHost, "--"}
	cmd := sluicectl(append(flags, "sh", "-c", "cat; exit 7")...)
	cmd.Stdin = strings.NewReader("passed on")
	out, err := cmd.Output()
	var exit *exec.ExitError
	if !errors.As(err, &exit) || exit.ExitCode() != 7 || string(out) != "passed on" {
		t.Errorf("printed %q, %v", out, err)
	}
	out, err = sluicectl(append(flags, o.Sluicectl, "lab", "get", "http://203.0.113.1/")...).Output()
	if err != nil || !strings.HasPrefix(string(out), "203.0.113.1:") {
		t.Errorf("printed %q, %v", out, err)
	}
	out, err = sluicectl(append(flags, "no-such-program")...).CombinedOutput()
	if !errors.As(err, &exit) || exit.ExitCode() != 2 || !strings.Contains(string(out), "no-such-program") {
		t.Errorf("printed %q, %v", out, err)
	}

	// A shell takes the environment as it is printed.
	script := `eval "$("$0" lab up --name "$1" --dir "$2" --env 2>/dev/null)" && "$0" call DescribeRegions --get Regions.Region.0.RegionId && "$0" status`
	out, err = exec.CommandContext(t.Context(), "sh", "-c", script, o.Sluicectl, l.Name, l.Dir).Output()
	if err != nil || !strings.HasPrefix(string(out), DefaultRegion+"\n") || !strings.Contains(string(out), "ready") {
		t.Errorf("printed %q, %v", out, err)
	}
}
