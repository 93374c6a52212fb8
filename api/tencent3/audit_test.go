package tencent3

import (
	"fmt"
	"log/slog"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"sluice/api/audit"
	"sluice/api/edge"
	"sluice/controlplane/planetest"
)

// recorder keeps what it is told of calls.
type recorder struct{ lines []string }

func (r *recorder) Record(e *audit.Event) {
	var list []string
	for _, m := range slices.Concat(e.Parameters, e.Elements) {
		list = append(list, m.Name+"="+m.Value)
	}
	slices.Sort(list)
	r.lines = append(r.lines, fmt.Sprintf("%s %s %s", e.Name, e.ErrorCode, strings.Join(list, " ")))
}

// TestAudit: a call is recorded with what it asked for and what it made, by the names of a
// form; what the action does not know, and what identifies the caller, is not.
func TestAudit(t *testing.T) {
	w, r := &world{Plane: planetest.New(t), t: t}, &recorder{}
	w.site = httptest.NewServer(edge.NewServer(edge.Config{
		Families: []edge.Family{NewFamily(NewService(w.Network, w.VPN, w.Templates, w.SecurityGroups, w.EIP, w.Interfaces, w.Classic), w.RAM)}, Keys: testKeys, Audit: r, Log: slog.New(slog.DiscardHandler)}))
	t.Cleanup(w.site.Close)
	w.call("CreateVpc", "VpcName", "net", "CidrBlock", "10.8.0.0/16", "DnsServers.0", "1.1.1.1")
	w.call("CreateVpc", "VpcName", "net", "Secret", "hidden")
	w.call("DescribeVpcs", "Filters.0.Name", "vpc-name", "Filters.0.Values.0", "net")
	w.call("NoSuchThing")
	vpc := ""
	for v := range w.DB.View().VPCs.All() {
		vpc = v.ID
	}
	for i, want := range []string{
		"CreateVpc  CidrBlock=10.8.0.0/16 DnsServers.0=1.1.1.1 Region=cn-beijing Vpc.CidrBlock=10.8.0.0/16",
		"CreateVpc UnknownParameter Region=cn-beijing VpcName=net",
		"DescribeVpcs  Filters.0.Name=vpc-name Filters.0.Values.0=net Region=cn-beijing",
		"NoSuchThing InvalidAction ",
	} {
		if i >= len(r.lines) || !strings.HasPrefix(r.lines[i], want) {
			t.Errorf("recorded is %q, want %q", r.lines, want)
		}
	}
	if all := strings.Join(r.lines, "\n"); !strings.Contains(all, "Vpc.VpcId="+vpc) || strings.Contains(all, "hidden") || strings.Contains(all, "Signature") {
		t.Errorf("recorded is %s", all)
	}
}
