package main

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"sluice/dataplane/netns"
)

// createNamespace makes a named network namespace without IPv6, whose
// neighbour discovery would be among the packets.
func createNamespace(name string) error {
	ns, made, err := netns.Create(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	if !made {
		return fmt.Errorf("create network namespace %s: there is one already", name)
	}
	err = ns.Set(
		netns.Sysctl{Path: "ipv6/conf/all/disable_ipv6", Value: "1", Optional: true},
		netns.Sysctl{Path: "ipv6/conf/default/disable_ipv6", Value: "1", Optional: true},
	)
	if err != nil {
		return fmt.Errorf("turn off IPv6 in network namespace %s: %w", name, err)
	}
	lo, err := ns.Netlink().LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback of %s: %w", name, err)
	}
	return ns.Netlink().LinkSetUp(lo)
}

// removeNamespaces removes all named network namespaces of the run but the
// lab's, and with them the links in them.
func (r *run) removeNamespaces() error {
	names, err := netns.List()
	if err != nil {
		return err
	}
	var errs []error
	for _, name := range slices.DeleteFunc(names, func(n string) bool {
		return !strings.HasPrefix(n, r.name("")) || strings.HasPrefix(n, r.name("lab"))
	}) {
		errs = append(errs, netns.Delete(name))
	}
	return errors.Join(errs...)
}
