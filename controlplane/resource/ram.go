package resource

import (
	"slices"
	"time"
)

// Kinds of what decides about rights.
const (
	KindUser   Kind = "ram-user"
	KindPolicy Kind = "ram-policy"
	KindGrant  Kind = "ram-grant"
)

// User is a RAM user of an account: it has access keys, and the rights of its policies.
type User struct {
	Meta               // ID has 18 digits
	Name        string `json:"name"` // unique in the account; case makes no difference
	DisplayName string `json:"displayName,omitempty"`
	Comments    string `json:"comments,omitempty"`
	Email       string `json:"email,omitempty"`
	MobilePhone string `json:"mobilePhone,omitempty"`

	Updated  time.Time    `json:"updated,omitzero"`
	Attached []Attachment `json:"attached,omitempty"` // in the order in which they were attached
}

// Attachment says that a policy holds.
type Attachment struct {
	Policy string    `json:"policy"`           // id of a Policy, or name of a policy of the system
	System bool      `json:"system,omitempty"` // the latter
	At     time.Time `json:"at"`
}

// Kind implements Resource.
func (*User) Kind() Kind { return KindUser }

// Network implements Resource.
func (*User) Network() string { return "" }

// Clone implements Resource.
func (u *User) Clone() Resource {
	c := *u
	c.Attached = slices.Clone(u.Attached)
	return &c
}

// Policy is a policy of an account's own, in one or several versions.
type Policy struct {
	Meta
	Name        string          `json:"name"` // unique in the account; case makes no difference
	Description string          `json:"description,omitempty"`
	Updated     time.Time       `json:"updated,omitzero"`
	Versions    []PolicyVersion `json:"versions"`       // the oldest first
	Default     int             `json:"defaultVersion"` // number of the version that holds
	Last        int             `json:"lastVersion"`    // highest number that a version has had
}

// PolicyVersion is a document that a policy has, or has had.
type PolicyVersion struct {
	Number    int       `json:"number"` // from 1
	Document  string    `json:"document"`
	CreatedAt time.Time `json:"createdAt"`
}

// Version returns the version of that number.
func (p *Policy) Version(number int) (PolicyVersion, bool) {
	i := slices.IndexFunc(p.Versions, func(v PolicyVersion) bool { return v.Number == number })
	if i < 0 {
		return PolicyVersion{}, false
	}
	return p.Versions[i], true
}

// Document returns the document that holds.
func (p *Policy) Document() string {
	v, _ := p.Version(p.Default)
	return v.Document
}

// Kind implements Resource.
func (*Policy) Kind() Kind { return KindPolicy }

// Network implements Resource.
func (*Policy) Network() string { return "" }

// Clone implements Resource.
func (p *Policy) Clone() Resource {
	c := *p
	c.Versions = slices.Clone(p.Versions)
	return &c
}

// Grant lets another account work on the resources of its own account, as far as a
// policy of the latter allows.
type Grant struct {
	Meta
	To string `json:"to"` // id of the account that is let
	Attachment
}

// Kind implements Resource.
func (*Grant) Kind() Kind { return KindGrant }

// Network implements Resource.
func (*Grant) Network() string { return "" }

// Clone implements Resource.
func (g *Grant) Clone() Resource { c := *g; return &c }
