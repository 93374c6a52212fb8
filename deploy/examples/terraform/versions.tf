terraform {
  required_providers {
    alicloud = {
      source = "aliyun/alicloud"
    }
  }
}

provider "alicloud" {
  access_key = var.access_key
  secret_key = var.secret_key
  region     = var.region
  protocol   = var.protocol

  endpoints {
    vpc = var.endpoint
    ecs = var.endpoint
    sts = var.endpoint
    ram = var.endpoint
  }
}
