package main

import (
	"flag"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"sluice/api/spec"
	"sluice/api/spec/specgen/aliyun"
)

var rewrite = flag.Bool("update", false, "rewrite the golden files")

// generated is what the catalog says, by file: generated once for all tests, which do
// not change it.
var generated = sync.OnceValues(generate)

// TestGolden generates from a tiny catalog that uses every key of the form, and
// from a sample of another family, which an emitter of this test writes.
func TestGolden(t *testing.T) {
	c, err := spec.LoadFS(os.DirFS("testdata/catalog"))
	if err != nil {
		t.Fatal(err)
	}
	files, err := Generate(c, []Emitter{aliyun.Emitter{}, sample{}})
	if err != nil {
		t.Fatal(err)
	}
	var names []string
	for name, text := range files {
		golden := filepath.Join("testdata", "golden", filepath.Base(name)+".txt")
		names = append(names, filepath.Base(golden))
		if *rewrite {
			if err := os.MkdirAll(filepath.Dir(golden), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(golden, text, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(golden)
		if err != nil {
			t.Fatal(err)
		}
		if string(text) != string(want) {
			t.Errorf("%s differs from %s; look at the difference, then run: go test ./api/spec/specgen -update\n%s", name, golden, text)
		}
	}
	slices.Sort(names)
	want := []string{"actions.md.txt", "zz_generated_actions.go.txt", "zz_generated_errors.go.txt", "zz_generated_lakes.go.txt", "zz_generated_recordable.go.txt", "zz_generated_sample.go.txt"}
	if !slices.Equal(names, want) {
		t.Errorf("generated %v, want %v", names, want)
	}
}

func TestGenerateIsDeterministic(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	first, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	second, err := generate()
	if err != nil {
		t.Fatal(err)
	}
	for name := range first {
		if string(first[name]) != string(second[name]) {
			t.Errorf("%s comes out differently the second time", name)
		}
	}
}

func TestNothingIsStale(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all, or make lint")
	}
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	if err := update("../../..", files, true); err != nil {
		t.Fatal(err)
	}
}

func TestStaleFilesAreFoundAndWritten(t *testing.T) {
	if testing.Short() {
		t.Skip("takes long: make test-all")
	}
	files, err := generated()
	if err != nil {
		t.Fatal(err)
	}
	root := t.TempDir()
	if err := update(root, files, true); err == nil {
		t.Fatal("an empty tree counts as up to date")
	}
	if err := update(root, files, false); err != nil {
		t.Fatal(err)
	}
	if err := update(root, files, true); err != nil {
		t.Fatalf("stale right after writing: %v", err)
	}
	changed := filepath.Join(root, "api/aliyun/zz_generated_vpc.go")
	left := filepath.Join(root, "api/aliyun/zz_generated_gone.go")
	for _, p := range []string{changed, left} {
		if err := os.WriteFile(p, []byte("package aliyun\n"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	stale, err := Stale(root, emitters, files)
	if err != nil {
		t.Fatal(err)
	}
	if want := []string{"api/aliyun/zz_generated_gone.go", "api/aliyun/zz_generated_vpc.go"}; !slices.Equal(stale, want) {
		t.Errorf("stale: %v, want %v", stale, want)
	}
	if err := update(root, files, false); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(left); !os.IsNotExist(err) {
		t.Errorf("a file that nothing generates is left: %v", err)
	}
}

func TestGenerateRefuses(t *testing.T) {
	const text = `{"family":"aliyun","group":"g","wire":{"version":"1","action":{"in":"parameter","name":"Action"},"parameters":["form"],"first_index":1},"actions":{"MakeA":{"source":[],"summary":"s","state":"supported",
		"request":{"X":{"type":"String"}},"response":{"RequestId":{"type":"String"}},
		"errors":[{"http":400,"code":"C","message":"one"},{"http":400,"code":"C","message":"two"}]}}}`
	for _, c := range []struct{ name, from, to, want string }{
		{"unknown code", `"type":"String"}},"resp`, `"type":"String","missing":"No.Such"}},"resp`, "No.Such"},
		{"ambiguous message", `"type":"String"}},"resp`, `"type":"String","malformed":"C"}},"resp`, "several messages"},
		{"wrong message", `"type":"String"}},"resp`, `"type":"String","malformed":"C","malformed_message":"three"}},"resp`, "three"},
		{"response type", `"RequestId":{"type":"String"}`, `"RequestId":{"type":"Blob"}`, "Blob"},
		{"deep index", `"X":`, `"X.N.Y.N.Z":`, "List.N.Member"},
		{"default", `"type":"String"}},"resp`, `"type":"Integer","default":"many"}},"resp`, "many"},
		{"object", `"X":`, `"X.Y":`, "only values and lists"},
		{"two things", `"X":`, `"X.N":{"type":"String"},"X":`, "something else already"},
		{"wire", `"form"`, `"json"`, "only requests whose parameters are a form"},
		{"no wire", `"wire"`, `"wires"`, "does not say how requests"},
		{"default address", `"type":"String"}},"resp`, `"type":"String","format":"ipv4","default":"10.0.0.256"}},"resp`, "10.0.0.256"},
		{"default block", `"type":"String"}},"resp`, `"type":"String","format":"cidr","default":"10.0.0.0"}},"resp`, "10.0.0.0"},
		{"word for an address", `"type":"String"}},"resp`, `"type":"String","format":"ipv4","literals":["Any"]}},"resp`, "in the place of an address"},
		{"words for a list", `"type":"String"}},"resp`, `"type":"String","format":"cidr-list","literals":["None","All"]}},"resp`, "only one that empties it"},
	} {
		changed := strings.Replace(text, c.from, c.to, 1)
		if changed == text {
			t.Fatalf("%s: nothing was changed", c.name)
		}
		catalog, err := spec.LoadFS(fstest.MapFS{"aliyun/g.json": {Data: []byte(changed)}})
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Generate(catalog, emitters); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: error %v, want one holding %q", c.name, err, c.want)
		}
	}
}

// TestEveryFamilyIsEmitted: a supported action that nothing generates would be
// one that the daemon does not answer.
func TestEveryFamilyIsEmitted(t *testing.T) {
	c, err := spec.LoadFS(os.DirFS("testdata/catalog"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Generate(c, []Emitter{aliyun.Emitter{}}); err == nil || !strings.Contains(err.Error(), "family tencent3 has supported actions") {
		t.Errorf("a family without an emitter: %v", err)
	}
	if _, err := Generate(&spec.Catalog{}, emitters); err == nil || !strings.Contains(err.Error(), "no family aliyun") {
		t.Errorf("an emitter without a family: %v", err)
	}
}
