package dhcp

import (
	"net"
	"net/netip"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// leaseTime is for how long an address is given. A host asks again after half of it, and so
// hears by then what is new.
const leaseTime = time.Hour

// Settings are what the hosts of a VSwitch are told.
type Settings struct {
	Gateway netip.Addr // of the VSwitch; by it the hosts know the server, too
	Prefix  netip.Prefix
	MTU     int // of the link; 0 or 1500: nothing is said of it
	DNS     []netip.Addr
	Domain  string
	Leases  map[string]netip.Addr // by Ethernet address, as 02:00:00:00:00:01
}

// answer returns what is said to a message; nil for nothing.
func (s *Settings) answer(m *dhcpv4.DHCPv4) *dhcpv4.DHCPv4 {
	if m.OpCode != dhcpv4.OpcodeBootRequest || len(m.ClientHWAddr) != 6 || !m.GatewayIPAddr.IsUnspecified() {
		return nil
	}
	address, known := s.Leases[m.ClientHWAddr.String()]
	if !known || !s.Prefix.Contains(address) {
		return nil
	}
	if id := m.ServerIdentifier(); id != nil && !id.Equal(s.Gateway.AsSlice()) {
		return nil // it has chosen another server
	}
	switch m.MessageType() {
	case dhcpv4.MessageTypeDiscover:
		return s.grant(m, dhcpv4.MessageTypeOffer, address)
	case dhcpv4.MessageTypeRequest:
		// In the states of RFC 2131 section 4.3.2 but RENEWING and REBINDING the address
		// stands in an option, in these in ciaddr.
		wanted := m.RequestedIPAddress()
		if wanted == nil || wanted.IsUnspecified() {
			wanted = m.ClientIPAddr
		}
		if !wanted.Equal(address.AsSlice()) {
			return s.reply(m, dhcpv4.MessageTypeNak)
		}
		return s.grant(m, dhcpv4.MessageTypeAck, address)
	case dhcpv4.MessageTypeInform:
		// It has its address from elsewhere, and asks for the rest.
		out := s.reply(m, dhcpv4.MessageTypeAck)
		if out == nil {
			return nil
		}
		out.ClientIPAddr = m.ClientIPAddr
		s.tell(out)
		return out
	}
	return nil
}

// reply returns an answer without an address; nil if none can be made.
func (s *Settings) reply(m *dhcpv4.DHCPv4, t dhcpv4.MessageType) *dhcpv4.DHCPv4 {
	out, err := dhcpv4.NewReplyFromRequest(m,
		dhcpv4.WithMessageType(t),
		dhcpv4.WithOption(dhcpv4.OptServerIdentifier(s.Gateway.AsSlice())))
	if err != nil {
		return nil
	}
	if id := m.Options.Get(dhcpv4.OptionClientIdentifier); id != nil {
		out.UpdateOption(dhcpv4.OptGeneric(dhcpv4.OptionClientIdentifier, id)) // RFC 6842
	}
	return out
}

// grant returns an answer that gives an address.
func (s *Settings) grant(m *dhcpv4.DHCPv4, t dhcpv4.MessageType, address netip.Addr) *dhcpv4.DHCPv4 {
	out := s.reply(m, t)
	if out == nil {
		return nil
	}
	out.YourIPAddr = address.AsSlice()
	if t == dhcpv4.MessageTypeAck {
		out.ClientIPAddr = m.ClientIPAddr
	}
	out.UpdateOption(dhcpv4.OptIPAddressLeaseTime(leaseTime))
	s.tell(out)
	return out
}

// tell puts into an answer what a host of the VSwitch has to know.
func (s *Settings) tell(out *dhcpv4.DHCPv4) {
	out.UpdateOption(dhcpv4.OptSubnetMask(net.CIDRMask(s.Prefix.Bits(), 32)))
	out.UpdateOption(dhcpv4.OptRouter(s.Gateway.AsSlice()))
	if s.MTU != 0 && s.MTU != 1500 {
		out.UpdateOption(dhcpv4.Option{Code: dhcpv4.OptionInterfaceMTU, Value: dhcpv4.Uint16(s.MTU)})
	}
	var servers []net.IP
	for _, a := range s.DNS {
		servers = append(servers, a.AsSlice())
	}
	if len(servers) > 0 {
		out.UpdateOption(dhcpv4.OptDNS(servers...))
	}
	if s.Domain != "" {
		out.UpdateOption(dhcpv4.OptDomainName(s.Domain))
	}
}

// destination returns where an answer goes: to whom is known by Ethernet and IP address, or
// to all (RFC 2131 section 4.1).
func destination(m, out *dhcpv4.DHCPv4) (mac net.HardwareAddr, ip net.IP) {
	all := net.HardwareAddr{255, 255, 255, 255, 255, 255}
	switch {
	case out.MessageType() == dhcpv4.MessageTypeNak:
		return all, net.IPv4bcast
	case !m.ClientIPAddr.IsUnspecified():
		return m.ClientHWAddr, m.ClientIPAddr
	case m.IsBroadcast():
		return all, net.IPv4bcast
	}
	return m.ClientHWAddr, out.YourIPAddr
}
