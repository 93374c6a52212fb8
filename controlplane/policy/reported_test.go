package policy_test

import (
	"fmt"
	"testing"

	"sluice/controlplane/policy"
)

// TestReported rebuilds what users of other evaluators have reported: patterns that are
// compared as texts, that reach over fields, or into the request's; what is denied and
// ignored; addresses that are unknown; case.
func TestReported(t *testing.T) {
	one := func(effect, actions, resources, condition string) string {
		if condition != "" {
			condition = `,"Condition":` + condition
		}
		return fmt.Sprintf(`{"Version":"1","Statement":{"Effect":%q,%s,%s%s}}`, effect, actions, resources, condition)
	}
	all := document(`"Action":"*","Resource":"*"`)
	any := `"Resource":"*"`
	delete1 := request{service: "vpc", action: "DeleteVpc", of: "vpc", region: "cn-a", account: "1", id: "vpc/vpc-1"}
	with := func(change func(*request)) request {
		r := delete1
		r.values = map[string]string{}
		change(&r)
		return r
	}
	from := func(ip string) request { return with(func(r *request) { r.values["acs:sourceip"] = ip }) }
	id := func(id string) request { return with(func(r *request) { r.id = id }) }
	for _, c := range []struct {
		name      string
		documents []string
		request   request
		want      policy.Effect
	}{
		{"a wildcard in an action is one", []string{one("Allow", `"Action":"vpc:Delete*"`, any, "")}, delete1, policy.Allow},
		{"* means ids with a slash, too", []string{one("Allow", `"Action":"*"`, any, "")}, id("a/b/c"), policy.Allow},
		{"a wildcard does not reach over a colon", []string{one("Allow", `"Action":"*"`, `"Resource":"acs:vpc:*:1:public/*"`, "")}, id("private/x:1:public/y"), policy.None},
		{"nor an account's into the id", []string{one("Allow", `"Action":"*"`, `"Resource":"acs:vpc:*:2*:vpc/*"`, "")}, id("x:2:vpc/y"), policy.None},
		{"a * in a request is no wildcard", []string{one("Allow", `"Action":"*"`, `"Resource":"acs:vpc:*:*:vpc/vpc-1"`, "")}, id("vpc/*"), policy.None},
		{"nor is it for what is denied", []string{all, one("Deny", `"Action":"*"`, `"Resource":"acs:vpc:*:*:vpc/vpc-1"`, "")}, id("vpc/*"), policy.Allow},
		{"dots are no way up", []string{one("Allow", `"Action":"*"`, `"Resource":"acs:vpc:*:*:vpc/vpc-1"`, "")}, id("vpc/vpc-2/../vpc-1"), policy.None},
		{"a block with bits behind its mask", []string{one("Allow", `"Action":"*"`, any, `{"IpAddress":{"acs:SourceIp":"1.2.3.4/16"}}`)}, from("1.2.200.1"), policy.Allow},
		{"and what is outside", []string{one("Allow", `"Action":"*"`, any, `{"IpAddress":{"acs:SourceIp":"1.2.3.4/16"}}`)}, from("1.3.0.1"), policy.None},
		{"IPv4 that is written as IPv6", []string{all, one("Deny", `"Action":"*"`, any, `{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}`)}, from("::ffff:10.1.1.1"), policy.Deny},
		{"an unknown address is not allowed", []string{one("Allow", `"Action":"*"`, any, `{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}`)}, delete1, policy.None},
		{"an unknown address is denied", []string{all, one("Deny", `"Action":"*"`, any, `{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}`)}, delete1, policy.Deny},
		{"so is one that is none", []string{all, one("Deny", `"Action":"*"`, any, `{"NotIpAddress":{"acs:SourceIp":"10.0.0.0/8"}}`)}, from("unix"), policy.Deny},
		{"denied by a document that comes later", []string{all, one("Deny", `"Action":"vpc:DeleteVpc"`, any, "")}, delete1, policy.Deny},
		{"and by one that comes before", []string{one("Deny", `"Action":"vpc:DeleteVpc"`, any, ""), all}, delete1, policy.Deny},
		{"all is denied but one", []string{all, one("Deny", `"NotAction":"vpc:DescribeVpcs"`, any, "")}, delete1, policy.Deny},
		{"that one is not", []string{all, one("Deny", `"NotAction":"vpc:deletevpc"`, any, "")}, delete1, policy.Allow},
		{"allowed is all but one", []string{one("Allow", `"NotAction":"ram:*"`, any, "")}, with(func(r *request) { r.service = "ram" }), policy.None},
		{"case of an action", []string{all, one("Deny", `"Action":"VPC:DELETEVPC"`, any, "")}, delete1, policy.Deny},
		{"case of a key", []string{all, one("Deny", `"Action":"*"`, any, `{"IpAddress":{"ACS:SOURCEIP":"10.0.0.0/8"}}`)}, from("10.1.1.1"), policy.Deny},
		{"case of a resource", []string{all, one("Deny", `"Action":"*"`, `"Resource":"acs:vpc:CN-A:*:VPC/vpc-1"`, "")}, delete1, policy.Deny},
		{"a letter that only looks alike", []string{all, one("Deny", `"Action":"*"`, `"NotResource":"acs:vpc:*:*:vpc/*"`, "")}, id("vpc\u212a/x"), policy.Deny},
		{"the form without a region", []string{all, one("Deny", `"Action":"*"`, `"Resource":"acs:vpc:1:vpc/*"`, "")}, delete1, policy.Deny},
		{"the guide's general form", []string{one("Allow", `"Action":"vpc:*"`, `"Resource":"acs:vpc:cn-a:1:"`, "")}, delete1, policy.Allow},
		{"many wildcards", []string{one("Allow", `"Action":"*"`, `"Resource":"acs:vpc:*:*:*a*a*a*a*a*a*a*a*a*a*a*a*b"`, "")}, id("vpc/aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa"), policy.None},
	} {
		if got := policy.Decide(parseAll(t, c.documents), c.request.compiled()); got.Effect != c.want {
			t.Errorf("%s: %v, want %v", c.name, got, c.want)
		}
	}
}
