package link_test

import (
	"encoding/binary"
	"testing"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"sluice/dataplane"
	"sluice/dataplane/internal/nstest"
	"sluice/dataplane/link"
	"sluice/dataplane/netns"
)

// maxLearned reads how many addresses a bridge learns at most, 0 for any number; ok is
// false where the kernel knows of no bound.
func maxLearned(t *testing.T, ns *netns.Namespace, name string) (most uint32, ok bool) {
	t.Helper()
	req := nl.NewNetlinkRequest(unix.RTM_GETLINK, unix.NLM_F_ACK)
	msg := nl.NewIfInfomsg(unix.AF_UNSPEC)
	msg.Index = int32(nstest.Link(t, ns, name).Attrs().Index)
	req.AddData(msg)
	var answers [][]byte
	err := ns.Do(func() (err error) {
		answers, err = req.Execute(unix.NETLINK_ROUTE, 0)
		return err
	})
	if err != nil || len(answers) != 1 {
		t.Fatalf("%d answers, %v", len(answers), err)
	}
	// inside returns the attributes in an attribute.
	inside := func(b []byte, attribute uint16) []byte {
		list, err := nl.ParseRouteAttr(b)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range list {
			if a.Attr.Type == attribute {
				return a.Value
			}
		}
		return nil
	}
	value := inside(inside(inside(answers[0][unix.SizeofIfInfomsg:], unix.IFLA_LINKINFO), nl.IFLA_INFO_DATA), unix.IFLA_BR_FDB_MAX_LEARNED)
	if len(value) != 4 {
		return 0, false
	}
	return binary.NativeEndian.Uint32(value), true
}

// A bridge has a bound of what it learns, also one that an earlier version has made; one
// of somebody else's is left alone.
func TestBoundLearning(t *testing.T) {
	ns := nstest.New(t)
	bridge := func(name, alias string, group uint32) {
		attrs := netlink.NewLinkAttrs()
		attrs.Name, attrs.Group = name, group
		if err := ns.Netlink().LinkAdd(&netlink.Bridge{LinkAttrs: attrs}); err != nil {
			t.Fatal(err)
		}
		if err := ns.Netlink().LinkSetAlias(nstest.Link(t, ns, name), alias); err != nil {
			t.Fatal(err)
		}
	}
	bridge("vsw-old", "sluice VSwitch vsw-old", link.Group)
	bridge("vsw-theirs", "", 0)
	attached := dataplane.Attachment{Kind: dataplane.AttachBridge}
	n := network("vpc-t", vswitch("vsw-new", "10.0.1.0/24", "10.0.1.253", attached), vswitch("vsw-old", "10.0.2.0/24", "10.0.2.253", attached))
	mustApply(t, ns, ns, n)
	most, ok := maxLearned(t, ns, "vsw-new")
	if !ok {
		t.Skip("this kernel's bridges have no bound (Linux 6.7)")
	}
	if most == 0 {
		t.Error("a new one learns any number")
	}
	n.Switches = append(n.Switches, vswitch("vsw-theirs", "10.0.3.0/24", "10.0.3.253", attached))
	l := link.New(ns, ns)
	s, err := l.Read(t.Context(), n)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.BoundLearning(s, n); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]uint32{"vsw-new": most, "vsw-old": most, "vsw-theirs": 0} {
		if got, _ := maxLearned(t, ns, name); got != want {
			t.Errorf("%s learns %d, want %d", name, got, want)
		}
	}
}
