package ipsec

import (
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/strongswan/govici/vici"

	"sluice/dataplane"
)

// notes are what has been heard of an IKE_SA.
type notes struct {
	connection  string // when charon has no name for it yet
	established bool   // it has been
	carried     bool   // a CHILD_SA of it has been up
	refused     bool   // a CHILD_SA was refused in it, by either end
	failed      bool   // it cannot come about, though charon goes on with it
	later       bool   // the first message has been answered, a later one is not
	// What the last lines before a reason say: charon's own words.
	offered, configured, identities, asked string
}

// note returns the notes of an IKE_SA.
func (s *states) note(id string) *notes {
	if s.notes == nil || len(s.notes) > mostIDs {
		s.notes = map[string]*notes{}
	}
	if s.notes[id] == nil {
		s.notes[id] = &notes{}
	}
	n, _ := strconv.ParseUint(id, 10, 64)
	s.newest = max(s.newest, n)
	return s.notes[id]
}

// refused reports whether a CHILD_SA was refused in an IKE_SA.
func (s *states) refused(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.notes[id]
	return n != nil && n.refused
}

// refusesSubnets reports whether the last that is known of a connection is that its
// subnets were refused.
func (s *states) refusesSubnets(connection string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	one := s.by[connection]
	return one != nil && one.Error != "" && one.Fault.Kind == kindSubnets
}

// failed reports whether an IKE_SA cannot come about.
func (s *states) failed(id string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := s.notes[id]
	return n != nil && n.failed
}

// failure is a fault that is news.
type failure struct {
	connection string
	dataplane.VPNFault
}

const (
	stale   = 90 * time.Second // after which a fault does not stand in the way of a less exact one
	sayNext = time.Hour        // and after which it is news again
	// How long a fault of a tunnel that works stands without being heard of again:
	// charon, and others, repeat a rekeying that was refused within 30 s.
	lingers = 40 * time.Second
)

// log takes in a line of charon's log. It returns whether it says that charon's
// SAs may have changed, and what has failed, if that is news.
func (s *states) log(m *vici.Message) (changed bool, news *failure) {
	line, id := text(m, "msg"), text(m, "ikesa-uniqueid")
	n := &notes{}
	if id != "" {
		n = s.note(id)
	}
	for _, finds := range []*regexp.Regexp{caller, stranger} {
		if at := finds.FindStringSubmatch(line); at != nil {
			n.connection = s.remote[at[1]]
		}
	}
	one := s.by[text(m, "ikesa-name")]
	if one == nil {
		if one = s.by[n.connection]; one == nil {
			return false, nil
		}
	}
	n.take(line)
	if isDeleting.MatchString(line) {
		return true, nil
	}
	// Not one.IKE: that may have been heard of before this line.
	if deadPeer(line, n.established) {
		one.DPDEvents++
	}
	r, why := explain(line)
	if number, _ := strconv.ParseUint(id, 10, 64); r == nil || r.early && (one.IKE || n.established) || number <= one.older && one.older > 0 {
		return false, nil
	}
	if r.last {
		one.Failures++
		n.failed = n.failed || !r.weak && !n.established
	}
	return r.last, one.fail(r, why, id, n)
}

// take notes what a line says that is no reason.
func (n *notes) take(line string) {
	if isEstablished.MatchString(line) {
		n.established = true
	}
	if at := unanswered.FindStringSubmatch(line); at != nil {
		n.later = !n.established && at[1] != "0"
	}
	if at := asked.FindStringSubmatch(line); at != nil {
		n.asked = at[1] + at[2]
	}
	if at := noted.FindStringSubmatch(line); at != nil {
		switch at[1] {
		case "received proposals: ":
			n.offered = at[2]
		case "configured proposals: ":
			n.configured = at[2]
		default:
			n.identities = at[2]
		}
	}
}

// fail takes in a reason, and of which IKE_SA it is. It returns it if that is news.
func (one *state) fail(r *reason, why, id string, n *notes) *failure {
	now := time.Now()
	f := dataplane.VPNFault{Kind: n.kind(r, &one.want), Side: r.side, First: now, Count: 1, Last: now}
	f.Text = strings.ReplaceAll(why, "$kind", f.Kind)
	f.Detail = n.detail(&f, &one.want)
	n.offered, n.configured, n.asked = "", "", ""
	n.refused = n.refused || f.Kind == kindPhase2 || f.Kind == kindPFS || f.Kind == kindSubnets
	had := &one.Fault
	fresh := one.Error != "" && now.Sub(had.Last) < stale
	switch {
	case fresh && (r.weak && had.Kind != f.Kind || lessExact(f.Kind, had.Kind)):
		return nil
	case fresh && had.Kind == f.Kind:
		f.First, f.Count = had.First, had.Count
		if r.last {
			f.Count++
		}
		// What both ends offer is known where the peer has begun only.
		if tellsPeers(had.Detail) && !tellsPeers(f.Detail) {
			f.Text, f.Detail = had.Text, had.Detail
		}
	}
	one.Fault = f
	// What works has not failed: the line may be of an attempt of somebody else, or of
	// one before, since charon's log is heard of late.
	if one.Child && (!n.established || !slices.ContainsFunc(one.SAs, func(sa dataplane.VPNSA) bool { return sa.ID == id })) {
		return nil
	}
	if one.Error == "" {
		one.before = one.up
	}
	one.Error = f.String()
	if at, said := one.said[f.Kind]; said && now.Sub(at) < sayNext {
		return nil
	}
	one.said[f.Kind] = now
	return &failure{one.Connection, f}
}

// kind returns a reason's kind; what it leaves open, the phase tells.
func (n *notes) kind(r *reason, c *dataplane.VPNConnection) string {
	switch kind := r.kind; {
	case kind == kindIDOrTS && n.established:
		return kindSubnets
	case kind == kindIDOrTS:
		return kindIdentity
	case kind == kindNoAnswer && n.later:
		return kindPort4500
	case kind == kindProposals && !n.established && !strings.HasPrefix(n.offered, "ESP:"):
		return kindPhase1
	case kind == kindProposals || kind == kindPhase2:
		if samePFSAside(n.offered, n.configured) {
			return kindPFS
		}
		// The first CHILD_SA of an IKEv2 IKE_SA needs no agreement on a group, and it
		// was not refused.
		if n.offered == "" && n.carried && c.IKE.Version == 2 {
			return kindPFS
		}
		return kindPhase2
	default:
		return kind
	}
}

// samePFSAside reports whether two lists of ESP proposals in charon's words have
// one in common but for its Diffie-Hellman group.
func samePFSAside(a, b string) bool {
	if a == "" || b == "" {
		return false
	}
	for _, p := range strings.Split(a, ", ") {
		for _, q := range strings.Split(b, ", ") {
			if withoutGroup(p) == withoutGroup(q) {
				return true
			}
		}
	}
	return false
}

func withoutGroup(proposal string) string {
	var rest []string
	for _, part := range strings.Split(proposal, "/") {
		if !strings.HasPrefix(part, "MODP_") && !strings.HasPrefix(part, "ECP_") && !strings.HasPrefix(part, "CURVE_") {
			rest = append(rest, part)
		}
	}
	return strings.Join(rest, "/")
}

const (
	peerOffered = "the peer offered " // begins a detail that has both ends' side
	weOffered   = "this end offered "
)

func tellsPeers(detail string) bool { return strings.HasPrefix(detail, peerOffered) }

// detail says what each end offered, as far as it is known.
func (n *notes) detail(f *dataplane.VPNFault, c *dataplane.VPNConnection) string {
	var selectors []string
	for _, s := range c.Policies.Selectors() {
		selectors = append(selectors, fmt.Sprintf("%s === %s", strings.Join(texts(s.Locals), " "), strings.Join(texts(s.Remotes), " ")))
	}
	ours := strings.Join(selectors, ", ")
	switch f.Kind {
	case kindPhase1, kindPhase2, kindPFS:
		if n.offered != "" && n.configured != "" {
			return fmt.Sprintf("%s%s, this end has %s", peerOffered, n.offered, n.configured)
		}
		p := c.ESP.Proposal
		if f.Kind == kindPhase1 {
			p = c.IKE.Proposal
		}
		text := weOffered + proposal(p)
		if f.Kind != kindPhase1 && p.Group == 0 {
			text += " (no perfect forward secrecy)"
		}
		return text + "; what the peer has, its log says"
	case kindSubnets:
		if n.asked != "" {
			return fmt.Sprintf("%s%s, this end has %s", peerOffered, n.asked, ours)
		}
		return weOffered + ours + " (local === remote); what the peer has, its log says"
	case kindIdentity, kindAuth, kindKey:
		text := fmt.Sprintf("this end is %s, and takes %s for the peer", c.LocalID, c.RemoteID)
		if n.identities != "" {
			return fmt.Sprintf("%s%s (local...remote), %s", peerOffered, n.identities, text)
		}
		return text
	case kindPort4500:
		return "it has answered IKE_SA_INIT. UDP port 4500 may be closed on the way, or the peer silently refuses the pre-shared key or the identity"
	case kindMode:
		mode := ""
		if c.IKE.Version == 1 {
			mode = ", main mode"
			if c.IKE.Aggressive {
				mode = ", aggressive mode"
			}
		}
		return fmt.Sprintf("this end has IKEv%d%s", c.IKE.Version, mode)
	default:
		return ""
	}
}
