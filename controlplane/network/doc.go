// Package network carries out the actions on VPCs, VRouters, VSwitches and
// route tables, and on regions and zones: their rules, dependencies and states.
//
// It takes a caller and plain values, and gives resources with their phase or a
// *fault.Error. It knows no wire words, and nothing of how the dataplane makes
// a network.
//
// Source: VPC API reference, chapters VPC, VRouter, VSwitch, RouteTable, Region.
package network
