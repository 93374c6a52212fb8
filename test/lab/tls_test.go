package lab

import (
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	vpcv6 "github.com/alibabacloud-go/vpc-20160428/v6/client"

	"sluice/api/aliyun"
	"sluice/api/certificate"
)

// TestTLS brings up a lab whose API speaks HTTPS by certificates of its own: sluicectl and
// the public client trust them by file, and go on to after a crash, which lets no write
// through again.
func TestTLS(t *testing.T) {
	requireRoot(t)
	o := programs(t)
	o.Name, o.TLS = fmt.Sprintf("slt-tls-%d", os.Getpid()), true
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
	vars, err := l.Env()
	if err != nil {
		t.Fatal(err)
	}
	values, environment := map[string]string{}, []string{"PATH=" + os.Getenv("PATH"), "HOME=" + dir}
	for _, v := range vars {
		values[v.Name] = v.Value
		environment = append(environment, v.Name+"="+v.Value)
	}
	endpoint := values["SLUICE_ENDPOINT"]
	if !strings.HasPrefix(endpoint, "https://127.0.0.1:") || values["SLUICE_CA"] != l.CAFile() {
		t.Fatalf("environment %v", values)
	}
	call := func(environment []string, args ...string) (string, error) {
		cmd := exec.CommandContext(t.Context(), o.Sluicectl, append([]string{"call"}, args...)...)
		cmd.Env = environment
		out, err := cmd.CombinedOutput()
		return string(out), err
	}
	for _, args := range [][]string{{"DescribeRegions"}, {"DescribeRegions", "--acs3"}} {
		if out, err := call(environment, args...); err != nil || !strings.Contains(out, DefaultRegion) {
			t.Errorf("call %v: %v: %s", args, err, out)
		}
	}
	for what, c := range map[string]struct {
		args []string
		want string
	}{
		"who trusts nobody": {[]string{"DescribeRegions", "--ca", "/dev/null"}, "no certificate in PEM"},
		"who trusts others": {[]string{"DescribeRegions", "--ca", otherAuthority(t)}, "name the file of its certificate with --ca or $SLUICE_CA"},
		"who speaks no TLS": {[]string{"DescribeRegions", "--endpoint", strings.Replace(endpoint, "https", "http", 1)}, "HTTP status 400"},
	} {
		if out, err := call(environment, c.args...); err == nil || !strings.Contains(out, c.want) {
			t.Errorf("%s: %v: %s; want %q", what, err, out, c.want)
		}
	}

	text, err := os.ReadFile(l.CAFile())
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"} {
		t.Setenv(name, "")
	}
	public, err := vpcv6.NewClient(&openapi.Config{
		AccessKeyId: dara.String(values["SLUICE_ACCESS_KEY_ID"]), AccessKeySecret: dara.String(values["SLUICE_ACCESS_KEY_SECRET"]),
		Endpoint: dara.String(strings.TrimPrefix(endpoint, "https://")), Ca: dara.String(string(text)),
	})
	if err != nil {
		t.Fatal(err)
	}
	regions, err := public.DescribeRegions(&vpcv6.DescribeRegionsRequest{})
	if err != nil || len(regions.Body.Regions.Region) != 1 || *regions.Body.Regions.Region[0].RegionId != DefaultRegion {
		t.Errorf("the public client: %v, %v", regions, err)
	}

	// A call that writes, recorded; after a crash it is sent again.
	c := client(t, l)
	t.Cleanup(c.HTTP.CloseIdleConnections)
	now := time.Now()
	c.Now = func() time.Time { return now }
	write := func(a aliyun.Algorithm) error {
		c.Algorithm, c.NewNonce = a, func() string { return "recorded" }
		_, err := c.Call(t.Context(), "CreateVpc", map[string]string{"RegionId": DefaultRegion, "CidrBlock": "10.0.0.0/16"})
		return err
	}
	if err := write(aliyun.ACS3); err != nil {
		t.Fatal(err)
	}
	if err := l.KillDaemon(); err != nil {
		t.Fatal(err)
	}
	if err := l.StartDaemon(t.Context()); err != nil {
		t.Fatal(err)
	}
	for _, a := range []aliyun.Algorithm{aliyun.ACS3, aliyun.HMACSHA1} {
		err := write(a)
		if e, ok := errors.AsType[*aliyun.Error](err); !ok || e.Code != "SignatureNonceUsed" {
			t.Errorf("sent again by %s after the crash: %v", a, err)
		}
	}
	if again, err := os.ReadFile(l.CAFile()); err != nil || string(again) != string(text) {
		t.Errorf("after the crash there is another authority (%v)", err)
	}
}

// otherAuthority returns the file of an authority that has nothing to do with the lab.
func otherAuthority(t *testing.T) string {
	t.Helper()
	s, err := certificate.Open(certificate.Config{
		Dir: filepath.Join(t.TempDir(), "tls"), Log: slog.New(slog.DiscardHandler), Names: func() ([]string, error) { return []string{"127.0.0.1"}, nil },
	})
	if err != nil {
		t.Fatal(err)
	}
	return s.AuthorityFile()
}
