package aliyun

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/ram"
)

// ramWorld has users and policies of Alice's: carol, who has a key and the policy own, which
// has two versions; and erin, who has nothing, as the policy unused has.
type ramWorld struct {
	planeWorld
	key identity.Key // carol's
}

// Documents of policies.
const (
	ramDocument = `{"Version":"1","Statement":[{"Effect":"Allow","Action":"vpc:DescribeVpcs","Resource":"*"}]}`
	ramOther    = `{"Version":"1","Statement":[{"Effect":"Deny","Action":"vpc:*","Resource":"*"}]}`
)

func newRAMWorld(t *testing.T) *ramWorld {
	t.Helper()
	w := &ramWorld{planeWorld: newPlaneWorld(t)}
	w.key = accounts(t, w.Plane)
	a, ctx := planetest.Alice, context.Background()
	erin := "erin"
	_, err := w.RAM.CreateUser(ctx, a, ram.UserSettings{Name: &erin})
	for _, name := range []string{"own", "unused"} {
		if err == nil {
			_, err = w.RAM.CreatePolicy(ctx, a, name, "", ramDocument)
		}
	}
	if err == nil {
		_, err = w.RAM.AddVersion(ctx, a, "own", ramOther, false, false)
	}
	if err == nil {
		err = w.RAM.Attach(ctx, a, "carol", "own", false)
	}
	if err != nil {
		t.Fatal(err)
	}
	return w
}

// good returns parameters with which an action succeeds, changed by name and value; an
// empty value leaves the parameter out.
func (w *ramWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region} // as clients send it
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "ram:CreateUser":
		add("UserName", "frank", "DisplayName", "Frank", "MobilePhone", "86-18688888888", "Email", "frank@example.org", "Comments", "http://example.org, since 2026")
	case "ram:UpdateUser":
		add("UserName", "carol", "NewUserName", "caroline", "NewComments", "renamed")
	case "ram:DeleteUser":
		add("UserName", "erin")
	case "ram:GetUser", "ram:ListGroupsForUser", "ram:GetLoginProfile", "ram:DeleteLoginProfile", "ram:GetUserMFAInfo", "ram:UnbindMFADevice",
		"ram:ListPoliciesForUser", "ram:CreateAccessKey", "ram:ListAccessKeys":
		add("UserName", "carol")
	case "ram:UpdateAccessKey":
		add("UserName", "carol", "UserAccessKeyId", w.key.ID, "Status", "Inactive")
	case "ram:DeleteAccessKey":
		add("UserName", "carol", "UserAccessKeyId", w.key.ID)
	case "ram:CreatePolicy":
		add("PolicyName", "new", "PolicyDocument", ramDocument, "Description", "for a test")
	case "ram:UpdatePolicyDescription":
		add("PolicyName", "own", "NewDescription", "for a test")
	case "ram:DeletePolicy":
		add("PolicyName", "unused")
	case "ram:CreatePolicyVersion":
		add("PolicyName", "own", "PolicyDocument", ramOther, "SetAsDefault", "true")
	case "ram:DeletePolicyVersion", "ram:SetDefaultPolicyVersion":
		add("PolicyName", "own", "VersionId", "v2")
	case "ram:GetPolicyVersion":
		add("PolicyName", "own", "PolicyType", "Custom", "VersionId", "v2")
	case "ram:GetPolicy", "ram:ListPolicyVersions", "ram:ListEntitiesForPolicy":
		add("PolicyName", "own", "PolicyType", "Custom")
	case "ram:AttachPolicyToUser":
		add("PolicyName", "AliyunVPCReadOnlyAccess", "PolicyType", "System", "UserName", "carol")
	case "ram:DetachPolicyFromUser":
		add("PolicyName", "own", "PolicyType", "Custom", "UserName", "carol")
	case "ram:ListTagResources":
		add("ResourceType", "policy")
	}
	add(change...)
	return p
}

// ramAbsent are actions about what no user has here, which never succeed.
var ramAbsent = []string{"ram:GetLoginProfile", "ram:DeleteLoginProfile", "ram:GetUserMFAInfo", "ram:UnbindMFADevice"}

// ramActions are the actions that this matrix is about.
var ramActions = append([]string{
	"ram:CreateUser", "ram:GetUser", "ram:UpdateUser", "ram:DeleteUser", "ram:ListUsers", "ram:ListGroupsForUser",
	"ram:CreateAccessKey", "ram:UpdateAccessKey", "ram:DeleteAccessKey", "ram:ListAccessKeys",
	"ram:CreatePolicy", "ram:GetPolicy", "ram:UpdatePolicyDescription", "ram:DeletePolicy", "ram:ListPolicies",
	"ram:CreatePolicyVersion", "ram:GetPolicyVersion", "ram:DeletePolicyVersion", "ram:SetDefaultPolicyVersion", "ram:ListPolicyVersions",
	"ram:AttachPolicyToUser", "ram:DetachPolicyFromUser", "ram:ListPoliciesForUser", "ram:ListEntitiesForPolicy", "ram:ListTagResources",
}, ramAbsent...)

func ramWith(change ...string) func(*ramWorld) []string {
	return func(*ramWorld) []string { return change }
}

func ramQuota(name string, most int) func(*testing.T, *ramWorld) {
	return func(_ *testing.T, w *ramWorld) { w.Settings.Quotas = map[string]int{name: most} }
}

// ramErrors provoke the documented errors that are one action's own; ramEverywhere those
// that each action has that takes a certain parameter.
var ramErrors = []matrixCase[*ramWorld]{
	{"ram:CreateUser", "InvalidParameter.UserName.InvalidChars", "", nil, ramWith("UserName", "a b")},
	{"ram:CreateUser", "InvalidParameter.DisplayName.Length", "", nil, ramWith("DisplayName", strings.Repeat("x", 129))},
	{"ram:CreateUser", "InvalidParameter.Comments.Length", "", nil, ramWith("Comments", strings.Repeat("é", 129))},
	{"ram:CreateUser", "InvalidParameter.MobilePhone.Format", "", nil, ramWith("MobilePhone", "18688888888")},
	{"ram:CreateUser", "InvalidParameter.Email.Format", "", nil, ramWith("Email", "frank")},
	{"ram:CreateUser", "InvalidParameter.Email.Format", "", nil, ramWith("Email", "Frank <frank@example.org>")},
	{"ram:CreateUser", "EntityAlreadyExists.User", "", nil, ramWith("UserName", "Carol")},
	{"ram:CreateUser", "LimitExceeded.User", "", ramQuota("ram_users", 2), ramWith()},
	{"ram:UpdateUser", "InvalidParameter.NewUserName.InvalidChars", "", nil, ramWith("NewUserName", "-x")},
	{"ram:UpdateUser", "InvalidParameter.NewUserName.Length", "", nil, ramWith("NewUserName", strings.Repeat("x", 65))},
	{"ram:UpdateUser", "InvalidParameter.NewDisplayName.Length", "", nil, ramWith("NewDisplayName", strings.Repeat("x", 129))},
	{"ram:UpdateUser", "InvalidParameter.NewComments.Length", "", nil, ramWith("NewComments", strings.Repeat("x", 129))},
	{"ram:UpdateUser", "InvalidParameter.NewMobilePhone.Format", "", nil, ramWith("NewMobilePhone", "86-x")},
	{"ram:UpdateUser", "InvalidParameter.NewEmail.Format", "", nil, ramWith("NewEmail", "frank@")},
	{"ram:UpdateUser", "EntityAlreadyExists.User", "", nil, ramWith("NewUserName", "ERIN")},
	{"ram:DeleteUser", "DeleteConflict.User.AccessKey", "", nil, ramWith("UserName", "carol")},
	{"ram:DeleteUser", "DeleteConflict.User.Policy", "", func(t *testing.T, w *ramWorld) {
		w.must(t, "ram:AttachPolicyToUser", w.good("ram:AttachPolicyToUser", "UserName", "erin"))
	}, ramWith()},
	{"ram:GetLoginProfile", "EntityNotExist.User.LoginProfile", "", nil, ramWith()},
	{"ram:DeleteLoginProfile", "EntityNotExist.User.LoginProfile", "", nil, ramWith()},
	{"ram:GetUserMFAInfo", "EntityNotExist.User.MFADevice", "", nil, ramWith()},
	{"ram:UnbindMFADevice", "EntityNotExist.User.MFADevice", "", nil, ramWith()},
	{"ram:CreateAccessKey", "LimitExceeded.User.AccessKey", "", ramQuota("ram_access_keys_per_user", 1), ramWith()},
	{"ram:UpdateAccessKey", "EntityNotExist.User.AccessKey", "", nil, ramWith("UserAccessKeyId", "LTAInone")},
	{"ram:UpdateAccessKey", "EntityNotExist.User.AccessKey", "", nil, ramWith("UserName", "erin")},
	{"ram:DeleteAccessKey", "EntityNotExist.User.AccessKey", "", nil, ramWith("UserName", "erin")},
	{"ram:CreatePolicy", "InvalidParameter.PolicyName.InvalidChars", "", nil, ramWith("PolicyName", "a_b")},
	{"ram:CreatePolicy", "InvalidParameter.Description.Length", "", nil, ramWith("Description", strings.Repeat("x", 1025))},
	{"ram:CreatePolicy", "EntityAlreadyExists.Policy", "", nil, ramWith("PolicyName", "OWN")},
	{"ram:CreatePolicy", "EntityAlreadyExists.Policy", "", nil, ramWith("PolicyName", "aliyunvpcreadonlyaccess")},
	{"ram:CreatePolicy", "LimitExceeded.Policy", "", ramQuota("ram_policies", 2), ramWith()},
	{"ram:UpdatePolicyDescription", "InvalidParameter.Description.Length", "", nil, ramWith("NewDescription", strings.Repeat("x", 1025))},
	{"ram:DeletePolicy", "DeleteConflict.Policy.User", "", nil, ramWith("PolicyName", "own", "CascadingDelete", "true")},
	{"ram:DeletePolicy", "DeleteConflict.Policy.Version", "", func(t *testing.T, w *ramWorld) {
		w.must(t, "ram:DetachPolicyFromUser", w.good("ram:DetachPolicyFromUser"))
	}, ramWith("PolicyName", "own")},
	{"ram:CreatePolicyVersion", "LimitExceeded.Policy.Version", "", ramQuota("ram_policy_versions", 2), ramWith()},
	{"ram:CreatePolicyVersion", "LimitExceeded.Policy.Version", "", ramQuota("ram_policy_versions", 1), // the new one never goes
		ramWith("PolicyName", "unused", "SetAsDefault", "false", "RotateStrategy", "DeleteOldestNonDefaultVersionWhenLimitExceeded")},
	{"ram:DeletePolicyVersion", "DeleteConflict.Policy.Version.Default", "", nil, ramWith("VersionId", "v1")},
	{"ram:AttachPolicyToUser", "EntityAlreadyExists.User.Policy", "", nil, ramWith("PolicyName", "own", "PolicyType", "Custom")},
	{"ram:AttachPolicyToUser", "LimitExceeded.User.Policy", "", ramQuota("ram_policies_per_user", 1), ramWith()},
	{"ram:DetachPolicyFromUser", "EntityNotExist.User.Policy", "", nil, ramWith("UserName", "erin")},
}

// ramEverywhere are errors by their codes, with a parameter that provokes them in each
// action that documents them.
var ramEverywhere = []struct{ code, parameter, value string }{
	{"InvalidParameter.UserName.Length", "UserName", strings.Repeat("x", 65)},
	{"EntityNotExist.User", "UserName", "nobody"},
	{"InvalidParameter.PolicyName.Length", "PolicyName", strings.Repeat("x", 129)},
	{"EntityNotExist.Policy", "PolicyName", "none"},
	{"InvalidParameter.PolicyType", "PolicyType", "custom"},
	{"InvalidParameter.PolicyDocument.Length", "PolicyDocument", strings.Repeat(" ", 6145)},
	{"MalformedPolicyDocument", "PolicyDocument", `{"Version":"2"}`},
	{"InvalidParameter.VersionId.Format", "VersionId", "2"},
	{"EntityNotExist.Policy.Version", "VersionId", "v9"},
}

func ramMatrix() []matrixCase[*ramWorld] {
	list := slices.Clone(ramErrors)
	for _, action := range ramActions {
		for _, x := range ramEverywhere {
			if choose(documentedErrors[action], x.code, "") != nil {
				list = append(list, matrixCase[*ramWorld]{action, x.code, "", nil, ramWith(x.parameter, x.value)})
			}
		}
	}
	return list
}

// ramOthers are refusals for which RAM's documents have no code: common ones.
var ramOthers = []matrixCase[*ramWorld]{
	{"ram:CreateUser", "MissingParameter", `"UserName"`, nil, ramWith("UserName", "")},
	{"ram:CreateUser", "UnsupportedParameter", `"DryRun"`, nil, ramWith("DryRun", "true")},
	{"ram:CreateAccessKey", "MissingParameter", "accesskey", nil, ramWith("UserName", "")},
	{"ram:ListAccessKeys", "MissingParameter", "accesskey", nil, ramWith("UserName", "")},
	{"ram:UpdateAccessKey", "MissingParameter", "accesskey", nil, ramWith("UserName", "")},
	{"ram:DeleteAccessKey", "MissingParameter", "accesskey", nil, ramWith("UserName", "")},
	{"ram:UpdateAccessKey", "InvalidParameter", `"Status"`, nil, ramWith("Status", "active")},
	{"ram:UpdatePolicyDescription", "MissingParameter", `"NewDescription"`, nil, ramWith("NewDescription", "")},
	{"ram:ListUsers", "InvalidParameter", `"MaxItems"`, nil, ramWith("MaxItems", "1001")},
	{"ram:ListUsers", "InvalidParameter", `"Marker"`, nil, ramWith("Marker", "x")},
	{"ram:ListPolicies", "InvalidParameter", `"Marker"`, nil, ramWith("Marker", "AAAAAAAAAAAAAAAA")},
	{"ram:CreatePolicy", "UnsupportedParameter", `"Tag.1.Key"`, nil, ramWith("Tag.1.Key", "k")},
	{"ram:CreatePolicy", "UnsupportedParameter", `"Tag"`, nil, ramWith("Tag", `[{"Key":"k"}]`)},
	{"ram:GetPolicy", "EntityNotExist.Policy", "", nil, ramWith("PolicyType", "System")},
	{"ram:CreateGroup", "UnsupportedOperation", "", nil, ramWith("GroupName", "g")},
	{"ram:AssumeRole", "InvalidParameter", "Action or Version", nil, ramWith()},
}

func TestRAMErrors(t *testing.T) {
	worlds := &shared[*ramWorld]{t: t, world: newRAMWorld}
	for _, c := range ramMatrix() {
		t.Run(c.action+"/"+c.code, func(t *testing.T) {
			t.Parallel()
			err := c.run(t, worlds)
			want := choose(documentedErrors[c.action], c.code, "")
			if want == nil || err.HTTP != want.HTTP || !strings.HasPrefix(withoutReason(err).Message, strings.TrimSuffix(want.Message, "%s.")) || strings.Contains(err.Message, "%") {
				t.Errorf("%v is not as documented: %v", err, want)
			}
		})
	}
}

func TestRAMRefusalsWithoutACode(t *testing.T) { provokeAll(t, ramOthers, newRAMWorld, false) }

// TestRAMErrorsAreComplete: each documented error is provoked, NoPermission of every
// action by TestEveryActionIsAuthorized.
func TestRAMErrorsAreComplete(t *testing.T) {
	all := ramMatrix()
	for _, action := range ramActions {
		for _, e := range documentedErrors[action] {
			if e.Code != "NoPermission" && !slices.ContainsFunc(all, func(c matrixCase[*ramWorld]) bool { return c.action == action && c.code == e.Code }) {
				t.Errorf("%s: nothing provokes %s", action, e.Code)
			}
		}
	}
}

func TestRAMActionsSucceed(t *testing.T) {
	succeed(t, slices.DeleteFunc(slices.Clone(ramActions), absentInRAM), newRAMWorld)
}

func absentInRAM(action string) bool { return slices.Contains(ramAbsent, action) }

// TestRAMReadBack makes, changes and reads users and policies: what was sent is what is
// read, and what is listed in parts is all there is, whatever comes and goes in between.
func TestRAMReadBack(t *testing.T) {
	w := newRAMWorld(t)
	w.must(t, "ram:CreateUser", w.good("ram:CreateUser"))
	u := w.must(t, "ram:GetUser", map[string]string{"UserName": "frank"}).(*RAMGetUserResponse).User
	for name, got := range map[string]string{"DisplayName": u.DisplayName, "MobilePhone": u.MobilePhone, "Email": u.Email, "Comments": u.Comments} {
		if want := w.good("ram:CreateUser")[name]; got != want {
			t.Errorf("%s is %q, want %q", name, got, want)
		}
	}
	// An empty value clears, what is not given stays. (call leaves empty ones out.)
	_, e := Dispatch(context.Background(), w.s, planetest.Alice, "ram:UpdateUser", NewParams("UserName", "frank", "NewEmail", "", "NewComments", ""))
	if e != nil {
		t.Fatal(e)
	}
	u = w.must(t, "ram:GetUser", map[string]string{"UserName": "frank"}).(*RAMGetUserResponse).User
	if u.Email != "" || u.Comments != "" || u.DisplayName != "Frank" || u.MobilePhone == "" {
		t.Errorf("%+v", u)
	}

	document := "{ \"Statement\" : [{\"Effect\":\"Allow\",\n\"Action\":[\"vpc:*\"],\"Resource\":\"*\"}],\"Version\":\"1\"}"
	w.must(t, "ram:CreatePolicy", w.good("ram:CreatePolicy", "PolicyDocument", document))
	got := w.must(t, "ram:GetPolicy", w.good("ram:GetPolicy", "PolicyName", "new")).(*RAMGetPolicyResponse)
	if got.DefaultPolicyVersion.PolicyDocument != document || got.Policy.Description != "for a test" || got.Policy.DefaultVersion != "v1" {
		t.Errorf("%+v", got)
	}
	for i, rotate := range []string{"None", "None", "None", "None", "DeleteOldestNonDefaultVersionWhenLimitExceeded"} {
		v := w.must(t, "ram:CreatePolicyVersion", w.good("ram:CreatePolicyVersion", "PolicyName", "new", "SetAsDefault", "false", "RotateStrategy", rotate))
		if id := v.(*RAMCreatePolicyVersionResponse).PolicyVersion.VersionId; id != versionID(i+2) {
			t.Errorf("the version is %s", id)
		}
	}
	var ids []string
	for _, v := range w.must(t, "ram:ListPolicyVersions", w.good("ram:ListPolicyVersions", "PolicyName", "new")).(*RAMListPolicyVersionsResponse).PolicyVersions.PolicyVersion {
		ids = append(ids, v.VersionId)
	}
	if !slices.Equal(ids, []string{"v1", "v3", "v4", "v5", "v6"}) {
		t.Errorf("versions %v", ids)
	}

	var names []string
	marker := ""
	for part := 0; ; part++ {
		a := w.must(t, "ram:ListUsers", map[string]string{"MaxItems": "1", "Marker": marker}).(*RAMListUsersResponse)
		for _, u := range a.Users.User {
			names = append(names, u.UserName)
		}
		if marker = a.Marker; a.IsTruncated != (marker != "") {
			t.Errorf("%+v", a)
		}
		if !a.IsTruncated {
			break
		}
		if part == 1 { // the one that the marker stands at
			w.must(t, "ram:DeleteUser", map[string]string{"UserName": "erin"})
		}
	}
	if !slices.Equal(names, []string{"carol", "erin", "frank"}) {
		t.Errorf("users %v", names)
	}
	a := w.must(t, "ram:ListPolicies", map[string]string{"PolicyType": "System"}).(*RAMListPoliciesResponse)
	if len(a.Policies.Policy) != len(ram.SystemPolicies()) || a.IsTruncated {
		t.Errorf("%d policies of the system", len(a.Policies.Policy))
	}
	if _, e := w.call("ram:ListUsers", map[string]string{"Marker": w.must(t, "ram:ListPolicies", map[string]string{"MaxItems": "1"}).(*RAMListPoliciesResponse).Marker}); e == nil {
		t.Error("a marker of another query is taken")
	}
}

// TestRAMOtherAccounts: names are an account's own.
func TestRAMOtherAccounts(t *testing.T) {
	for _, action := range ramActions {
		w := newRAMWorld(t)
		before := w.view()
		good := w.good(action)
		r, e := w.callAs(planetest.Bob, action, good)
		switch {
		case good["UserName"] == "" && good["PolicyName"] == "" || action == "ram:CreateUser" || action == "ram:CreatePolicy":
			if e != nil {
				t.Errorf("%s: %v", action, e)
			} else if text := encoded(t, FormatJSON, r); strings.Contains(text, "carol") || strings.Contains(text, `"unused"`) {
				t.Errorf("%s: %s", action, text)
			}
		case e == nil || e.HTTP != 404 || w.view() != before:
			t.Errorf("%s: %v", action, e)
		}
	}
}

// TestRAMOfAUser: a user may do what its policies say of RAM's resources; what it does is
// then what others may do.
func TestRAMOfAUser(t *testing.T) {
	for _, c := range []struct {
		actions, resource string
		action            string
		params            map[string]string
		want              bool
	}{
		{"ram:*", "acs:ram:*:*:user/carol", "ram:CreateAccessKey", nil, true}, // its own
		{"ram:*", "acs:ram::" + planetest.Alice.Account + ":user/CAROL", "ram:ListAccessKeys", map[string]string{"RegionId": planetest.Region}, true},
		{"ram:*", "acs:ram:*:*:user/carol", "ram:CreateAccessKey", map[string]string{"UserName": "erin"}, false},
		{"ram:*", "acs:ram:*:*:user/erin", "ram:CreateAccessKey", nil, false},
		{"ram:*", "acs:ram:*:*:user/carol", "ram:UpdateUser", map[string]string{"UserName": "carol", "NewComments": "x"}, true},
		{"ram:*", "acs:ram:*:*:user/carol", "ram:UpdateUser", map[string]string{"UserName": "carol", "NewUserName": "dave"}, false},
		{"ram:*", "acs:ram:*:*:user/*", "ram:UpdateUser", map[string]string{"UserName": "carol", "NewUserName": "dave"}, true},
		{"ram:*", "acs:ram:*:*:user/*", "ram:AttachPolicyToUser", map[string]string{"UserName": "carol", "PolicyName": "own", "PolicyType": "Custom"}, false},
		{"ram:*", "acs:ram:*:" + planetest.Alice.Account + ":*", "ram:AttachPolicyToUser", map[string]string{"UserName": "carol", "PolicyName": "AdministratorAccess", "PolicyType": "System"}, false},
		{"ram:*", "acs:ram:*:*:*", "ram:AttachPolicyToUser", map[string]string{"UserName": "carol", "PolicyName": "AdministratorAccess", "PolicyType": "System"}, true},
		{"ram:Get*", "acs:ram:*:system:policy/*", "ram:GetPolicy", map[string]string{"PolicyName": "AdministratorAccess", "PolicyType": "System"}, true},
		{"ram:Get*", "acs:ram:*:system:policy/*", "ram:GetPolicy", map[string]string{"PolicyName": "own", "PolicyType": "Custom"}, false},
		{"vpc:*", "*", "ram:ListUsers", nil, false},
		{"ram:*", "acs:ram:cn-mars:*:*", "ram:ListUsers", map[string]string{"RegionId": "cn-mars"}, false}, // they are in no region
	} {
		w := newRAMWorld(t)
		says(t, w.Plane, statement("Allow", c.actions, c.resource))
		p := NewParams()
		for _, name := range slices.Sorted(maps.Keys(c.params)) {
			p.Add(name, c.params[name])
		}
		_, refusal := called(w.RAM, c.action, p).Authorize(w.key)
		if (refusal == nil) != c.want || refusal != nil && refusal.Code != "NoPermission" {
			t.Errorf("%s %v with %s on %s: %v", c.action, c.params, c.actions, c.resource, refusal)
		}
	}
	w := newRAMWorld(t)
	if err := w.RAM.Grant(context.Background(), planetest.Alice, planetest.Bob.Account, "AdministratorAccess", true); err != nil {
		t.Fatal(err)
	}
	bob := identity.Key{ID: "b", Account: planetest.Bob.Account, AccountName: "bob"}
	if _, refusal := called(w.RAM, "ram:ListUsers", NewParams("ResourceOwnerId", planetest.Alice.Account)).Authorize(bob); refusal == nil || refusal.Code != "Forbidden.NotSupportRAM" {
		t.Errorf("another account's users: %v", refusal)
	}
}
