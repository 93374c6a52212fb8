package ipsec

import (
	"fmt"
	"strings"
	"testing"

	"sluice/dataplane"
)

// The catalog's values, and how a peer's list-sas names them.
var (
	matrixEncryptions = []struct {
		value dataplane.Encryption
		said  string
	}{{dataplane.AES128, "AES_CBC-128"}, {dataplane.AES192, "AES_CBC-192"}, {dataplane.AES256, "AES_CBC-256"}, {dataplane.DES, "DES_CBC"}, {dataplane.TripleDES, "3DES_CBC"}}

	matrixIntegrities = []struct {
		value     dataplane.Integrity
		said, prf string
	}{
		{dataplane.MD5, "HMAC_MD5_96", "PRF_HMAC_MD5"},
		{dataplane.SHA1, "HMAC_SHA1_96", "PRF_HMAC_SHA1"},
		{dataplane.SHA256, "HMAC_SHA2_256_128", "PRF_HMAC_SHA2_256"},
		{dataplane.SHA384, "HMAC_SHA2_384_192", "PRF_HMAC_SHA2_384"},
		{dataplane.SHA512, "HMAC_SHA2_512_256", "PRF_HMAC_SHA2_512"},
	}

	matrixGroups = []struct {
		value dataplane.DHGroup
		said  string
	}{{1, "MODP_768"}, {2, "MODP_1024"}, {5, "MODP_1536"}, {14, "MODP_2048"}, {24, "MODP_2048_256"}, {0, ""}}
)

// cell is one tunnel of the matrix.
type cell struct {
	name     string
	c        dataplane.VPNConnection
	ike, esp string // as the peer says
	group    string // of perfect forward secrecy, likewise; empty: none
}

// matrix returns tunnels that have, for each version and mode, every encryption,
// hash, and group once in phase 1 and once in phase 2, and no group in phase 2.
// A short one has every value of each phase once, and takes the modes in turn.
func matrix(short bool) []cell {
	modes := []struct {
		name       string
		version    int
		aggressive bool
	}{{"ikev1 main", 1, false}, {"ikev1 aggressive", 1, true}, {"ikev2", 2, false}}
	var cells []cell
	for m, mode := range modes {
		for k := range matrixGroups {
			if short && k%len(modes) != m {
				continue
			}
			// Each mode combines the values in another way.
			shift := m
			if short {
				shift = 0
			}
			at := func(n int) int { return n % 5 }
			e1, i1, g1 := matrixEncryptions[at(k)], matrixIntegrities[at(k+shift)], matrixGroups[at(k+2*shift)]
			e2, i2, g2 := matrixEncryptions[at(k+1+shift)], matrixIntegrities[at(k+3)], matrixGroups[(k+1)%6]
			c := usual()
			c.IKE.Version, c.IKE.Aggressive = mode.version, mode.aggressive
			c.IKE.Proposal = dataplane.Proposal{Encryption: e1.value, Integrity: i1.value, Group: g1.value}
			c.ESP.Proposal = dataplane.Proposal{Encryption: e2.value, Integrity: i2.value, Group: g2.value}
			cells = append(cells, cell{
				name:  fmt.Sprintf("%s, %s, %s", mode.name, proposal(c.IKE.Proposal), proposal(c.ESP.Proposal)),
				c:     c,
				ike:   strings.Join([]string{e1.said, i1.said, i1.prf, g1.said}, "/"),
				esp:   e2.said + "/" + i2.said,
				group: g2.said,
			})
		}
	}
	return cells
}

// Nothing is missing from the matrix.
func TestMatrixWhole(t *testing.T) {
	t.Parallel()
	modes := map[string]map[string]bool{}
	for _, short := range []bool{false, true} {
		for _, x := range matrix(short) {
			mode := fmt.Sprint(short)
			if !short {
				mode += fmt.Sprint(x.c.IKE.Version, x.c.IKE.Aggressive)
			}
			if modes[mode] == nil {
				modes[mode] = map[string]bool{}
			}
			for phase, p := range []dataplane.Proposal{x.c.IKE.Proposal, x.c.ESP.Proposal} {
				for _, v := range []string{string(p.Encryption), string(p.Integrity), fmt.Sprint(p.Group)} {
					modes[mode][fmt.Sprint(phase+1, " ", v)] = true
				}
			}
		}
	}
	if len(modes) != 4 {
		t.Errorf("modes: %v", modes)
	}
	// Without Null, of ESP alone, which is in TestPolicies.
	want := 2*(len(encryptions)-1+len(integrities)+len(groups)) + 1
	for mode, values := range modes {
		if len(values) != want {
			t.Errorf("%s has %d of %d values: %v", mode, len(values), want, values)
		}
	}
}

// Every algorithm that the catalog has is negotiated in every version and mode,
// as the peer sees it.
func TestMatrix(t *testing.T) {
	each(t, func(t *testing.T, l *lab) {
		for _, x := range matrix(testing.Short()) {
			t.Run(x.name, func(t *testing.T) {
				l.t = t
				if err := l.m.Abilities(t.Context()).Refuses(&x.c); err != nil {
					t.Skip(err)
				}
				l.answer(x.c)
				l.apply() // forgets what was before
				l.apply(x.c)
				esp := x.esp
				if x.group != "" && x.c.IKE.Version == 1 {
					esp += "/" + x.group
				}
				l.says(x, esp)
				l.carries("10.1.0.2")
				if x.group == "" || x.c.IKE.Version == 1 {
					return
				}
				// With IKEv2 the first CHILD_SA has its keys from the IKE_SA; the
				// group counts for those after it (RFC 7296, section 1.2).
				l.swanctl("--rekey", "--child", x.c.ID)
				l.says(x, x.esp+"/"+x.group)
				l.carries("10.1.0.2")
			})
		}
		l.t = t
	})
}

// says waits until both ends have the same SAs, of a cell's algorithms.
func (l *lab) says(x cell, esp string) {
	l.t.Helper()
	l.eventually(func() error {
		if s := l.m.Status(network)[x.c.ID]; !s.Child || s.IKEProposal != x.ike || s.ESPProposal != esp {
			return fmt.Errorf("status %+v, want %s and %s", s, x.ike, esp)
		}
		said := l.swanctl("--list-sas")
		if !strings.Contains(said, fmt.Sprintf("IKEv%d", x.c.IKE.Version)) || !strings.Contains(said, " "+x.ike+"\n") || !strings.Contains(said, "ESP:"+esp+"\n") {
			return fmt.Errorf("the peer says %s\nwant IKEv%d, %s, %s", said, x.c.IKE.Version, x.ike, esp)
		}
		return nil
	})
}
