package aliyun

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"sluice/api/spec"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// TestWords asks that every word that the catalog lets pass into a change has a value,
// and comes back as itself.
func TestWords(t *testing.T) {
	c, err := spec.Load()
	if err != nil {
		t.Fatal(err)
	}
	back := func(name string) func(string) string {
		switch name {
		case "IkeEncAlg", "IpsecEncAlg":
			return func(w string) string { return encryptionWords.wire(*encryptionWords.of(&w)) }
		case "IkeAuthAlg", "IpsecAuthAlg":
			return func(w string) string { return integrityWords.wire(*integrityWords.of(&w)) }
		case "IkePfs", "IpsecPfs":
			return func(w string) string { return groupWords.wire(*groupWords.of(&w)) }
		case "IkeVersion":
			return func(w string) string { return ikeVersionWords.wire(*ikeVersionWords.of(&w)) }
		case "IkeMode":
			return func(w string) string { return ikeModeWords.wire(*ikeModeWords.of(&w)) }
		case "IpProtocol":
			return func(w string) string { return protocolWords.wire(*protocolWords.of(&w)) }
		case "NextHopType", "NextHopList.N.NextHopType":
			return func(w string) string { return nextHopWords.wire(nextHopType(&w)) }
		case "AssociateEipAddress.InstanceType", "UnassociateEipAddress.InstanceType":
			return func(w string) string { return bindingWords.wire(*bindingWords.of(&w)) }
		case "CreateRouterInterface.Spec", "ModifyRouterInterfaceSpec.Spec":
			return func(w string) string { return interfaceSpecWords.wire(*interfaceSpecWords.of(&w)) }
		case "Role":
			return func(w string) string { return roleWords.wire(*roleWords.of(&w)) }
		case "RouterType", "OppositeRouterType":
			return func(w string) string { return routerWords.wire(*routerWords.of(&w)) }
		case "CreateNatGateway.Spec", "ModifyNatGatewaySpec.Spec":
			return func(w string) string { return specWords.wire(*specWords.of(&w)) }
		case "NatType":
			return func(w string) string { return natTypeWords.wire(*natTypeWords.of(&w)) }
		case "EipBindMode":
			return func(w string) string { return natBindWords.wire(*natBindWords.of(&w)) }
		case "CreateNatGateway.InternetChargeType":
			return func(w string) string { return natChargeWords.wire(*natChargeWords.of(&w)) }
		case "AllocateEipAddress.InstanceChargeType":
			return func(w string) string { return eipChargeWords.wire(*eipChargeWords.of(&w)) }
		case "AllocateEipAddress.InternetChargeType", "CreateBandwidthPackage.InternetChargeType", "BandwidthPackage.N.InternetChargeType":
			return func(w string) string { return trafficChargeWords.wire(*trafficChargeWords.of(&w)) }
		case "CreateCommonBandwidthPackage.InternetChargeType":
			return func(w string) string { return packageChargeWords.wire(*packageChargeWords.of(&w)) }
		case "CreateVpnGateway.InstanceChargeType":
			return func(w string) string { return vpnChargeWords.wire(*vpnChargeWords.of(&w)) }
		case "MoveResourceGroup.ResourceType", "MoveVpnResourceGroup.ResourceType":
			return func(w string) string { return groupedWords.wire(*groupedWords.of(&w)) }
		case "TagResources.ResourceType", "ListTagResources.ResourceType", "UntagResources.ResourceType":
			return func(w string) string { return taggedWords.wire(*taggedWords.of(&w)) }
		case "Weight", "NewWeight":
			return func(w string) string { return fmt.Sprint(weight(w == fmt.Sprint(weightStandby))) }
		}
		return nil
	}
	seen := map[string]bool{}
	var walk func(action string, fields spec.Fields)
	walk = func(action string, fields spec.Fields) {
		for _, f := range fields {
			for _, name := range []string{f.Name, action + "." + f.Name} {
				convert := back(name)
				if convert == nil {
					continue
				}
				if len(f.Enum) == 0 {
					t.Errorf("%s %s: any word passes", action, f.Name)
				}
				for _, v := range f.Enum {
					seen[name] = true
					if w := fmt.Sprint(v); !strings.EqualFold(convert(w), w) {
						t.Errorf("%s %s: %s comes back as %q", action, f.Name, w, convert(w))
					}
				}
			}
			walk(action, f.Members)
		}
	}
	for _, a := range c.Family(spec.Aliyun).Actions() {
		// A query may ask for what nothing is (XLarge.1), and finds nothing.
		if a.Supported() && !strings.HasPrefix(a.Name, "Describe") {
			walk(a.Key(), a.Request)
		}
	}
	if len(seen) < 15 {
		t.Errorf("only %v have words in the catalog", seen)
	}
	for what, x := range map[string]struct {
		words words[resource.Kind]
		want  []resource.Kind
	}{"have tags": {taggedWords, state.TaggedKinds()}, "change their group": {groupedWords, state.GroupedKinds()}} {
		var kinds []resource.Kind
		for _, w := range x.words {
			kinds = append(kinds, w.value)
		}
		slices.Sort(kinds)
		if !slices.Equal(kinds, x.want) {
			t.Errorf("there are words for %v; registered to %s are %v", kinds, what, x.want)
		}
	}
	if _, ok := encryptionWords.find("rot13"); ok || encryptionWords.wire("") != "" {
		t.Error("a word that there is not has a value")
	}
	defer func() {
		if recover() == nil {
			t.Error("a word without a value means something")
		}
	}()
	w := "group15"
	groupWords.of(&w)
}
