package securitygroup_test

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/compile"
	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/securitygroup"
	"sluice/controlplane/state"
	"sluice/controlplane/template"
	"sluice/dataplane"
)

var ctx = context.Background()

// world is a plane with a group.
type world struct {
	*planetest.Plane
	t  *testing.T
	sg string
}

func newWorld(t *testing.T) *world {
	w := &world{Plane: planetest.New(t), t: t}
	w.sg = w.group("0")
	return w
}

func (w *world) group(project string) string {
	w.t.Helper()
	g, err := w.SecurityGroups.Create(ctx, planetest.Alice, securitygroup.Wanted{Region: planetest.Region, Project: project, Name: "g"})
	if err != nil {
		w.t.Fatal(err)
	}
	return g.ID
}

// port is a rule that accepts a TCP port from everywhere.
func port(p string) securitygroup.Rule {
	return securitygroup.Rule{Protocol: "TCP", Port: p, CIDR: "0.0.0.0/0", Action: "ACCEPT"}
}

func at(i int, r securitygroup.Rule) securitygroup.Rule {
	r.Index = &i
	return r
}

func (w *world) in(list ...securitygroup.Rule) securitygroup.Rules {
	return securitygroup.Rules{Region: planetest.Region, Group: w.sg, Ingress: list}
}

// ports are those of the group's rules for what comes in, in order, with their version.
func (w *world) ports() string {
	w.t.Helper()
	g, err := w.SecurityGroups.Group(planetest.Alice, planetest.Region, w.sg)
	if err != nil {
		w.t.Fatal(err)
	}
	var list []string
	for _, r := range g.Ingress {
		list = append(list, r.Ports.String())
	}
	return fmt.Sprintf("%d: %s", g.Version, strings.Join(list, " "))
}

func reason(err error) fault.Reason {
	f, _ := errors.AsType[*fault.Error](err)
	if f == nil {
		return ""
	}
	return f.Reason
}

// Rules are added at an index, in the order of the call; removed by index, all as of before, or by
// what they say; replaced; and set.
func TestRules(t *testing.T) {
	w := newWorld(t)
	s := w.SecurityGroups
	for _, c := range []struct {
		what string
		do   func() error
		want fault.Reason
		then string
	}{
		{"add behind", func() error { return s.Add(ctx, planetest.Alice, w.in(port("1"), port("2"))) }, "", "1: 1 2"},
		{"add at 1", func() error { return s.Add(ctx, planetest.Alice, w.in(at(1, port("3")), at(1, port("4")))) }, "", "2: 1 3 4 2"},
		{"add at the end", func() error { return s.Add(ctx, planetest.Alice, w.in(at(4, port("5")))) }, "", "3: 1 3 4 2 5"},
		{"add beyond", func() error { return s.Add(ctx, planetest.Alice, w.in(at(6, port("6")))) }, fault.SecurityRuleIndex, "3: 1 3 4 2 5"},
		{"two indexes", func() error { return s.Add(ctx, planetest.Alice, w.in(at(1, port("6")), at(2, port("6")))) }, fault.SecurityRuleIndex, "3: 1 3 4 2 5"},
		{"remove by index", func() error {
			return s.Remove(ctx, planetest.Alice, w.in(at(0, securitygroup.Rule{}), at(1, securitygroup.Rule{})))
		}, "", "4: 4 2 5"},
		{"one index twice", func() error {
			return s.Remove(ctx, planetest.Alice, w.in(at(0, securitygroup.Rule{}), at(0, securitygroup.Rule{})))
		}, fault.SecurityRuleNotFound, "4: 4 2 5"},
		{"index and content", func() error { return s.Remove(ctx, planetest.Alice, w.in(at(0, port("4")))) }, fault.SecurityRuleIndex, "4: 4 2 5"},
		{"remove by content", func() error { return s.Remove(ctx, planetest.Alice, w.in(port("2"))) }, "", "5: 4 5"},
		{"of no rule", func() error { return s.Remove(ctx, planetest.Alice, w.in(port("2"))) }, fault.SecurityRuleNotFound, "5: 4 5"},
		{"the same twice", func() error { return s.Add(ctx, planetest.Alice, w.in(port("4"))) }, "", "6: 4 5 4"},
		{"one of two that are the same", func() error { return s.Remove(ctx, planetest.Alice, w.in(port("4"))) }, "", "7: 5 4"},
		{"both of one", func() error { return s.Remove(ctx, planetest.Alice, w.in(port("4"), port("4"))) }, fault.SecurityRuleNotFound, "7: 5 4"},
		{"replace", func() error { return s.Replace(ctx, planetest.Alice, w.in(at(1, port("9-12")))) }, "", "8: 5 9-12"},
		{"replace two", func() error { return s.Replace(ctx, planetest.Alice, w.in(at(1, port("1")), at(0, port("1")))) }, fault.SecurityRuleDirections, "8: 5 9-12"},
		{"another version", func() error {
			r := w.in(port("1"))
			r.Version = "7"
			return s.Add(ctx, planetest.Alice, r)
		}, fault.SecurityRuleVersion, "8: 5 9-12"},
		{"set one direction", func() error { return s.Set(ctx, planetest.Alice, w.in(port("1"))) }, fault.SecurityRuleBoth, "8: 5 9-12"},
		{"set", func() error {
			r := w.in(port("all"))
			r.Egress = []securitygroup.Rule{port("7")}
			return s.Set(ctx, planetest.Alice, r)
		}, "", "9: ALL"},
		{"another account's", func() error { return s.Add(ctx, planetest.Bob, w.in(port("1"))) }, fault.SecurityGroupNotFound, "9: ALL"},
		{"set none", func() error {
			r := w.in(port("1"))
			r.Version = "0"
			return s.Set(ctx, planetest.Alice, r)
		}, "", "10: "},
	} {
		if err := c.do(); reason(err) != c.want || (err == nil) != (c.want == "") {
			t.Errorf("%s: %v, want %q", c.what, err, c.want)
		}
		if got := w.ports(); got != c.then {
			t.Errorf("%s: the rules are %s, want %s", c.what, got, c.then)
		}
	}
}

// What a rule names bars its deletion, and the networks of a group's members follow whatever
// decides about them: also the members of a group that a rule names, which may be in another VPC.
func TestFollows(t *testing.T) {
	w := newWorld(t)
	first, second := w.VPC(planetest.Alice, "10.8.0.0/16").VPC, w.VPC(planetest.Alice, "10.9.0.0/16").VPC
	member := w.Instance(w.VSwitch(planetest.Alice, first, "10.8.1.0/24"), "10.8.1.10", resource.Host)
	other := w.Instance(w.VSwitch(planetest.Alice, second, "10.9.1.0/24"), "10.9.1.10", resource.Host)
	named := w.group("0")
	tmpl, err := w.Templates.Create(ctx, planetest.Alice, template.Wanted{Region: planetest.Region, Of: resource.ServiceTemplate, Name: "t", List: []string{"TCP:80"}})
	if err != nil {
		t.Fatal(err)
	}
	rule := securitygroup.Rule{Service: tmpl.ID, Group: named, Action: "ACCEPT"}
	if err := w.SecurityGroups.Add(ctx, planetest.Alice, w.in(rule)); err != nil {
		t.Fatal(err)
	}
	w.Join(member, w.sg)
	if err := w.Templates.Delete(ctx, planetest.Alice, planetest.Region, resource.ServiceTemplate, tmpl.ID); reason(err) != fault.TemplateNamed {
		t.Errorf("delete a template that a rule names: %v", err)
	}
	for id, want := range map[string]fault.Reason{w.sg: fault.SecurityGroupInUse, named: fault.SecurityGroupNamed} {
		if err := w.SecurityGroups.Delete(ctx, planetest.Alice, planetest.Region, id); reason(err) != want {
			t.Errorf("delete group %s: %v, want %s", id, err, want)
		}
	}
	policy := func() dataplane.GroupPolicy {
		t.Helper()
		n, err := compile.Network(w.DB.View(), w.Settings, first, nil)
		if err != nil {
			t.Fatal(err)
		}
		if len(n.Policies) != 1 || len(n.Members) != 1 || n.Members[0].Address != netip.MustParseAddr("10.8.1.10") || n.Members[0].Policy != w.sg {
			t.Fatalf("policies %+v of %+v", n.Policies, n.Members)
		}
		return n.Policies[0]
	}
	if r := policy().Ingress[0]; !r.Accept || len(r.Remotes) != 0 || r.Services[0] != (dataplane.GroupService{Protocol: 6, First: 80, Last: 80}) {
		t.Errorf("the rule is %+v", r)
	}
	var touched []string
	w.DB.Listen(func(c state.Commit) { touched = c.Networks })
	w.Join(other, named)
	if !slices.Contains(touched, first) || !slices.Contains(touched, second) {
		t.Errorf("a member more of a group that a rule names touches %q", touched)
	}
	if r := policy().Ingress[0]; len(r.Remotes) != 1 || r.Remotes[0] != netip.MustParsePrefix("10.9.1.10/32") {
		t.Errorf("the rule is %+v", r)
	}
	err = w.Templates.Modify(ctx, planetest.Alice, template.Change{Region: planetest.Region, ID: tmpl.ID, Of: resource.ServiceTemplate, List: []string{"UDP:53,99", "GRE"}})
	if err != nil || !slices.Contains(touched, first) || slices.Contains(touched, second) {
		t.Errorf("a change of a template touches %q: %v", touched, err)
	}
	if r := policy().Ingress[0]; len(r.Services) != 3 || r.Services[2].Protocol != 47 {
		t.Errorf("the rule is %+v", r)
	}
	w.Join(other)
	if r := policy().Ingress[0]; len(r.Remotes) != 0 || !slices.Contains(touched, first) {
		t.Errorf("the rule is %+v, touched are %q", r, touched)
	}
}
