variable "endpoint" {
  description = "Where sluiced listens: host:port."
  type        = string
  default     = "127.0.0.1:8080"
}

variable "protocol" {
  description = "HTTPS with tls in sluiced's configuration, else HTTP."
  type        = string
  default     = "HTTP"
}

variable "region" {
  description = "A region of sluiced's configuration."
  type        = string
  default     = "cn-hangzhou"
}

variable "zone" {
  description = "A zone of that region."
  type        = string
  default     = "cn-hangzhou-a"
}

variable "access_key" {
  type = string
}

variable "secret_key" {
  type      = string
  sensitive = true
}

variable "web_server" {
  description = "Address in the VSwitch to which port 80 of the public address leads."
  type        = string
  default     = "10.0.1.10"
}

variable "branch_address" {
  description = "Public address of the branch's VPN device."
  type        = string
  default     = "198.51.100.2"
}

variable "branch_network" {
  description = "The network behind it."
  type        = string
  default     = "192.168.8.0/24"
}

variable "branch_key" {
  description = "Pre-shared key of the VPN connection."
  type        = string
  sensitive   = true
  default     = "change-me-please"
}
