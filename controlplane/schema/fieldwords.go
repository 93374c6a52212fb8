package schema

import "maps"

// fieldWords leads to schema 1, in which resources have the field's terms instead of
// one cloud's words.
func fieldWords(kind string, r record) error {
	switch kind {
	case "vpn-connection":
		return all(
			func() error { return r.within("ike", ike) },
			func() error { return r.within("ipsec", proposal) },
		)
	case "vpn-route":
		weight := 0
		if err := r.take("weight", &weight); err != nil {
			return err
		}
		if weight == 0 {
			return r.put("standby", true)
		}
	case "vpn-gateway":
		return reword(r, "chargeType", "prepaid", map[string]bool{"PREPAY": true, "POSTPAY": false, "": false})
	case "eip":
		return all(
			func() error {
				return r.within("binding", func(b record) error {
					return reword(b, "type", "type", map[string]string{"EcsInstance": "host", "SlbInstance": "load-balancer", "Nat": "nat-gateway", "HaVip": "virtual-ip"})
				})
			},
			func() error {
				return reword(r, "instanceChargeType", "prepaid", map[string]bool{"PrePaid": true, "PostPaid": false, "": false})
			},
			func() error {
				return reword(r, "internetChargeType", "byTraffic", map[string]bool{"PayByTraffic": true, "PayByBandwidth": false, "": false})
			},
		)
	case "instance":
		return reword(r, "type", "type", map[string]string{"EcsInstance": "host", "SlbInstance": "load-balancer", "HaVip": "virtual-ip", "RdsInstance": "database"})
	case "route-entry":
		return r.each("nextHops", func(hop record) error {
			return reword(hop, "type", "type", map[string]string{"Instance": "host", "Tunnel": "tunnel", "HaVip": "virtual-ip",
				"RouterInterface": "router-interface", "VpnGateway": "vpn-gateway", "NatGateway": "nat-gateway"})
		})
	case "forward-entry":
		return reword(r, "protocol", "protocol", map[string]int{"TCP": 6, "UDP": 17, "Any": 0})
	case "receipt":
		return r.within("result", result)
	case "nat-gateway":
		type limits struct {
			Sessions   int `json:"sessions"`
			NewASecond int `json:"newASecond"`
		}
		return reword(r, "spec", "limits", map[string]limits{"Small": {10_000, 1_000}, "Middle": {50_000, 5_000}, "Large": {200_000, 10_000}})
	}
	return nil
}

// result is what a call has returned that may be repeated. Some returned a resource.
func result(r record) error {
	switch {
	case r["overlayMode"] != nil || r["weight"] != nil && r["connection"] != nil:
		return fieldWords("vpn-route", r)
	case r["sslConnections"] != nil || r["ipsec"] != nil && r["chargeType"] != nil:
		return fieldWords("vpn-gateway", r)
	}
	return nil
}

// proposal takes encAlg, authAlg and group of a phase to a proposal.
func proposal(r record) error {
	groups := map[string]int{"group1": 1, "group2": 2, "group5": 5, "group14": 14, "group24": 24, "disabled": 0}
	encryptions := map[string]string{"aes": "aes128", "aes192": "aes192", "aes256": "aes256", "des": "des", "3des": "3des"}
	hashes := map[string]string{}
	for _, h := range []string{"md5", "sha1", "sha256", "sha384", "sha512"} {
		hashes[h] = h
	}
	p := record{}
	maps.Copy(p, record{"e": r["encAlg"], "i": r["authAlg"], "g": r["group"]})
	for _, name := range []string{"encAlg", "authAlg", "group"} {
		delete(r, name)
	}
	return all(
		func() error { return reword(p, "e", "encryption", encryptions) },
		func() error { return reword(p, "i", "integrity", hashes) },
		func() error { return reword(p, "g", "group", groups) },
		func() error { return r.put("proposal", p) },
	)
}

func ike(r record) error {
	return all(
		func() error { return proposal(r) },
		func() error { return reword(r, "version", "version", map[string]int{"ikev1": 1, "ikev2": 2}) },
		func() error {
			return reword(r, "mode", "aggressive", map[string]bool{"main": false, "aggressive": true})
		},
	)
}
