// Package bandwidth has the rules of common bandwidth packages: a bandwidth that elastic
// IPs of a region share, those of several VPCs too. While an elastic IP is in one, that
// bandwidth holds in place of its own (VPC API reference, CreateCommonBandwidthPackage
// and the actions after it). What the kernel does about it, package compile says.
package bandwidth
