package aliyun

import (
	"go/ast"
	"go/parser"
	"go/token"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"sluice/controlplane/fault"
)

// others are the files with reasons of resources on which another family alone has actions.
var others = []string{"reasons_classic.go", "reasons_interface.go", "reasons_securitygroup.go"}

// reasons reads the names and values of all reasons from the source of package
// fault, so that a new reason without a code fails here and not at a client.
func reasons(t *testing.T) map[string]foundReason {
	t.Helper()
	files, err := filepath.Glob("../../controlplane/fault/*.go")
	if err != nil {
		t.Fatal(err)
	}
	out := map[string]foundReason{}
	for _, path := range files {
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(file, func(n ast.Node) bool {
			v, ok := n.(*ast.ValueSpec)
			if !ok {
				return true
			}
			if id, ok := v.Type.(*ast.Ident); !ok || id.Name != "Reason" {
				return true
			}
			for i, name := range v.Names {
				s, err := strconv.Unquote(v.Values[i].(*ast.BasicLit).Value)
				if err != nil {
					t.Fatal(err)
				}
				out[name.Name] = foundReason{fault.Reason(s), filepath.Base(path)}
			}
			return true
		})
	}
	if len(out) < 50 {
		t.Fatalf("only %d reasons found", len(out))
	}
	return out
}

// foundReason is a reason, and the file that it is in.
type foundReason struct {
	fault.Reason
	file string
}

func TestEveryReasonHasACode(t *testing.T) {
	all := reasons(t)
	known := map[fault.Reason]bool{}
	for name, r := range all {
		known[r.Reason] = true
		if _, ok := faults[r.Reason]; !ok && !slices.Contains(others, r.file) {
			t.Errorf("fault.%s has no code; add it to faults.go", name)
		}
	}
	for r := range faults {
		if !known[r] {
			t.Errorf("faults.go knows the reason %q, package fault does not", r)
		}
	}
	for action, table := range actionFaults {
		if _, ok := actions[action]; !ok {
			t.Errorf("faults.go has codes for %s, which is no supported action", action)
		}
		for r := range table {
			if !known[r] {
				t.Errorf("%s: package fault does not know the reason %q", action, r)
			}
		}
	}
}

func codeIn(list []Error, f refusal) (code, message bool) {
	for _, e := range list {
		if e.Code == f.code {
			code = true
			message = message || strings.Contains(e.Message, f.message)
		}
	}
	return code, message
}

// A code in the table must be documented somewhere, and one of a single action
// by that action, unless the table gives the words itself.
func TestCodesAreDocumented(t *testing.T) {
	everywhere := append(append([]Error{}, commonErrors...), otherErrors()...)
	for r, f := range faults {
		if f.http != 0 {
			if f.code == "" || f.message == "" || f.http < 400 {
				t.Errorf("%s: %+v lacks something", r, f)
			}
			continue
		}
		code, message := codeIn(everywhere, f)
		if !code {
			t.Errorf("%s: no document has the code %s", r, f.code)
		} else if !message {
			t.Errorf("%s: no message of %s holds %q", r, f.code, f.message)
		}
	}
	for action, table := range actionFaults {
		for r, f := range table {
			if f.http != 0 {
				continue
			}
			if code, message := codeIn(documentedErrors[action], f); !code || !message {
				t.Errorf("%s, %s: the action does not document %s with a message holding %q", action, r, f.code, f.message)
			}
		}
	}
}

func TestFaultErrors(t *testing.T) {
	for _, c := range []struct {
		action string
		reason fault.Reason
		want   Error
	}{
		{"DeleteVpc", fault.VPCNotFound, Error{404, "InvalidVpcId.NotFound", "Specified VPC does not exist."}},
		{"CreateNatGateway", fault.VPCNotFound, Error{404, "InvalidVpcId.NotFound", "Specified value of VpcId is not found in our record."}},
		{"DescribeVpcs", fault.RegionNotFound, Error{404, "Forbidden.RegionNotFound", "Specified region is not found during access authentication."}},
		{"DeleteNatGateway", fault.RegionNotFound, Error{404, "InvalidRegionId.NotFound", "The specified RegionId does not exist in our records."}},
		{"CreateVSwitch", fault.VSwitchCIDRRoute, Error{400, "InvalidCidrBlock.Overlapped", "Specified CIDR block overlapped with other entry"}},
		{"CreateVSwitch", fault.VSwitchCIDROutside, Error{400, "InvalidParameter", "Specified CIDR block is not valid in VPC."}},
		{"CreateVpc", fault.UserCIDRMask, Error{400, "InvalidParameter", "Specified UserCidr Subnet mask is not valid."}},
		{"UnassociateEipAddress", fault.InstanceNotFound, Error{400, "InvalidInstanceId.NotFound", "Specified instance does not exist."}},
		{"AssociateEipAddress", fault.InstanceNotFound, Error{404, "InvalidInstanId.NotFound", "Specified instance does not exist."}},
		{"ReleaseEipAddress", fault.ElasticIPNotFound, Error{404, "InvalidAllocationId.NotFound", "Specified allocation ID is not found."}},
		{"ModifyForwardEntry", fault.DuplicateExternal, Error{400, "ForwardEntry.Duplicated", "The specified <ExternalIp, IpProtocol, ExternalPort> is duplicated"}},
		{"CreateSnatEntry", fault.InternalIPHasElasticIP, Error{400, "Forbidden", "The specified Instance already bind eip"}},
		{"CreateRouteEntry", fault.QuotaRouteEntry, Error{400, "QuotaExceeded", "Route entry quota exceeded in this route table."}},
		{"CreateVpc", fault.TokenMismatch, Error{400, "IdempotentParameterMismatch", "Request uses a client token in a previous request but is not identical to that request."}},
		{"DeleteRouteEntry", fault.RouteEntryNotFound, Error{404, "InvalidRouteEntry.NotFound", "Specified route entry does not exist."}},
	} {
		if got := faultError(c.action, fault.New(c.reason, "detail")); *got != c.want {
			t.Errorf("%s, %s: %v, want %v", c.action, c.reason, got, &c.want)
		}
	}
}

func TestDocumentedGivesACopy(t *testing.T) {
	documented("CreateVpc", "QuotaExceeded.Vpc", "").Message = "changed"
	if got := documented("CreateVpc", "QuotaExceeded.Vpc", "").Message; got != "VPC quota exceeded." {
		t.Errorf("the table was changed: %q", got)
	}
	if e := documented("CreateVpc", "No.Such.Code", ""); e.HTTP != 400 || e.Code != "No.Such.Code" {
		t.Errorf("a code that stands nowhere: %v", e)
	}
}
