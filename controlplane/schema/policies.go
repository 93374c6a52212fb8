package schema

// policies leads to schema 5, in which an IPsec connection has pairs of a local with remote
// subnets. Until then each local subnet could talk to each remote one.
func policies(kind string, r record) error {
	if kind != "vpn-connection" {
		return nil
	}
	var locals, remotes []string
	if err := all(func() error { return r.take("localSubnets", &locals) }, func() error { return r.take("remoteSubnets", &remotes) }); err != nil {
		return err
	}
	type policy struct {
		Local   string   `json:"local"`
		Remotes []string `json:"remotes"`
	}
	list := []policy{}
	for _, l := range locals {
		list = append(list, policy{l, remotes})
	}
	return r.put("policies", list)
}
