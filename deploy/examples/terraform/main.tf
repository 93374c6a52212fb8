# A VPC with two VSwitches; the hosts of the first reach the Internet by a NAT gateway,
# and one of them is reached at a port of a public address.

resource "alicloud_vpc" "main" {
  vpc_name   = "main"
  cidr_block = "10.0.0.0/16"
}

resource "alicloud_vswitch" "app" {
  vswitch_name = "app"
  vpc_id       = alicloud_vpc.main.id
  cidr_block   = "10.0.1.0/24"
  zone_id      = var.zone
}

resource "alicloud_vswitch" "back" {
  vswitch_name = "back"
  vpc_id       = alicloud_vpc.main.id
  cidr_block   = "10.0.2.0/24"
  zone_id      = var.zone
}

resource "alicloud_nat_gateway" "main" {
  nat_gateway_name = "main"
  vpc_id           = alicloud_vpc.main.id
  vswitch_id       = alicloud_vswitch.app.id
  nat_type         = "Enhanced"
  payment_type     = "PayAsYouGo"
}

resource "alicloud_eip_address" "out" {
  address_name         = "out"
  bandwidth            = "100"
  internet_charge_type = "PayByTraffic"
}

resource "alicloud_eip_association" "out" {
  allocation_id = alicloud_eip_address.out.id
  instance_id   = alicloud_nat_gateway.main.id
}

resource "alicloud_eip_address" "in" {
  address_name         = "in"
  bandwidth            = "100"
  internet_charge_type = "PayByTraffic"
}

resource "alicloud_eip_association" "in" {
  allocation_id = alicloud_eip_address.in.id
  instance_id   = alicloud_nat_gateway.main.id
}

resource "alicloud_snat_entry" "app" {
  snat_table_id     = alicloud_nat_gateway.main.snat_table_ids
  source_vswitch_id = alicloud_vswitch.app.id
  snat_ip           = alicloud_eip_address.out.ip_address
  snat_entry_name   = "app"
  depends_on        = [alicloud_eip_association.out]
}

resource "alicloud_forward_entry" "web" {
  forward_table_id   = alicloud_nat_gateway.main.forward_table_ids
  forward_entry_name = "web"
  external_ip        = alicloud_eip_address.in.ip_address
  external_port      = "80"
  ip_protocol        = "tcp"
  internal_ip        = var.web_server
  internal_port      = "8080"
  depends_on         = [alicloud_eip_association.in]
}

# The second VSwitch has a route table of its own.

resource "alicloud_route_table" "back" {
  vpc_id           = alicloud_vpc.main.id
  route_table_name = "back"
  associate_type   = "VSwitch"
}

resource "alicloud_route_table_attachment" "back" {
  vswitch_id     = alicloud_vswitch.back.id
  route_table_id = alicloud_route_table.back.id
}
