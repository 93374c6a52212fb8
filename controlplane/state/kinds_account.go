package state

import (
	"sluice/controlplane/fault"
	"sluice/controlplane/resource"
)

// accountKinds are those of kinds that no network has anything of: accounts with their keys,
// users and rights, and what is kept for them.
var accountKinds = []registered{
	Kind[*resource.TagSet]{
		Name: resource.KindTagSet, Noun: "tag set", Table: func(v *View) **Table[*resource.TagSet] { return &v.TagSets },
		Indexes: []Index[*resource.TagSet]{byAccount[*resource.TagSet](), byRegion[*resource.TagSet](), {ByTag, tagKeys}},
		Bounded: "one for each resource of a kind with tags",
		Quotas: []Quota[*resource.TagSet]{
			{Name: "tags", Default: 20, Counts: "tags of a resource", Reason: fault.QuotaTag, // VPN Gateway API reference, TagResources
				Parts: func(t *resource.TagSet) int { return len(t.Tags) }}},
		Refers: func(t *resource.TagSet, to func(resource.Kind, string)) { to(t.Of, t.ID) },
	},
	Kind[*resource.Account]{
		Name: resource.KindAccount, Noun: "account", Table: func(v *View) **Table[*resource.Account] { return &v.Accounts },
		NotFound: fault.AccountNotFound,
		Bounded:  "the operator makes them",
	},
	Kind[*resource.AccessKey]{
		Name: resource.KindAccessKey, Noun: "access key", Table: func(v *View) **Table[*resource.AccessKey] { return &v.AccessKeys },
		Indexes: []Index[*resource.AccessKey]{byAccount[*resource.AccessKey](),
			one(ByUser, func(k *resource.AccessKey) string { return k.User })},
		NotFound: fault.AccessKeyNotFound,
		Quotas: []Quota[*resource.AccessKey]{ // RAM documentation, "Limits"; those of no user the operator makes
			{Name: "ram_access_keys_per_user", Default: 2, Counts: "access keys of a user", Reason: fault.QuotaAccessKey, Index: ByUser}},
		Blocks: []Block[*resource.AccessKey]{
			{Of: resource.KindUser, Reason: fault.UserHasAccessKeys, Index: ByUser}},
		Refers: func(k *resource.AccessKey, to func(resource.Kind, string)) { to(resource.KindUser, k.User) },
	},
	Kind[*resource.User]{
		Name: resource.KindUser, Noun: "user", Table: func(v *View) **Table[*resource.User] { return &v.Users },
		Indexes: []Index[*resource.User]{byAccount[*resource.User](),
			one(ByName, func(u *resource.User) string { return NameKey(u.Account, u.Name) }),
			{ByPolicy, func(u *resource.User) []string { return ownPolicies(u.Attached...) }}},
		NotFound: fault.UserNotFound,
		Quotas: []Quota[*resource.User]{ // RAM documentation, "Limits"
			{Name: "ram_users", Default: 1000, Counts: "users of an account", Reason: fault.QuotaUser, Index: ByAccount},
			{Name: "ram_policies_per_user", Default: 20, Counts: "policies attached to a user", Reason: fault.QuotaAttachedPolicy,
				Parts: func(u *resource.User) int { return len(u.Attached) }}},
		Blocks: []Block[*resource.User]{
			{Of: resource.KindPolicy, Reason: fault.PolicyAttached, Index: ByPolicy}},
		Barred: []fault.Reason{fault.UserHasAccessKeys},
		Refers: func(u *resource.User, to func(resource.Kind, string)) {
			for _, id := range ownPolicies(u.Attached...) {
				to(resource.KindPolicy, id)
			}
		},
	},
	Kind[*resource.Policy]{
		Name: resource.KindPolicy, Noun: "policy", Table: func(v *View) **Table[*resource.Policy] { return &v.Policies },
		Indexes: []Index[*resource.Policy]{byAccount[*resource.Policy](),
			one(ByName, func(p *resource.Policy) string { return NameKey(p.Account, p.Name) })},
		NotFound: fault.PolicyNotFound,
		Quotas: []Quota[*resource.Policy]{ // RAM documentation, "Limits"
			{Name: "ram_policies", Default: 1500, Counts: "policies of an account's own", Reason: fault.QuotaPolicy, Index: ByAccount},
			{Name: "ram_policy_versions", Default: 5, Counts: "versions of a policy", Reason: fault.QuotaPolicyVersion,
				Parts: func(p *resource.Policy) int { return len(p.Versions) }}},
		Barred: []fault.Reason{fault.PolicyAttached},
	},
	Kind[*resource.Grant]{
		Name: resource.KindGrant, Noun: "grant", Table: func(v *View) **Table[*resource.Grant] { return &v.Grants },
		Indexes: []Index[*resource.Grant]{byAccount[*resource.Grant](),
			one(ByGrantee, func(g *resource.Grant) string { return Key(g.Account, g.To) }),
			{ByPolicy, func(g *resource.Grant) []string { return ownPolicies(g.Attachment) }}},
		NotFound: fault.GrantNotFound,
		Bounded:  "the operator makes them",
		Blocks: []Block[*resource.Grant]{
			{Of: resource.KindPolicy, Reason: fault.PolicyAttached, Index: ByPolicy}},
		Refers: func(g *resource.Grant, to func(resource.Kind, string)) {
			to(resource.KindAccount, g.To)
			for _, id := range ownPolicies(g.Attachment) {
				to(resource.KindPolicy, id)
			}
		},
	},
	Kind[*resource.Receipt]{
		Name: resource.KindReceipt, Noun: "receipt", Table: func(v *View) **Table[*resource.Receipt] { return &v.Receipts },
		Indexes: []Index[*resource.Receipt]{
			one(ByExpiry, func(r *resource.Receipt) string { return MinuteKey(r.Expires) }),
			one(ByAccount, (*resource.Receipt).TokenOf),
			one(ByAccessKey, (*resource.Receipt).NonceOf)},
		Bounded: "package receipt keeps the newest of each account and of each access key",
	},
}
