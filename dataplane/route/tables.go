package route

import (
	"errors"
	"fmt"
	"hash/fnv"

	"sluice/dataplane"
	"sluice/dataplane/nft"
)

// vpcTable is a route table of the VPC as the kernel has it.
type vpcTable struct {
	number  int
	entries []dataplane.Route
	links   []string // of the VSwitches that are bound to it; empty for the main one, which the others have
}

func (t *vpcTable) isMain() bool { return t.number == VPCTable }

// vpcTables returns the route tables of a network, the main one first. Of two with the same
// number, which hardly ever are, the second has no entries: in the table of the other its
// VSwitches would take the other's ways.
func vpcTables(n *dataplane.Network) ([]vpcTable, error) {
	out, owner := []vpcTable{{number: VPCTable, entries: n.Routes}}, map[int]string{}
	var errs []error
	for i := range n.Tables {
		t := &n.Tables[i]
		made := vpcTable{number: RouteTableNumber(t.ID), entries: t.Routes}
		if other, taken := owner[made.number]; taken {
			errs = append(errs, fmt.Errorf("route table %s leads nowhere: its number would be that of %s, %d; make it anew, which gives it another id", t.ID, other, made.number))
			made = vpcTable{number: NowhereTable}
		} else {
			owner[made.number] = t.ID
		}
		for _, id := range t.Switches {
			made.links = append(made.links, dataplane.LinkName(id))
		}
		out = append(out, made)
	}
	return out, errors.Join(errs...)
}

// RouteTableNumber returns the number in the kernel of a route table besides the main one.
func RouteTableNumber(id string) int { return routeTables | hashed(id)&(routeTables-1) }

// hashed returns a hash of an id, of 32 bits.
func hashed(id string) int {
	h := fnv.New32a()
	h.Write([]byte(id))
	return int(h.Sum32())
}

// isVPCTable reports whether a table is one of the VPC's route tables.
func isVPCTable(number int) bool {
	return number == VPCTable || number >= routeTables && number < connectionTables
}

// Priorities of the rules of VSwitches with a route table of their own. They are what the
// main one's rules are to others (see commonRules), and those are passed over.
const (
	boundTable   = 2210 // but for its default route
	boundMapped  = 2211 // hosts with an elastic IP of their own need no default route
	boundDefault = 2212
	boundEnd     = 2213
	afterTables  = 2250
)

// boundRules returns the rules of the VSwitches that are bound to a table.
func (t *vpcTable) boundRules() []Rule {
	var out []Rule
	for _, link := range t.links {
		out = append(out,
			Rule{Priority: boundTable, From: link, Table: t.number, ExceptDefaults: true},
			Rule{Priority: boundMapped, From: link, Table: PublicTable, Mark: nft.MarkMapped},
			Rule{Priority: boundDefault, From: link, Table: t.number},
			Rule{Priority: boundEnd, From: link, Goto: afterTables})
	}
	return out
}
