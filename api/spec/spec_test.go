package spec

import (
	"bytes"
	"strings"
	"testing"
	"testing/fstest"
)

func load(t *testing.T) *Catalog {
	t.Helper()
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func TestCatalogKeepsToTheForm(t *testing.T) {
	for _, line := range CheckEmbedded() {
		t.Error(line)
	}
}

func TestCatalogIsComplete(t *testing.T) {
	c := load(t)
	for family, want := range map[string]int{Aliyun: 121, Tencent3: 87, Tencent2: 140} {
		if got := len(c.Family(family).Actions()); got != want {
			t.Errorf("%s has %d actions, want %d", family, got, want)
		}
	}
	for _, f := range c.Families {
		for _, a := range f.Actions() {
			if a.Summary == "" || len(a.Source) == 0 || a.Group == "" || a.Family != f.Name {
				t.Errorf("%s %s lacks its summary, source, group or family", f.Name, a.Name)
			}
		}
	}
}

func TestSupportedActions(t *testing.T) {
	supported := map[string]bool{"vpc": true, "vrouter": true, "vswitch": true, "route-table": true, "eip": true,
		"nat-gateway": true, "dnat-table": true, "snat-table": true, "region": true}
	for _, a := range load(t).Family(Aliyun).Actions() {
		if supported[a.Group] && !a.Supported() {
			t.Errorf("%s is not marked as supported", a.Name)
		}
	}
}

func TestFieldsKeepTheirOrderAndResolve(t *testing.T) {
	f := load(t).Family(Aliyun)
	var names []string
	for _, x := range f.Action("CreateVpc").Response {
		names = append(names, x.Name)
	}
	if got, want := strings.Join(names, " "), "VpcId VRouterId RouteTableId RequestId"; got != want {
		t.Errorf("response of CreateVpc is %q, want %q", got, want)
	}
	entries := f.Action("DescribeRouteTables").Response.Get("RouteTables").Fields.Get("RouteEntrys")
	if entries == nil || entries.Item != "RouteEntry" {
		t.Fatalf("RouteTables.RouteTable[].RouteEntrys.RouteEntry[] is not resolved: %+v", entries)
	}
	if hop := entries.Fields.Get("NextHops").Fields.Get("NextHopId"); hop == nil || hop.Type != "String" {
		t.Errorf("NextHops are not resolved: %+v", hop)
	}
	if got := f.Find("createvpc"); got == nil || got.Name != "CreateVpc" {
		t.Errorf("Find(createvpc) = %v", got)
	}
	if f.Action("createvpc") != nil {
		t.Error("Action must match exactly")
	}
}

func TestCheckFindsDepartures(t *testing.T) {
	const good = `{"family":"aliyun","group":"g","actions":{"A":{"source":[{"document":"d"}],"summary":"s",
		"request":{"X":{"type":"String"}},"response":{},"errors":[]}}}`
	if lines := Check(fstest.MapFS{"aliyun/g.json": {Data: []byte(good)}}); len(lines) != 0 {
		t.Fatalf("a good file is refused: %v", lines)
	}
	for _, c := range []struct{ name, from, to, want string }{
		{"not JSON", `"family"`, `family`, "invalid character"},
		{"family", `"aliyun"`, `"other"`, "family is other"},
		{"group", `"g"`, `"h"`, "group is h"},
		{"action key", `"summary":"s"`, `"summary":"s","extra":1`, "unknown key extra"},
		{"missing key", `"summary":"s",`, ``, "no summary"},
		{"state", `"summary":"s"`, `"summary":"s","state":"maybe"`, "state is maybe"},
		{"source", `{"document":"d"}`, `{"file":"d"}`, "a source is not"},
		{"field key", `"type":"String"`, `"type":"String","typo":1`, "unknown key typo"},
		{"key type", `"type":"String"`, `"type":"String","required":"yes"`, "required is no boolean"},
		{"no type", `{"type":"String"}`, `{"notes":"n"}`, "no type"},
		{"format", `"type":"String"`, `"type":"String","format":"ipv9"`, "unknown format ipv9"},
		{"ref", `"type":"String"`, `"ref":"Nowhere"`, "ref Nowhere has no type"},
		{"error", `"errors":[]`, `"errors":[{"http":400}]`, "error without code"},
		{"message", `"type":"String"`, `"type":"String","malformed_message":"m"`, "malformed_message without malformed"},
	} {
		text := strings.Replace(good, c.from, c.to, 1)
		lines := Check(fstest.MapFS{"aliyun/g.json": {Data: []byte(text)}})
		if !strings.Contains(strings.Join(lines, "\n"), c.want) {
			t.Errorf("%s: got %q, want a line holding %q", c.name, lines, c.want)
		}
	}
	twice := fstest.MapFS{
		"aliyun/g.json": {Data: []byte(good)},
		"aliyun/h.json": {Data: []byte(strings.Replace(good, `"g"`, `"h"`, 1))},
	}
	if lines := Check(twice); len(lines) != 1 || !strings.Contains(lines[0], "stands in aliyun/g.json too") {
		t.Errorf("an action that stands twice: %q", lines)
	}
	if _, err := LoadFS(twice); err == nil {
		t.Error("LoadFS takes an action that stands twice")
	}
}

func TestDescribe(t *testing.T) {
	var b bytes.Buffer
	if err := Describe(&b, Aliyun, "createforwardentry"); err != nil {
		t.Fatal(err)
	}
	for _, want := range []string{
		"CreateForwardEntry (aliyun, dnat-table): supported",
		"ExternalPort", "required; 1 to 65535", "one of TCP, UDP, Any",
		"ForwardEntryId", "InvalidForwardTableId.NotFound", "Rules:", "States: Pending, Available, Modifying",
	} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("the description lacks %q:\n%s", want, b.String())
		}
	}
	if err := Describe(&b, Aliyun, "Nothing"); err == nil || !strings.Contains(err.Error(), `"Nothing"`) {
		t.Errorf("unknown action: %v", err)
	}
	if err := Describe(&b, "azure", "CreateVpc"); err == nil {
		t.Error("an unknown family is described")
	}
}
