// Package routerinterface carries out the actions on router interfaces: the ends of
// point-to-point links between routers of VPCs, of one account or two, of one region or two.
//
// What crosses a link is decided by the route tables at its ends, which package network keeps.
// The package knows no wire word and no kernel: that a link is there it takes from what the
// dataplanes of both networks have reported.
package routerinterface
