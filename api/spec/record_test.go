package spec

import (
	"regexp"
	"slices"
	"strings"
	"testing"
)

// secretive are names of what may be a secret.
var secretive = regexp.MustCompile(`(?i)psk|secret|passw|pwd|private_?key|pre_?share|credential|signature|token|key|cert|auth`)

// harmless are names that sound so, and are none: what follows the last dot, or all of a
// name.
var harmless = []string{
	"ClientToken", "NextToken", "OrderKey", "Key", "TagKey", "TagKey.N", "AccessKeyId", "UserAccessKeyId", "AccessKey", "AccessKeys", "IkeAuthAlg", "IpsecAuthAlg",
	"PropoAuthenAlgorithm", "propoAuthenAlgorithm", "SignatureNonce", "SignatureMethod", "SignatureVersion", "SslVpnClientCertId", "SslVpnClientCertificateKeys",
	"CaCert", "ClientCert", "EnableMultiFactorAuth",
}

// TestSecrets goes over all parameters and members of all families, whether they are
// supported or not: each whose name could be that of a secret is one, or listed here.
func TestSecrets(t *testing.T) {
	c, err := Load()
	if err != nil {
		t.Fatal(err)
	}
	var look func(where string, fields Fields)
	secrets := 0
	look = func(where string, fields Fields) {
		for _, f := range fields {
			last := f.Name[strings.LastIndexByte(strings.TrimSuffix(f.Name, ".N"), '.')+1:]
			switch {
			case f.Secret:
				secrets++
			case secretive.MatchString(last) && !slices.Contains(harmless, last):
				t.Errorf("%s: %s may be a secret; write \"secret\": true, or list it here", where, f.Name)
			}
			look(where+" "+f.Name, f.Members)
			look(where+" "+f.Name, f.Fields)
		}
	}
	for _, f := range c.Families {
		for _, a := range f.Actions() {
			look(f.Name+" "+a.Name, a.Request)
			look(f.Name+" "+a.Name, a.Response)
		}
	}
	if secrets == 0 {
		t.Error("there is no secret at all")
	}
}

// TestRecordable: what is secret, and what an action that reads answers, is in no record.
func TestRecordable(t *testing.T) {
	a := &Action{
		Name: "CreateThing",
		Request: Fields{
			{Name: "Name"}, {Name: "Password", Secret: true}, {Name: "Tag.N.Key"},
			{Name: "Config", Format: "json", Members: Fields{{Name: "A"}, {Name: "Psk", Secret: true}}},
			{Name: "Sealed", Format: "json", Members: Fields{{Name: "Psk", Secret: true}}},
			{Name: "Ends", List: true, Fields: Fields{{Name: "Ip"}, {Name: "Psk", Secret: true}}},
		},
		Response: Fields{
			{Name: "RequestId"}, {Name: "Id"}, {Name: "All", List: true, Fields: Fields{{Name: "Id"}}}, {Name: "Word", Secret: true},
			{Name: "Key", Fields: Fields{{Name: "Id"}, {Name: "Secret", Secret: true}}},
		},
	}
	var got []string
	for _, r := range a.Recordable() {
		name := r.Name
		if r.JSON {
			name += "{" + strings.Join(r.Members, ",") + "}"
		}
		got = append(got, name)
	}
	if want := []string{"Name", "Tag.N.Key", "Config{A}", "Sealed{}", "Ends.N.Ip"}; !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
	if got := a.RecordableElements(); !slices.Equal(got, []string{"Id", "Key.Id"}) {
		t.Errorf("elements %q", got)
	}
	a.Name = "DescribeThing"
	if got := a.RecordableElements(); got != nil {
		t.Errorf("elements of one that reads: %q", got)
	}
}
