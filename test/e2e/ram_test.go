package e2e

import (
	"errors"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

// TestUser: a user that an operator makes may do what its policy allows and nothing else,
// also after the daemon was killed; the audit log says who it was.
func TestUser(t *testing.T) {
	t.Parallel()
	g := gateways[0].another(t, "user", "")
	sluicectl := func(args ...string) string {
		t.Helper()
		cmd := exec.CommandContext(t.Context(), filepath.Join(g.others.programs, "sluicectl"), append(args, "--socket", g.AdminSocket())...)
		out, err := cmd.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %v: %s", args, err, out)
		}
		return string(out)
	}
	account := ""
	for line := range strings.Lines(sluicectl("accesskey", "list")) {
		if f := strings.Fields(line); len(f) > 1 && f[0] == g.client.AccessKeyID {
			account = f[1]
		}
	}
	id := strings.TrimSpace(sluicectl("ram", "user", "create", "alice", "--account", account))
	sluicectl("ram", "attach", "alice", "AliyunVPCReadOnlyAccess", "--account", account)
	made := regexp.MustCompile(`(?s)access key id\s+(\S+).*access key secret\s+(\S+)`).FindStringSubmatch(sluicectl("accesskey", "create", "--user", "alice", "--account", account))
	if made == nil {
		t.Fatal("no key was made")
	}
	alice := aliyun.NewClient(g.client.Endpoint, made[1], made[2])
	check := func() {
		t.Helper()
		if _, err := alice.Call(t.Context(), "DescribeVpcs", map[string]string{"RegionId": lab.DefaultRegion}); err != nil {
			t.Errorf("what the policy allows: %v", err)
		}
		_, err := alice.Call(t.Context(), "CreateVpc", map[string]string{"RegionId": lab.DefaultRegion, "CidrBlock": "10.0.0.0/16"})
		if refused := (*aliyun.CallError)(nil); !errors.As(err, &refused) || refused.Refusal.Code != "Forbidden.RAM" {
			t.Errorf("what it does not allow: %v", err)
		}
	}
	check()
	g.killDaemon(t)
	g.startDaemon(t)
	check()
	seen := sluicectl("audit", "--user", id)
	for _, want := range []string{"ram-user/", "/alice/" + made[1], " DescribeVpcs ", " CreateVpc ", "Forbidden.RAM"} {
		if strings.Count(seen, want) < 2 {
			t.Errorf("%q does not stand twice in the audit log:\n%s", want, seen)
		}
	}
	if strings.Contains(sluicectl("audit"), made[2]) {
		t.Error("the key's secret is in the audit log")
	}
	sluicectl("accesskey", "delete", made[1])
	sluicectl("ram", "detach", "alice", "AliyunVPCReadOnlyAccess", "--account", account)
	sluicectl("ram", "user", "delete", "alice", "--account", account)
	if _, err := alice.Call(t.Context(), "DescribeVpcs", map[string]string{"RegionId": lab.DefaultRegion}); err == nil {
		t.Error("a deleted key is still taken")
	}
}
