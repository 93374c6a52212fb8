package ipsec

import (
	"net/netip"
	"os"
	"path"
	"regexp"
	"strings"
	"testing"

	"sluice/dataplane"
)

// without are the options of strongSwan that no connection here depends on: patterns
// of path.Match in which a slash stands for the dot between names, and why.
var without = map[string]string{
	"charon/cert_cache": "no certificates", "charon/cache_crls": "no certificates", "charon/hash_and_url": "no certificates", "charon/ocsp_nonce_len": "no certificates",
	"charon/reject_trusted_end_entity": "no certificates", "charon/rdn_matching": "no certificates", "charon/rsa_*": "no certificates", "charon/x509/*": "no certificates",
	"charon/signature_authentication*": "no certificates", "charon/flush_auth_cfg": "no certificates", "charon/force_eap_only_authentication": "no EAP",
	"connections/*/ocsp":    "no certificates; 5.9 does not know it",
	"connections/*/*/cert*": "no certificates", "connections/*/*/cert*/*": "no certificates", "connections/*/*/cacert*": "no certificates", "connections/*/*/cacert*/*": "no certificates",
	"connections/*/*/ca_id": "no certificates", "connections/*/*/pubkeys": "no certificates", "connections/*/*/cert_policy": "no certificates", "connections/*/*/revocation": "no certificates",
	"connections/*/*/round": "one round", "connections/*/*/eap_id": "no EAP", "connections/*/*/aaa_id": "no EAP", "connections/*/*/xauth_id": "no XAuth", "connections/*/*/groups": "no groups",
	"connections/*/vips": "no virtual addresses", "connections/*/pools": "no virtual addresses", "connections/*/pull": "no virtual addresses",
	"connections/*/mediat*": "no mediation", "connections/*/ppk_id": "no post-quantum keys",
	"charon/dns?": "no virtual addresses", "charon/nbns?": "no virtual addresses", "charon/install_virtual_ip_on": "no virtual addresses",
	"charon/tls/*": "no TLS", "charon/leak_detective/*": "for those who build strongSwan", "charon/crypto_test/*": "for those who build strongSwan", "charon/integrity_test": "for those who build strongSwan",
	"charon/receive_delay*": "for those who test strongSwan", "charon/send_delay*": "for those who test strongSwan", "charon/spi_*": "any number will do", "charon/dh_exponent_ansi_x9_42": "either is right",
	"charon/user": "root, or the kernel refuses", "charon/group": "root, or the kernel refuses", "charon/start-scripts": "none", "charon/stop-scripts": "none", "charon/dlopen_use_rtld_now": "loads either way",
	"charon/fragment_size_v?": "as fragment_size", "charon/check_current_path": "with MOBIKE", "charon/prefer_temporary_addrs": "IPv6", "charon/process_route": "for roaming",
	"charon/ignore_routing_tables": "no routes are made", "charon/interfaces_*": "all of the namespace", "charon/host_resolver/*": "addresses are no names",
	"charon/ikesa_table_*": "how fast it is", "charon/processor/*": "how fast it is",
	"charon/plugins/kernel-netlink/buflen": "how fast it is", "charon/plugins/kernel-netlink/receive_buffer_size": "how fast it is", "charon/plugins/kernel-netlink/parallel_*": "how fast it is",
	"charon/plugins/kernel-netlink/retries": "waits for the kernel", "charon/plugins/kernel-netlink/timeout": "waits for the kernel",
	"charon/plugins/kernel-netlink/m??": "of routes, which are not made", "charon/plugins/kernel-netlink/spdh_thresh*": "how fast it is", "charon/plugins/kernel-netlink/spdh_thresh/*/*": "how fast it is",
	"charon/plugins/kernel-netlink/hw_offload_feature_interface": "no offloading", "charon/plugins/kernel-netlink/set_proto_port_transport_sa": "no transport mode",
	"charon/plugins/openssl/engine_id": "no smart cards", "charon/plugins/*/fwmark": "set where it matters",
	"connections/*/children/*/ah_proposals": "no AH", "connections/*/children/*/updown": "no script", "connections/*/children/*/interface": "no routes are made",
	"connections/*/children/*/mark_*": "none", "connections/*/children/*/set_mark_*": "none", "connections/*/children/*/label*": "none", "connections/*/children/*/per_cpu_sas": "5.9 does not know it",
	"connections/*/children/*/icmp": "5.9 does not know it", "connections/*/children/*/if_id_*": "of the connection, or set", "connections/*/if_id_*": "set with IKEv2",
}

// Every option of strongSwan is set, or does not matter for a reason. The list is
// that of 6.0.6: of the files conf/options/charon.opt, conf/plugins/PLUGIN.opt for the
// plugins that are loaded and have options, and src/swanctl/swanctl.opt.
func TestOptionsAreSet(t *testing.T) {
	set := map[string]bool{}
	for _, p := range []dataplane.VPNPath{dataplane.VPNByXFRM, dataplane.VPNByLibipsec} {
		for _, name := range optionsOf(settings("/run/sluice/vpn/vpc-t", p, usualWaits)) {
			set[name] = true
		}
		c := usual()
		for id, conn := range connection(netip.MustParseAddr(gatewayAddr), p, usualWaits, numbers{link: 7, children: map[string]uint32{"vco-t": 8}}, &c) {
			addOptions(set, "connections", map[string]any{id: conn}, c.ID)
		}
	}
	b, err := os.ReadFile("testdata/strongswan-options.txt")
	if err != nil {
		t.Fatal(err)
	}
	names := strings.Fields(string(b))
	if len(names) < 200 {
		t.Fatalf("only %d options in the list", len(names))
	}
	used := map[string]bool{}
	for _, name := range names {
		reason := ""
		for pattern, why := range without {
			if ok, err := path.Match(pattern, strings.ReplaceAll(name, ".", "/")); err != nil {
				t.Fatal(err)
			} else if ok {
				used[pattern], reason = true, why
			}
		}
		if !set[name] && reason == "" {
			t.Errorf("%s is not set, and nothing says that it does not matter", name)
		}
	}
	for pattern := range without {
		if !used[pattern] {
			t.Errorf("%s matches no option", pattern)
		}
	}
}

// addOptions notes the names in a section, with those of connections and CHILD_SAs as
// the documentation has them.
func addOptions(set map[string]bool, prefix string, part map[string]any, id string) {
	for name, value := range part {
		switch name {
		case id:
			name = "<conn>"
			if strings.HasSuffix(prefix, ".children") {
				name = "<child>"
			}
		case "local", "remote":
			name += "<suffix>"
		}
		if sub, ok := value.(section); ok {
			addOptions(set, prefix+"."+name, sub, id)
		} else {
			set[prefix+"."+name] = true
		}
	}
}

var optionLine = regexp.MustCompile(`([\w.-]+)\s*(\{|=)|\}`)

// optionsOf returns the names of the options in a strongswan.conf.
func optionsOf(conf string) []string {
	var names, at []string
	for line := range strings.Lines(conf) {
		line, _, _ = strings.Cut(line, "#")
		for _, m := range optionLine.FindAllStringSubmatch(line, -1) {
			switch {
			case m[0] == "}":
				at = at[:len(at)-1]
			case m[2] == "{":
				at = append(at, m[1])
			default:
				names = append(names, "charon."+strings.Join(append(at[1:], m[1]), "."))
			}
		}
	}
	return names
}
