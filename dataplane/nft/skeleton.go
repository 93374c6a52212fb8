package nft

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"strings"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/google/nftables/userdata"
)

// tableName is the name of the table; its family is ip.
const tableName = "sluice"

// The packet marks that the table sets before routing, for routing rules to
// select by. The same value as MarkPublic in the connection mark says that a
// connection came in through the uplink.
const (
	// MarkPublic is on replies of connections that came in through the uplink:
	// they must leave by it, whatever the route table says.
	MarkPublic = 0x1
	// MarkMapped is on packets of hosts with a 1:1 elastic IP: they have a way
	// out by the uplink without a route in the route table.
	MarkMapped = 0x2
	// MarkOutside is on what came in through the uplink, besides what is for the
	// VPN gateway. An ICMP error about it takes the mark over (sysctl
	// fwmark_reflect) and goes back that way.
	MarkOutside = 0x8
)

// MarkRefused is on packets that somebody before the table wants answered with
// an ICMP error: package session, where a connection is one too many.
const MarkRefused = 0x4

// MarkCrowded is on packets that may not begin a connection, since conntrack's
// table has no room for it: package session, which cannot tell of all protocols
// whether they do.
const MarkCrowded = 0x20

// The named counters: one for each reason to drop a packet.
const (
	CounterPrivateSource = "private_source" // leaves the uplink without an elastic IP as its source
	CounterUnsolicited   = "unsolicited"    // comes in by the uplink, belongs to no connection or entry
	CounterUnmatched     = "unmatched"      // is addressed to the gateway itself, or to an elastic IP without an entry for it
	CounterTransit       = "transit"        // came in by the uplink and would leave by it
	CounterInvalid       = "invalid"        // crosses the uplink, and conntrack cannot place it
	CounterRefused       = "refused"        // opens a connection too many, and was answered
	CounterCrowded       = "crowded"        // opens a connection for which conntrack's table has no room
	CounterSpoofed       = "spoofed"        // comes from a VSwitch with an elastic IP as its source, from a tunnel with the address of a VSwitch or an SSL-VPN client, or from such a client with another than one of its server's pool
	CounterUnreturned    = "unreturned"     // comes in by a router interface, and no route table of the VPC leads its source back there
	CounterUnreached     = "unreached"      // comes from an SSL-VPN client, for what it may not reach
	CounterUnlinked      = "unlinked"       // comes from the classic network or goes there, and is not between a VSwitch and a host that is linked
	CounterFlooded       = "flooded"        // calls an SSL-VPN server more often than whom it has not answered may
)

func counterNames() []string {
	return []string{CounterPrivateSource, CounterUnsolicited, CounterUnmatched, CounterTransit, CounterInvalid, CounterRefused, CounterCrowded, CounterSpoofed, CounterUnreached, CounterUnreturned, CounterUnlinked, CounterFlooded}
}

// chainSpec is one chain with its rules. A chain without a hook is only
// reached by a jump.
type chainSpec struct {
	name     string
	hook     *nftables.ChainHook
	priority *nftables.ChainPriority
	kind     nftables.ChainType
	policy   nftables.ChainPolicy
	rules    []ruleSpec
}

// ruleSpec is one rule: its text, as nft prints it, and its expressions.
type ruleSpec struct {
	text  string
	exprs exprs
}

// rule joins parts, each an expr.Any or exprs, to a rule.
func rule(text string, parts ...any) ruleSpec {
	r := ruleSpec{text: text}
	for _, p := range parts {
		if list, ok := p.(exprs); ok {
			r.exprs = append(r.exprs, list...)
		} else {
			r.exprs = append(r.exprs, p.(expr.Any))
		}
	}
	return r
}

// skeletonText returns the fixed part as text, near to what nft prints.
func skeletonText() string {
	var b strings.Builder
	fmt.Fprintf(&b, "table ip %s {\n", tableName)
	for _, c := range counterNames() {
		fmt.Fprintf(&b, "\tcounter %s\n", c)
	}
	for id := range setCount {
		s := kernelSet(&nftables.Table{}, id)
		kind, typ := "set", s.KeyType.Name
		if s.IsMap {
			kind, typ = "map", s.KeyType.Name+" : "+s.DataType.Name
		}
		fmt.Fprintf(&b, "\t%s %s { type %s", kind, id, typ)
		if s.Interval {
			b.WriteString("; flags interval")
		}
		if s.Dynamic {
			fmt.Fprintf(&b, "; size %d; flags dynamic,timeout; timeout %.0fs", s.Size, s.Timeout.Seconds())
		}
		b.WriteString(" }\n")
	}
	for _, c := range chains() {
		fmt.Fprintf(&b, "\tchain %s {\n", c.name)
		if c.hook != nil {
			fmt.Fprintf(&b, "\t\ttype %s hook %s priority %d; policy %s;\n",
				c.kind, hookNames[*c.hook], *c.priority, policyText(c.policy))
		}
		for _, r := range c.rules {
			fmt.Fprintf(&b, "\t\t%s\n", r.text)
		}
		b.WriteString("\t}\n")
	}
	b.WriteString("}\n")
	return b.String()
}

// hookNames is constant; it is indexed by the kernel's hook number.
var hookNames = [...]string{"prerouting", "input", "forward", "output", "postrouting"}

func policyText(p nftables.ChainPolicy) string {
	if p == nftables.ChainPolicyDrop {
		return "drop"
	}
	return "accept"
}

// skeletonHash identifies the fixed part: its text, and what the expressions
// of its rules say.
var skeletonHash = sync.OnceValue(func() string {
	h := sha256.New()
	fmt.Fprint(h, skeletonText())
	for _, c := range chains() {
		for _, r := range c.rules {
			for _, e := range r.exprs {
				fmt.Fprintln(h, fingerprint(e))
			}
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:8])
})

// ruleTag is the comment on rule i of a chain. It tells our rules from others,
// and those of this version from those of another.
func ruleTag(chain string, i int) []byte {
	return userdata.AppendString(nil, userdata.Type(userdata.TypeComment),
		fmt.Sprintf("%s %s %d", skeletonHash(), chain, i))
}
