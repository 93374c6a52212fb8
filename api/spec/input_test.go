package spec

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"testing/fstest"
)

// String writes an input as its shape: name, name[…] for a list, name{…} for an object.
func (in *Input) String() string {
	switch in.Shape {
	case List:
		return fmt.Sprintf("%s[%s]", in.Name, in.Item)
	case Object:
		var parts []string
		for _, m := range in.Members {
			parts = append(parts, m.String())
		}
		return in.Name + "{" + strings.Join(parts, " ") + "}"
	}
	return in.Name
}

func inputs(t *testing.T, request string) (string, error) {
	t.Helper()
	var f Fields
	if err := json.Unmarshal([]byte(request), &f); err != nil {
		t.Fatal(err)
	}
	list, err := f.Inputs()
	return (&Input{Shape: Object, Members: list}).String(), err
}

func TestInputs(t *testing.T) {
	const s = `{"type":"String"}`
	for request, want := range map[string]string{
		`{"A":` + s + `,"B":` + s + `}`:                                     "{A B}",
		`{"A.N":` + s + `}`:                                                 "{A[]}",
		`{"A.N.X":` + s + `,"A.N.Y":` + s + `,"B":` + s + `}`:               "{A[{X Y}] B}",
		`{"Filters.N.Name":` + s + `,"Filters.N.Values.N":` + s + `}`:       "{Filters[{Name Values[]}]}",
		`{"A.X.N.Y.Z":` + s + `,"A.X.N.Y.V":` + s + `,"A.W":` + s + `}`:     "{A{X[{Y{Z V}}] W}}",
		`{"A.N":{"type":"Array"},"A.N.X":` + s + `}`:                        "{A[{X}]}",
		`{"A":{"type":"Filter","list":true,"fields":{"X":` + s + `}}}`:      "{A[{X}]}",
		`{"A":{"type":"Prepaid","fields":{"X":` + s + `,"Y.N":` + s + `}}}`: "{A{X Y[]}}",
		`{"A":{"type":"String","list":true}}`:                               "{A[]}",
		`{"A.N.N":` + s + `}`:                                               "{A[[]]}",
	} {
		got, err := inputs(t, request)
		if err != nil || got != want {
			t.Errorf("%s: %s %v, want %s", request, got, err, want)
		}
	}
	for request, want := range map[string]string{
		`{"A":` + s + `,"A.N":` + s + `}`:     "A.N: A is something else already",
		`{"A.N":` + s + `,"A.N.X":` + s + `}`: "A.N.X: A.N is something else already",
		`{"A.X":` + s + `,"A.N":` + s + `}`:   "A.N: A is something else already",
		`{"A.N.X":` + s + `,"A":` + s + `}`:   "A: A is something else already",
		`{"A..X":` + s + `}`:                  "a part of the name is missing",
		`{"N.X":` + s + `}`:                   "a part of the name is missing",
	} {
		if got, err := inputs(t, request); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %s %v, want %s", request, got, err, want)
		}
	}
}

// TestInputsOfTheFamilies: the names of every action fit together; but for one
// of the oldest family, which takes one value or several under one name.
func TestInputsOfTheFamilies(t *testing.T) {
	for _, f := range load(t).Families {
		for _, a := range f.Actions() {
			list, err := a.Request.Inputs()
			if odd := f.Name == Tencent2 && a.Name == "AssociateRouteTable"; (err != nil) != odd {
				t.Errorf("%s %s: %v", f.Name, a.Name, err)
			}
			if err == nil && (len(list) == 0) != (len(a.Request) == 0) {
				t.Errorf("%s %s: %d inputs of %d parameters", f.Name, a.Name, len(list), len(a.Request))
			}
		}
	}
	list, err := load(t).Family(Tencent3).Action("DescribeAddresses").Request.Inputs()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := (&Input{Shape: Object, Members: list}).String(), "{AddressIds[] Filters[{Name Values[]}] Offset Limit}"; got != want {
		t.Errorf("DescribeAddresses: %s, want %s", got, want)
	}
}

func TestKinds(t *testing.T) {
	for text, want := range map[string]Kind{
		`{"type":"String"}`:                                                 Text,
		`{"type":"String","enum":["true","false"]}`:                         Boolean,
		`{"type":"Bool"}`:                                                   Boolean,
		`{"type":"String","format":"ipv4"}`:                                 Address,
		`{"type":"Array of String","format":"cidr"}`:                        Block,
		`{"type":"String","format":"ip-list"}`:                              Addresses,
		`{"type":"String","format":"cidr-list"}`:                            Blocks,
		`{"type":"Array of Integer"}`:                                       Number,
		`{"type":"String","format":"port","min":1}`:                         Text,
		`{"type":"String","min":1}`:                                         Number,
		`{"type":"String","format":"json","members":{"A":{"type":"Long"}}}`: JSONObject,
	} {
		var f Field
		if err := json.Unmarshal([]byte(text), &f); err != nil {
			t.Fatal(err)
		}
		if got := f.Kind(); got != want {
			t.Errorf("%s is of kind %d, want %d", text, got, want)
		}
	}
}

func TestWire(t *testing.T) {
	const good = `{"family":"aliyun","group":"g","wire":{"version":"1","action":{"in":"header","name":"X-Action"},"parameters":["json"],"first_index":0},
		"actions":{"A":{"source":[],"summary":"s","request":{"X.N.Y":{"type":"String"}},"response":{},"errors":[]}}}`
	files := fstest.MapFS{"aliyun/g.json": {Data: []byte(good)}}
	if lines := Check(files); len(lines) != 0 {
		t.Fatalf("a good file is refused: %v", lines)
	}
	c, err := LoadFS(files)
	if err != nil {
		t.Fatal(err)
	}
	if w := c.Family(Aliyun).Wire; w == nil || w.Action != (Place{InHeader, "X-Action"}) || w.Version != "1" || w.Parameters[0] != JSON {
		t.Errorf("wire %+v", w)
	}
	for _, x := range []struct{ from, to, want string }{
		{`"version":"1",`, ``, "wire has no version"},
		{`"version":"1"`, `"version":1`, "version of wire is no string"},
		{`"first_index":0`, `"first_index":2`, "first_index of wire is 2"},
		{`"in":"header"`, `"in":"cookie"`, "action of wire is not"},
		{`["json"]`, `["xml"]`, "written as xml"},
		{`["json"]`, `[]`, "no way to write parameters"},
		{`"version":"1"`, `"version":"1","port":1`, "unknown key port of wire"},
		{`"X.N.Y":{"type":"String"}`, `"X.N.Y":{"type":"String"},"X":{"type":"String"}`, "parameter X: X is something else already"},
	} {
		text := strings.Replace(good, x.from, x.to, 1)
		if lines := strings.Join(Check(fstest.MapFS{"aliyun/g.json": {Data: []byte(text)}}), "\n"); !strings.Contains(lines, x.want) {
			t.Errorf("%s: got %q, want a line holding %q", x.to, lines, x.want)
		}
	}
	twice := fstest.MapFS{"aliyun/g.json": {Data: []byte(good)}, "aliyun/h.json": {Data: []byte(strings.NewReplacer(`"g"`, `"h"`, `"A"`, `"B"`).Replace(good))}}
	if _, err := LoadFS(twice); err == nil || !strings.Contains(err.Error(), "wire stands twice") {
		t.Errorf("a wire that stands twice: %v", err)
	}
}
