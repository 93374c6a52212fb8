package state

import (
	"maps"
	"slices"

	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// groupKinds are what decides which packets interfaces send and receive. No network has them
// of its own: they matter for those with interfaces that a group holds for.
var groupKinds = []registered{
	Kind[*resource.Template]{
		Name: resource.KindTemplate, Noun: "template", Table: func(v *View) **Table[*resource.Template] { return &v.Templates },
		Indexes:  []Index[*resource.Template]{byAccount[*resource.Template](), byRegion[*resource.Template]()},
		NotFound: fault.TemplateNotFound,
		Quotas: []Quota[*resource.Template]{ // not documented
			{Name: "templates", Default: 1000, Counts: "address and service templates of an account in a region", Reason: fault.QuotaTemplate, Index: ByRegion},
			{Name: "items_per_template", Default: 50, Counts: "addresses or services of a template", Reason: fault.QuotaTemplateItems,
				Parts: func(t *resource.Template) int { return len(t.Items) }}},
		Decides: func(v *View, t *resource.Template) []string {
			networks := map[string]bool{}
			for g := range v.SecurityGroups.By(ByTemplate, t.ID).All() {
				v.grouped(g.ID, networks)
			}
			for tg := range v.TemplateGroups.By(ByTemplate, t.ID).All() {
				for g := range v.SecurityGroups.By(ByTemplate, tg.ID).All() {
					v.grouped(g.ID, networks)
				}
			}
			return slices.Sorted(maps.Keys(networks))
		},
		Barred: []fault.Reason{fault.TemplateGrouped, fault.TemplateNamed},
	},
	Kind[*resource.TemplateGroup]{
		Name: resource.KindTemplateGroup, Noun: "group of templates", Table: func(v *View) **Table[*resource.TemplateGroup] { return &v.TemplateGroups },
		Indexes: []Index[*resource.TemplateGroup]{byAccount[*resource.TemplateGroup](), byRegion[*resource.TemplateGroup](),
			{ByTemplate, func(g *resource.TemplateGroup) []string { return g.Templates }}},
		NotFound: fault.TemplateGroupNotFound,
		Quotas: []Quota[*resource.TemplateGroup]{ // not documented
			{Name: "template_groups", Default: 1000, Counts: "groups of templates of an account in a region", Reason: fault.QuotaTemplateGroup, Index: ByRegion},
			{Name: "templates_per_group", Default: 20, Counts: "templates of a group", Reason: fault.QuotaGroupedTemplates,
				Parts: func(g *resource.TemplateGroup) int { return len(g.Templates) }}},
		Decides: func(v *View, t *resource.TemplateGroup) []string {
			networks := map[string]bool{}
			for g := range v.SecurityGroups.By(ByTemplate, t.ID).All() {
				v.grouped(g.ID, networks)
			}
			return slices.Sorted(maps.Keys(networks))
		},
		Blocks: []Block[*resource.TemplateGroup]{
			{Of: resource.KindTemplate, Reason: fault.TemplateGrouped, Index: ByTemplate}},
		Barred: []fault.Reason{fault.TemplateNamed},
		Refers: func(g *resource.TemplateGroup, to func(resource.Kind, string)) {
			for _, id := range g.Templates {
				to(resource.KindTemplate, id)
			}
		},
	},
	Kind[*resource.SecurityGroup]{
		Name: resource.KindSecurityGroup, Noun: "security group", Table: func(v *View) **Table[*resource.SecurityGroup] { return &v.SecurityGroups },
		Indexes: []Index[*resource.SecurityGroup]{byAccount[*resource.SecurityGroup](), byRegion[*resource.SecurityGroup](),
			one(ByProject, func(g *resource.SecurityGroup) string { return Key(g.Account, g.Region, g.Project) }),
			{ByTemplate, func(g *resource.SecurityGroup) []string { return named(g, resource.SecurityRule.Templates) }},
			{ByGroup, func(g *resource.SecurityGroup) []string {
				return named(g, func(r resource.SecurityRule) []string {
					if r.Group == "" || r.Group == g.ID {
						return nil
					}
					return []string{r.Group}
				})
			}}},
		NotFound: fault.SecurityGroupNotFound,
		Quotas: []Quota[*resource.SecurityGroup]{ // that there is one is documented, its number is not
			{Name: "security_groups", Default: 50, Counts: "security groups of an account in a region and project", Reason: fault.QuotaSecurityGroup, Index: ByProject},
			{Name: "rules_per_security_group", Default: 100, Counts: "rules of a direction of a security group", Reason: fault.QuotaSecurityRules,
				Parts: func(g *resource.SecurityGroup) int { return max(len(g.Ingress), len(g.Egress)) }}},
		Decides: func(v *View, g *resource.SecurityGroup) []string {
			networks := map[string]bool{}
			v.grouped(g.ID, networks)
			return slices.Sorted(maps.Keys(networks))
		},
		Blocks: []Block[*resource.SecurityGroup]{
			{Of: resource.KindSecurityGroup, Reason: fault.SecurityGroupNamed, Index: ByGroup},
			{Of: resource.KindTemplate, Reason: fault.TemplateNamed, Index: ByTemplate},
			{Of: resource.KindTemplateGroup, Reason: fault.TemplateNamed, Index: ByTemplate}},
		Barred: []fault.Reason{fault.SecurityGroupInUse, fault.SecurityGroupNamed},
		Refers: func(g *resource.SecurityGroup, to func(resource.Kind, string)) {
			for _, r := range g.Rules() {
				to(resource.KindSecurityGroup, r.Group)
				to(resource.KindTemplate, r.Service)
				to(resource.KindTemplate, r.Addresses)
				to(resource.KindTemplateGroup, r.ServiceGroup)
				to(resource.KindTemplateGroup, r.AddressGroup)
			}
		},
	},
}

// named returns what rules of a group name, each once.
func named(g *resource.SecurityGroup, of func(resource.SecurityRule) []string) []string {
	ids := map[string]bool{}
	for _, r := range g.Rules() {
		for _, id := range of(r) {
			ids[id] = true
		}
	}
	return slices.Sorted(maps.Keys(ids))
}

// grouped notes the networks with interfaces that a security group holds for.
func (v *View) grouped(group string, networks map[string]bool) {
	for n := range v.NetworkInterfaces.By(ByGroup, group).All() {
		networks[n.VPC] = true
	}
}

// interfaceDecides returns an interface's network, and those where rules name its groups.
func interfaceDecides(v *View, n *resource.NetworkInterface) []string {
	networks := map[string]bool{n.VPC: true}
	for _, id := range n.SecurityGroups {
		v.grouped(id, networks) // a group may name itself
		for g := range v.SecurityGroups.By(ByGroup, id).All() {
			v.grouped(g.ID, networks)
		}
	}
	return slices.Sorted(maps.Keys(networks))
}
