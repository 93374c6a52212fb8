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
		got := 0
		for _, a := range c.Family(family).Actions() {
			if !a.Extension && a.Service == "" {
				got++
			}
		}
		if got != want {
			t.Errorf("%s has %d documented actions, want %d", family, got, want)
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

// TestServices: actions of another service are counted, found and written apart.
func TestServices(t *testing.T) {
	f := load(t).Family(Aliyun)
	n := 0
	for _, a := range f.Actions() {
		if a.Service == "ram" {
			n++
		}
	}
	if s, ok := f.Service("ram"); n != 66 || !ok || s.Version != "2015-05-01" {
		t.Errorf("%d actions of RAM, %+v", n, s)
	}
	own, other := f.Find("ListTagResources"), f.Find("RAM:listtagresources")
	if own == nil || other == nil || own.Key() != "ListTagResources" || other.Key() != "ram:ListTagResources" {
		t.Errorf("%+v, %+v", own, other)
	}
	if f.Find("CreateUser") != nil {
		t.Error("an action of another service is found as one of the family's own")
	}
	action := `{"source":[{"document":"d"}],"summary":"s","request":{},"response":{},"errors":[]}`
	for text, want := range map[string]string{
		`{"family":"x","group":"a","service":"none","actions":{"A":` + action + `}}`:                              "services does not have",
		`{"family":"x","group":"a","services":{"s":{"version":"1"}},"actions":{}}`:                                "no title",
		`{"family":"x","group":"a","services":{"s":{"version":"1","title":"S"},"r":{"version":"1","title":"R"}}}`: "which is that of s",
	} {
		if _, err := LoadFS(fstest.MapFS{"x/a.json": {Data: []byte(text)}}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", text, err, want)
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
	if got, want := strings.Join(names, " "), "VpcId VRouterId RouteTableId ResourceGroupId RequestId"; got != want {
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

// TestExclusions reads a small catalog: what is not served covers what is below it, the
// family's holds where an action does not take the parameter, and what is in no list
// comes out.
func TestExclusions(t *testing.T) {
	const text = `{"family": "f", "group": "g",
		"unserved": {"DryRun": {"served": ["false"], "why": "w"}, "Level": "w"}, "ignored": {"Language": "w"}, "absent": {"Ipv6": "w"},
		"types": {"CommonRequest": {"fields": {"Owner": {"type": "String"}}}},
		"actions": {"A": {"source": [], "summary": "s", "state": "supported",
			"unserved": {"Tunnel": "w"}, "ignored": {"Level": "w"}, "absent": {"List.Item.Fee": "w"},
			"request": {"Tag.N.Key": {"type": "String"}, "DryRun": {"type": "Boolean"}},
			"response": {"List": {"type": "L", "list": true, "item": "Item", "fields": {"Id": {"type": "String", "wire_aliases": ["ID"]}}}},
			"errors": []}, "B": {"source": [], "summary": "s", "request": {}, "response": {}, "errors": []}}}`
	c, err := LoadFS(fstest.MapFS{"f/g.json": {Data: []byte(text)}})
	if err != nil {
		t.Fatal(err)
	}
	f := c.Family("f")
	var refused []string
	for _, a := range f.Actions() {
		for _, u := range f.Refused(a) {
			refused = append(refused, a.Name+" "+u.Name)
		}
	}
	if got, want := strings.Join(refused, ", "), "A Tunnel, B DryRun, B Level"; got != want {
		t.Errorf("refused: %s, want %s", got, want)
	}
	parameters, members := f.Unexplained(f.Action("A"),
		[]string{"Tag.N", "tag.N.Key", "Owner", "DryRun", "Level", "Language", "Tunnel.N.Key", "Tunnels", "Other"},
		[]string{"List", "List.Item", "List.Item.Id", "List.Item.ID", "List.Item.Fee", "List.Item.Fee.Paid", "List.Item.Ipv6", "List.Item.id", "New"})
	if got, want := strings.Join(parameters, " "), "Tunnels Other"; got != want {
		t.Errorf("unexplained parameters: %s, want %s", got, want)
	}
	if got, want := strings.Join(members, " "), "List.Item.id New"; got != want {
		t.Errorf("unexplained members: %s, want %s", got, want)
	}
}

// TestExclusionsAreChecked: a list that contradicts itself or the request is named.
func TestExclusionsAreChecked(t *testing.T) {
	for excluded, want := range map[string]string{
		`"unserved": {"P": "w"}`:                        "parameter P is in the request, and excluded",
		`"ignored": {"P": "w"}`:                         "parameter P is in the request, and excluded",
		`"unserved": {"X": "w"}, "ignored": {"X": "w"}`: "parameter X is excluded twice",
		`"absent": {"M": " "}`:                          "M is excluded without a reason",
	} {
		text := `{"family": "f", "group": "g", "wire": {"version": "1", "action": {"in": "parameter", "name": "Action"}, "parameters": ["form"], "first_index": 1},
			"actions": {"A": {"source": [], "summary": "s", ` + excluded + `, "request": {"P": {"type": "String"}}, "response": {}, "errors": []}}}`
		lines := Check(fstest.MapFS{"f/g.json": {Data: []byte(text)}})
		if !strings.Contains(strings.Join(lines, "\n"), want) {
			t.Errorf("%s: %q, want %q", excluded, lines, want)
		}
	}
}
