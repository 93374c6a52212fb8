// Package inventory is the operator's list of instances: who holds which
// private address. The cloud's compute service would know that; here whoever
// runs the hosts says it.
//
// Elastic IPs are bound to instances, routes lead to them, and DNAT and SNAT
// entries ask what holds an address. An address of a VSwitch that the inventory
// doesn't know counts as an ordinary ECS instance, so that nobody has to fill
// the inventory for NAT to work. Instances follow their VSwitch's account.
package inventory
