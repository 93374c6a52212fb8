package probe

import (
	"errors"
	"io/fs"
	"net"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func tryVeth(s *stage) (string, error) {
	_, err := s.veth()
	return "", err
}

func tryBridge(s *stage) (string, error) {
	bridge, err := s.add(&netlink.Bridge{LinkAttrs: named("br")})
	if err != nil {
		return "", err
	}
	port, err := s.veth()
	if err != nil {
		return "", err
	}
	return "", s.nl.LinkSetMaster(port, bridge)
}

func tryMacvlan(s *stage) (string, error) {
	parent, err := s.veth()
	if err != nil {
		return "", err
	}
	attrs := named("m")
	attrs.ParentIndex = parent.Attrs().Index
	_, err = s.add(&netlink.Macvlan{LinkAttrs: attrs, Mode: netlink.MACVLAN_MODE_BRIDGE})
	return "", err
}

func tryVLAN(s *stage) (string, error) {
	parent, err := s.veth()
	if err != nil {
		return "", err
	}
	attrs := named("v")
	attrs.ParentIndex = parent.Attrs().Index
	_, err = s.add(&netlink.Vlan{LinkAttrs: attrs, VlanId: 100, VlanProtocol: netlink.VLAN_PROTOCOL_8021Q})
	return "", err
}

func tryVXLAN(s *stage) (string, error) {
	_, err := s.add(&netlink.Vxlan{LinkAttrs: named("x"), VxlanId: 100, Port: 4789, Learning: true})
	return "", err
}

func tryRules(s *stage) (string, error) {
	rule := netlink.NewRule()
	rule.Priority, rule.Table, rule.Mark = 100, 200, 1
	return "", s.nl.RuleAdd(rule)
}

func tryTUN(s *stage) (string, error) {
	tun := &netlink.Tuntap{LinkAttrs: named("t"), Mode: netlink.TUNTAP_MODE_TUN, NonPersist: true, Queues: 1}
	err := s.nl.LinkAdd(tun)
	for _, f := range tun.Fds {
		f.Close()
	}
	if errors.Is(err, fs.ErrNotExist) {
		return "", lacking("there is no /dev/net/tun")
	}
	return "", err
}

func tryXFRMInterface(s *stage) (string, error) {
	_, err := s.add(&netlink.Xfrmi{LinkAttrs: named("i"), Ifid: 1})
	return "", err
}

func tryESP(s *stage) (string, error) {
	state := &netlink.XfrmState{
		Src: net.IPv4(192, 0, 2, 1), Dst: net.IPv4(192, 0, 2, 2),
		Proto: netlink.XFRM_PROTO_ESP, Mode: netlink.XFRM_MODE_TUNNEL, Spi: 0x100, ReplayWindow: 32,
		Auth:  &netlink.XfrmStateAlgo{Name: "hmac(sha256)", Key: make([]byte, 32), TruncateLen: 128},
		Crypt: &netlink.XfrmStateAlgo{Name: "cbc(aes)", Key: make([]byte, 16)},
	}
	return "", s.nl.XfrmStateAdd(state)
}

func tryHTB(s *stage) (string, error) {
	dev, err := s.veth()
	if err != nil {
		return "", err
	}
	return "", s.nl.QdiscAdd(netlink.NewHtb(netlink.QdiscAttrs{
		LinkIndex: dev.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT,
	}))
}

func tryTBF(s *stage) (string, error) {
	dev, err := s.veth()
	if err != nil {
		return "", err
	}
	return "", s.nl.QdiscAdd(&netlink.Tbf{
		QdiscAttrs: netlink.QdiscAttrs{LinkIndex: dev.Attrs().Index, Handle: netlink.MakeHandle(1, 0), Parent: netlink.HANDLE_ROOT},
		Rate:       1 << 20, Limit: 1 << 20, Buffer: 1 << 16,
	})
}

func tryIFB(s *stage) (string, error) {
	_, err := s.add(&netlink.Ifb{LinkAttrs: named("q")})
	return "", err
}

func tryConntrack(s *stage) (string, error) {
	if _, err := s.nl.ConntrackTableList(netlink.ConntrackTable, unix.AF_INET); err != nil {
		return "", err
	}
	return "", s.rule(ctState()...)
}
