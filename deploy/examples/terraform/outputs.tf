output "public_address" {
  description = "Where the web server is reached."
  value       = alicloud_eip_address.in.ip_address
}

output "vpn_address" {
  description = "Where the branch's VPN device connects to."
  value       = alicloud_vpn_gateway.main.internet_ip
}
