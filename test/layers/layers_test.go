// Package layers holds the tree to its architecture: what may import what.
package layers

import (
	"errors"
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// rules say, by folder, what must not be imported from there, be it by way of others.
var rules = []struct {
	in, never, why string
}{
	{"sluice/dataplane/", "sluice/controlplane/", "the dataplane knows no resources"},
	{"sluice/dataplane/", "sluice/api/", "the dataplane knows no wire words"},
	{"sluice/dataplane/", "sluice/config", "the dataplane is told what it has to do, not how the operator wrote it"},
	{"sluice/controlplane/", "sluice/api/", "rules know no wire words"},
	{"sluice/controlplane/", "sluice/config", "rules know settings, not the file that they stand in"},
	{"sluice/controlplane/", "sluice/dataplane/", "the control plane hands over plain data (package dataplane) and never touches the kernel"},
	{"sluice/controlplane/", "encoding/xml", "rules know no wire words"},
	{"sluice/controlplane/", "net/http", "rules know no wire words"},
	{"sluice/controlplane/", "github.com/vishvananda/netlink", "the control plane never touches the kernel"},
	{"sluice/controlplane/", "github.com/google/nftables", "the control plane never touches the kernel"},
	{"sluice/controlplane/", "github.com/cilium/ebpf", "the control plane never touches the kernel"},
	{"sluice/api/", "sluice/dataplane/", "a handler never touches the kernel"},
	{"sluice/api/spec", "sluice/controlplane/", "the catalog is data"},
	{"sluice/api/edge", "sluice/api/", "what families share knows none of them"},
	{"sluice/api/audit", "sluice/api/", "the audit log knows no format of requests"},
	{"sluice/config", "sluice/api/", "the configuration knows no wire words"},
	{"sluice/dataplane.", "github.com/", "the dataplane's input is plain data"},
}

// plain is the form of what the dataplane is handed: it is part of package dataplane's
// data, and touches no kernel.
const plain = "sluice/dataplane/sorted"

// auditLog is the package that the edge and the admin socket give what they record.
const auditLog = "sluice/api/audit"

// direct are those that hold for the package's own imports alone.
var direct = []struct {
	in, never, why string
}{
	{"sluice/api/", "sluice/controlplane/store", "a handler goes by the services"},
}

func TestImports(t *testing.T) {
	for from, imports := range list(t, "Deps") {
		for _, to := range imports {
			for _, r := range rules {
				if within(from, r.in) && within(to, r.never) && to != plain && to != auditLog {
					t.Errorf("%s imports %s, itself or by way of others: %s", from, to, r.why)
				}
			}
		}
	}
	for from, imports := range list(t, "Imports") {
		for _, to := range imports {
			for _, r := range direct {
				if within(from, r.in) && within(to, r.never) {
					t.Errorf("%s imports %s: %s", from, to, r.why)
				}
			}
		}
	}
}

// kit is the package that the wire families are built on.
const kit = "sluice/api/edge"

// TestFamilies: a wire family imports no other one, itself or by way of others.
func TestFamilies(t *testing.T) {
	imports, deps := list(t, "Imports"), list(t, "Deps")
	if len(families(imports)) == 0 {
		t.Errorf("no package of sluice/api/ imports %s", kit)
	}
	for _, line := range mixed(imports, deps) {
		t.Error(line)
	}
	// The rule catches what it is there for.
	imports["sluice/api/one"], imports["sluice/api/other"] = []string{kit, "sluice/api/shared"}, []string{kit}
	deps["sluice/api/one"], deps["sluice/api/other"] = []string{kit, "sluice/api/shared", "sluice/api/other"}, []string{kit}
	if got := mixed(imports, deps); !slices.Equal(got, []string{"the family sluice/api/one imports another one, sluice/api/other"}) {
		t.Errorf("a family that imports another one: %q", got)
	}
}

// families are the packages of api/ that are built on the kit.
func families(imports map[string][]string) []string {
	var out []string
	for pkg, list := range imports {
		if within(pkg, "sluice/api/") && slices.Contains(list, kit) {
			out = append(out, pkg)
		}
	}
	return out
}

// mixed says which families import another one.
func mixed(imports, deps map[string][]string) (lines []string) {
	all := families(imports)
	for _, from := range all {
		for _, to := range deps[from] {
			if slices.Contains(all, to) {
				lines = append(lines, "the family "+from+" imports another one, "+to)
			}
		}
	}
	return lines
}

// list returns what each package of the module imports: itself (Imports), or by way of
// others, too (Deps).
func list(t *testing.T, what string) map[string][]string {
	t.Helper()
	out, err := exec.Command("go", "list", "-f", `{{.ImportPath}} {{join .`+what+` " "}}`, "sluice/...").Output()
	if err != nil {
		var failed *exec.ExitError
		if errors.As(err, &failed) {
			err = fmt.Errorf("go list: %w: %s", err, failed.Stderr)
		}
		t.Fatal(err)
	}
	imports := make(map[string][]string)
	for line := range strings.Lines(string(out)) {
		f := strings.Fields(line)
		imports[f[0]] = f[1:]
	}
	if len(imports) < 20 {
		t.Fatalf("only %d packages: has the module another name?", len(imports))
	}
	return imports
}

// within reports whether a package lies in a folder; a folder that ends in a
// dot is that package alone, one that ends in a slash does not count itself.
func within(pkg, folder string) bool {
	if one, ok := strings.CutSuffix(folder, "."); ok {
		return pkg == one
	}
	if strings.HasSuffix(folder, "/") {
		return strings.HasPrefix(pkg, folder)
	}
	return pkg == folder || strings.HasPrefix(pkg, folder+"/")
}
