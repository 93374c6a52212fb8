package lab

import (
	"fmt"
	"strings"

	"github.com/vishvananda/netlink"

	"sluice/dataplane/netns"
)

// In runs fn in the named network namespace; an empty name is the caller's
// own. fn runs on a thread that is in the namespace, so sockets that it opens
// and processes that it starts are in there for good. fn must not start
// goroutines that need the namespace, and must return: t.FailNow is not for it.
func In(namespace string, fn func() error) error {
	if namespace == "" {
		return fn()
	}
	ns, err := netns.Open(namespace)
	if err != nil {
		return err
	}
	defer ns.Close()
	return ns.Do(fn)
}

// hostSettings put what a namespace inherits from the machine to what a plain
// host has: no forwarding, and no IPv6, which nothing here speaks.
var hostSettings = []netns.Sysctl{
	{Path: "ipv4/conf/all/forwarding", Value: "0"},
	{Path: "ipv6/conf/all/disable_ipv6", Value: "1", Optional: true},
}

// createNamespace makes the namespace of a host, with its loopback up.
func createNamespace(name string) error {
	ns, _, err := netns.Create(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	if err := ns.Set(hostSettings...); err != nil {
		return fmt.Errorf("network namespace %s: %w", name, err)
	}
	lo, err := ns.Netlink().LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find the loopback of %s: %w", name, err)
	}
	return ns.Netlink().LinkSetUp(lo)
}

// exists says whether there is a namespace of that name, or a file in its
// place.
func exists(name string) (bool, error) {
	names, err := netns.List()
	if err != nil {
		return false, err
	}
	for _, n := range names {
		if n == name {
			return true, nil
		}
	}
	return false, nil
}

// inNamespace runs fn with a netlink handle into the namespace.
func inNamespace(name string, fn func(nl *netlink.Handle, ns *netns.Namespace) error) error {
	ns, err := netns.Open(name)
	if err != nil {
		return err
	}
	defer ns.Close()
	return fn(ns.Netlink(), ns)
}

// checkName refuses names that cannot be part of a namespace's name.
func checkName(what, name string) error {
	ok := name != "" && len(name) <= 40 && !strings.HasPrefix(name, "-")
	for _, r := range name {
		ok = ok && (r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	}
	if !ok {
		return fmt.Errorf("%s %q will not do; take up to 40 letters, digits, '-' and '_', for example web", what, name)
	}
	return nil
}
