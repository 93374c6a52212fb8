package aliyun

import (
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/dataplane"
)

// holdsAll checks that a text has all the parts.
func holdsAll(t *testing.T, what, text string, parts ...string) {
	t.Helper()
	for _, p := range parts {
		if !strings.Contains(text, p) {
			t.Errorf("%s lacks %s: %s", what, p, text)
		}
	}
}

func TestVPNConnectionAnswers(t *testing.T) {
	w := newVPNWorld(t)
	id := w.must(t, "CreateVpnConnection", w.good("CreateVpnConnection", "CustomerGatewayId", w.cgw2, "Name", "branch", "EffectImmediately", "true",
		"IkeConfig", `{"Psk":"A key","IkeVersion":"IKEv2","IkeEncAlg":"AES256","IkeAuthAlg":"SHA256","IkePfs":"Group14","IkeLifetime":"3600","LocalId":"vpc.example.com"}`,
		"IpsecConfig", `{"IpsecPfs":"disabled","IpsecAuthAlg":"sha512","IpsecLifetime":600}`,
		"HealthCheckConfig", `{"enable":"true","sip":"10.0.1.9","dip":"192.168.9.9","interval":"5"}`,
		"BgpConfig", `{"EnableBgp":true,"TunnelCidr":"169.254.11.0/30","LocalBgpIp":"169.254.11.2","LocalAsn":"65001"}`,
	)).(*CreateVpnConnectionResponse).VpnConnectionId
	w.Tunnels.Set(dataplane.VPNStatus{Connection: id, IKE: true, Child: true, Checked: true, BGP: true})

	one := w.must(t, "DescribeVpnConnection", w.good("DescribeVpnConnection", "VpnConnectionId", id))
	holdsAll(t, "JSON", encoded(t, FormatJSON, one),
		`"IkeConfig":{"IkeAuthAlg":"sha256","IkeEncAlg":"aes256","IkeLifetime":3600,"IkeMode":"main","IkePfs":"group14","IkeVersion":"ikev2","LocalId":"vpc.example.com","Psk":"A key","RemoteId":"198.51.100.2"}`,
		`"IpsecConfig":{"IpsecAuthAlg":"sha512","IpsecEncAlg":"aes","IpsecLifetime":600,"IpsecPfs":"disabled"}`,
		`"VcoHealthCheck":{"Enable":"true","Dip":"192.168.9.9","Sip":"10.0.1.9","Interval":5,"Retry":3,"Status":"success"}`,
		`"VpnBgpConfig":{"EnableBgp":"true","LocalAsn":65001,"LocalBgpIp":"169.254.11.2","PeerAsn":65010,"PeerBgpIp":"169.254.11.1","Status":"success","TunnelCidr":"169.254.11.0/30"}`,
		`"RemoteSubnet":"192.168.8.0/24,192.168.9.0/24"`, `"EffectImmediately":true`, `"Status":"ipsec_sa_established"`, `"CreateTime":1795437015000`, `"Name":"branch"`)
	holdsAll(t, "XML", encoded(t, FormatXML, one),
		"<DescribeVpnConnectionResponse><VpnConnectionId>"+id+"</VpnConnectionId>", "<IkeConfig><IkeAuthAlg>sha256</IkeAuthAlg>", "<Psk>A key</Psk>",
		"<VpnBgpConfig><EnableBgp>true</EnableBgp><LocalAsn>65001</LocalAsn>", "<Status>ipsec_sa_established</Status>")

	modified := w.must(t, "ModifyVpnConnectionAttribute", w.good("ModifyVpnConnectionAttribute", "VpnConnectionId", id,
		"HealthCheckConfig", `{"enable":"false"}`, "BgpConfig", `{"EnableBgp":"false"}`, "IkeConfig", `{"IkeEncAlg":"aes192"}`))
	holdsAll(t, "JSON", encoded(t, FormatJSON, modified),
		`"IkeEncAlg":"aes192"`, `"Psk":"A key"`, `"IkePfs":"group14"`,
		`"VcoHealthCheck":{"Enable":"false","Dip":"","Sip":"","Interval":0,"Retry":0}`,
		`"VpnBgpConfig":{"EnableBgp":"false","LocalAsn":0,"LocalBgpIp":"","PeerAsn":0,"PeerBgpIp":"","Status":"false","TunnelCidr":""}`)

	for _, x := range []Response{one, w.must(t, "DescribeVpnConnections", w.good("DescribeVpnConnections", "VpnConnectionId", id))} {
		holdsAll(t, "what today's clients read", encoded(t, FormatJSON, x), `"State":"active","AttachType":"VPNGW","NetworkType":"public","InternetIp":"203.0.113.45","Spec":"10M"`,
			`"EnableDpd":true`, `"EnableNatTraversal":true`)
	}
	for name, value := range map[string]string{"IkeConfig": "Ikes", "IpsecConfig": "ipsecpfss", "HealthCheckConfig": "Policy", "BgpConfig": "AuthKey"} {
		_, e := w.call("ModifyVpnConnectionAttribute", w.good("ModifyVpnConnectionAttribute", "VpnConnectionId", id, name, `{"`+value+`":"x"}`))
		if e == nil || *e != *unsupportedParameter(name + "." + value) {
			t.Errorf("%s with %s: %v", name, value, e)
		}
	}

	// Seen from the other end.
	config := w.must(t, "DownloadVpnConnectionConfig", w.good("DownloadVpnConnectionConfig", "VpnConnectionId", id))
	holdsAll(t, "JSON", encoded(t, FormatJSON, config),
		`"LocalId":"198.51.100.2","Psk":"A key","RemoteId":"vpc.example.com"`,
		`"Local":"198.51.100.2","LocalSubnet":"192.168.8.0/24,192.168.9.0/24","Remote":"203.0.113.45","RemoteSubnet":"10.0.1.0/24"`)

	list := w.must(t, "DescribeVpnConnections", w.good("DescribeVpnConnections", "VpnGatewayId", w.vpn, "CustomerGatewayId", w.cgw2, "PageSize", "1", "PageNumber", "2"))
	holdsAll(t, "JSON", encoded(t, FormatJSON, list), `"TotalCount":2,"PageNumber":2,"PageSize":1`, `{"VpnConnections":{"VpnConnection":[{"VpnConnectionId":"`+id)
	holdsAll(t, "XML", encoded(t, FormatXML, list), "<VpnConnections><VpnConnection><VpnConnectionId>"+id)
}

func TestVPNRouteAnswers(t *testing.T) {
	w := newVPNWorld(t)
	route := w.must(t, "CreateVpnRouteEntry", w.good("CreateVpnRouteEntry", "PublishVpc", "true", "Description", "to the branch", "OverlayMode", "ipsec"))
	holdsAll(t, "JSON", encoded(t, FormatJSON, route),
		`{"VpnInstanceId":"vpn-1","RouteDest":"192.168.3.0/24","NextHop":"`+w.vco+`","Weight":100,"OverlayMode":"Ipsec","Description":"to the branch","State":"published","CreateTime":1795437015000`)
	holdsAll(t, "JSON", encoded(t, FormatJSON, w.must(t, "CreateVpnPbrRouteEntry", w.good("CreateVpnPbrRouteEntry", "RouteDest", "192.168.77.0/24", "Description", "by source", "Priority", "10"))), `"Description":"by source"`)
	w.must(t, "DeleteVpnPbrRouteEntry", w.good("DeleteVpnPbrRouteEntry", "RouteDest", "192.168.77.0/24"))
	policy := w.must(t, "DescribeVpnPbrRouteEntries", w.good("DescribeVpnPbrRouteEntries"))
	holdsAll(t, "XML", encoded(t, FormatXML, policy), "<VpnPbrRouteEntries><VpnPbrRouteEntry><VpnInstanceId>vpn-1</VpnInstanceId><RouteSource>10.0.1.0/24</RouteSource><RouteDest>192.168.2.0/24</RouteDest>", "<State>normal</State>", "<TotalCount>1</TotalCount>")
	routes := w.must(t, "DescribeVpnRouteEntries", w.good("DescribeVpnRouteEntries"))
	holdsAll(t, "JSON", encoded(t, FormatJSON, routes), `"TotalCount":2`, `{"VpnInstanceId":"vpn-1","RouteDest":"192.168.2.0/24","NextHop":"`+w.vco+`","Weight":100,"State":"normal"`, `"RouteEntryType":"custom"`)
	tables := w.must(t, "DescribeRouteTables", map[string]string{"RegionId": planetest.Region, "RouteTableId": w.table})
	text := encoded(t, FormatJSON, tables)
	holdsAll(t, "route table", text, `"DestinationCidrBlock":"192.168.3.0/24"`, `"NextHopType":"VpnGateway"`, `"InstanceId":"vpn-1"`)
	if strings.Contains(text, "192.168.2.0/24") {
		t.Errorf("a route that is not published is in the route table: %s", text)
	}
}
