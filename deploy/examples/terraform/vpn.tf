# An IPsec connection to a branch.

resource "alicloud_vpn_gateway" "main" {
  vpn_gateway_name = "main"
  vpc_id           = alicloud_vpc.main.id
  bandwidth        = "10"
  enable_ipsec     = true
  payment_type     = "PayAsYouGo"
  vswitch_id       = alicloud_vswitch.app.id
}

resource "alicloud_vpn_customer_gateway" "branch" {
  customer_gateway_name = "branch"
  ip_address            = var.branch_address
  description           = "The branch's VPN device"
}

resource "alicloud_vpn_connection" "branch" {
  vpn_connection_name = "branch"
  vpn_gateway_id      = alicloud_vpn_gateway.main.id
  customer_gateway_id = alicloud_vpn_customer_gateway.branch.id
  local_subnet        = [alicloud_vswitch.app.cidr_block]
  remote_subnet       = [var.branch_network]
  effect_immediately  = true

  ike_config {
    ike_version  = "ikev2"
    ike_enc_alg  = "aes256"
    ike_auth_alg = "sha256"
    ike_pfs      = "group14"
    ike_lifetime = 86400
    psk          = var.branch_key
  }

  ipsec_config {
    ipsec_enc_alg  = "aes256"
    ipsec_auth_alg = "sha256"
    ipsec_pfs      = "group14"
    ipsec_lifetime = 3600
  }
}

resource "alicloud_vpn_route_entry" "branch" {
  vpn_gateway_id = alicloud_vpn_gateway.main.id
  route_dest     = var.branch_network
  next_hop       = alicloud_vpn_connection.branch.id
  weight         = 100
  publish_vpc    = true
}
