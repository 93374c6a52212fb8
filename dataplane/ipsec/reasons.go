package ipsec

import (
	"regexp"
	"strings"

	"sluice/dataplane"
)

// The kinds of faults.
const (
	kindKey       = "pre-shared key"
	kindIdentity  = "identity"
	kindAuth      = "pre-shared key or identity" // the peer does not say which
	kindPhase1    = "algorithms of phase 1"
	kindPhase2    = "algorithms of phase 2"
	kindPFS       = "group for perfect forward secrecy"
	kindSubnets   = "subnets"
	kindMode      = "IKE version or mode"
	kindNoAnswer  = "no answer"
	kindPort4500  = "no answer to IKE_AUTH"
	kindReach     = "address unreachable"
	kindRefused   = "refused by the peer"
	kindThisEnd   = "this machine"
	kindIDOrTS    = "identity or subnets" // told apart by the phase, as the next one is
	kindProposals = "algorithms"
)

// families are kinds of which the first is less exact than the others: it does
// not take their place.
var families = [][]string{
	{kindAuth, kindKey, kindIdentity},
	{kindPhase1, kindMode},
	{kindPhase2, kindPFS},
	{kindNoAnswer, kindPort4500, kindReach},
}

// reason is what a line of charon's log says of why a negotiation fails.
type reason struct {
	line  *regexp.Regexp
	kind  string
	side  dataplane.VPNSide
	text  string // $1 is what the line has there
	last  bool   // of a negotiation: counts as a failure
	weak  bool   // does not take the place of what else was found
	early bool   // only while there is no IKE_SA, and of one that has not been established
}

const (
	bothEnds = dataplane.VPNBothEnds
	between  = dataplane.VPNPathSide
	thisEnd  = dataplane.VPNThisEnd
	peerSide = dataplane.VPNPeer
)

// reasons are the lines of strongSwan 5.9.8 to 6.0.6, in the order in which they
// are tried.
var reasons = []reason{
	{line: match(`^received AUTHENTICATION_FAILED (error )?notify`), kind: kindAuth, side: bothEnds, text: "the peer refused our identity or pre-shared key (AUTHENTICATION_FAILED); its log says which", last: true},
	{line: match(`^tried \d+ shared keys? for .* but MAC mismatched`), kind: kindKey, side: bothEnds, text: "the peer's pre-shared key is another one", last: true},
	{line: match(`^calculated HASH does not match HASH payload`), kind: kindKey, side: bothEnds, text: "the peer's pre-shared key is another one", last: true},
	{line: match(`^no shared key found for '(.*)'`), kind: kindKey, side: thisEnd, text: "there is no pre-shared key for the identities $1", last: true},
	{line: match(`^(?:invalid HASH_V1 payload length, decryption failed|could not decrypt payloads|received PAYLOAD_MALFORMED (?:error )?notify)`), kind: kindKey, side: bothEnds, text: "the peer's pre-shared key is another one: a message cannot be decrypted", last: true, early: true},
	{line: match(`^received INVALID_HASH_INFORMATION (error )?notify`), kind: kindKey, side: bothEnds, text: "the peer's pre-shared key is another one (INVALID_HASH_INFORMATION)", last: true},
	{line: match(`^constraint check failed: identity '(.*)' required`), kind: kindIdentity, side: bothEnds, text: "the peer has another identity than $1", last: true},
	{line: match(`^IDi?r '(.*)' does not match to '(.*)'`), kind: kindIdentity, side: bothEnds, text: "the peer's identity is $1, not $2", last: true},
	{line: match(`^no (?:matching )?peer config found`), kind: kindIdentity, side: bothEnds, text: "the peer asks for other identities than ours", last: true},
	{line: match(`^found \d+ matching configs?, but none allows`), kind: kindMode, side: bothEnds, text: "the peer asks for another mode, or has another identity", last: true},
	{line: match(`^peer supplied ID`), kind: kindIdentity, side: bothEnds, text: "the peer has another identity, or another mode", last: true},
	{line: match(`^no IKE config found for`), kind: kindMode, side: bothEnds, text: "the peer asks for another version of IKE", last: true},
	{line: match(`^received INVALID_ID_INFORMATION (error )?notify`), kind: kindIDOrTS, side: bothEnds, text: "the peer refused our $kind (INVALID_ID_INFORMATION)", last: true},
	{line: match(`^received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built`), kind: kindPhase2, side: bothEnds, text: "the peer refused the $kind (NO_PROPOSAL_CHOSEN)", last: true},
	{line: match(`^received NO_PROPOSAL_CHOSEN (error )?notify`), kind: kindProposals, side: bothEnds, text: "the peer refused the $kind (NO_PROPOSAL_CHOSEN)", last: true},
	{line: match(`^received INVALID_KE_PAYLOAD (error )?notify`), kind: kindProposals, side: bothEnds, text: "the peer wants another Diffie-Hellman group (INVALID_KE_PAYLOAD)", last: true},
	{line: match(`^received TS_UNACCEPTABLE notify`), kind: kindSubnets, side: bothEnds, text: "the peer refused the subnets (TS_UNACCEPTABLE)", last: true},
	{line: match(`^received SINGLE_PAIR_REQUIRED notify`), kind: kindSubnets, side: peerSide, text: "the peer takes one pair of subnets at a time (SINGLE_PAIR_REQUIRED)", last: true},
	{line: match(`^traffic selectors (.*) unacceptable`), kind: kindSubnets, side: bothEnds, text: "the peer asks for other subnets than ours", last: true},
	{line: match(`^no matching CHILD_SA config found for (.*)`), kind: kindSubnets, side: bothEnds, text: "the peer asks for other subnets than ours", last: true},
	{line: match(`^no acceptable traffic selectors found|^peer selected invalid traffic selectors`), kind: kindSubnets, side: peerSide, text: "the peer answered with subnets that were not asked for", last: true},
	{line: match(`^received proposals (unacceptable|inacceptable)`), kind: kindPhase1, side: bothEnds, text: "the ends do not agree on the algorithms of phase 1, IKE", last: true},
	{line: match(`^no (?:acceptable |matching )?(?:proposal|DIFFIE_HELLMAN_GROUP|ENCRYPTION_ALGORITHM|INTEGRITY_ALGORITHM).*found`), kind: kindProposals, side: bothEnds, text: "the ends do not agree on the $kind", last: true},
	{line: match(`^received (INVALID_SYNTAX|INVALID_MAJOR_VERSION|INVALID_EXCHANGE_TYPE|UNSUPPORTED_CRITICAL_PAYLOAD|FAILED_CP_REQUIRED|INTERNAL_ADDRESS_FAILURE|NO_ADDITIONAL_SAS|SINGLE_PAIR_REQUIRED) (?:error )?notify`), kind: kindRefused, side: peerSide, text: "the peer refused: $1", last: true},
	{line: match(`^received TEMPORARY_FAILURE (?:error )?notify`), kind: kindRefused, side: peerSide, text: "the peer refused: TEMPORARY_FAILURE", weak: true},
	{line: match(`^unable to install IPsec policies`), kind: kindThisEnd, side: thisEnd, text: "the tunnel's policies cannot be installed", last: true},
	{line: match(`^unable to install (inbound|outbound|inbound and outbound) IPsec SA`), kind: kindThisEnd, side: thisEnd, text: "the kernel refused the tunnel's SA", last: true},
	{line: match(`^error writing to socket: (.*)`), kind: kindReach, side: between, text: "the peer cannot be reached: $1", weak: true},
	{line: match(`^giving up after \d+ retransmits`), kind: kindNoAnswer, side: between, text: "the peer does not answer", last: true, weak: true},
	{line: match(`^(?:sending )?retransmit [2-9]`), kind: kindNoAnswer, side: between, text: "the peer does not answer", weak: true, early: true},
	{line: match(`^DPD check timed out`), kind: kindNoAnswer, side: between, text: "the peer does not answer", weak: true},
}

func match(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// explain returns the reason that a line gives, and its text, with $kind still to
// be filled in.
func explain(line string) (*reason, string) {
	for i := range reasons {
		r := &reasons[i]
		at := r.line.FindStringSubmatchIndex(line)
		if at == nil {
			continue
		}
		text := strings.ReplaceAll(r.text, "$kind", "$$kind")
		return r, string(r.line.ExpandString(nil, text, line, at))
	}
	return nil, ""
}

// lessExact reports whether kind a says less than b does of the same matter.
func lessExact(a, b string) bool {
	for _, f := range families {
		if f[0] == a {
			for _, k := range f[1:] {
				if k == b {
					return true
				}
			}
		}
	}
	return false
}

// deadPeer reports whether a line says that dead peer detection found a peer
// dead; established says whether there was an IKE_SA with it.
func deadPeer(line string, established bool) bool {
	return strings.HasPrefix(line, "DPD check timed out") || established && strings.HasPrefix(line, "giving up after ")
}

// What else is taken from the log.
var (
	// caller finds the peer's address in the line that begins an IKE_SA which it
	// initiates, when charon does not know yet of which connection.
	caller = match(`^(\S+) is initiating an? `)
	// noted are lines that say what each end offers, before the line that gives the
	// reason.
	noted = match(`^(received proposals: |configured proposals: |looking for (?:\S+ )*peer configs matching )(.*)`)
	// asked are the subnets that the peer asks for and does not get: local === remote.
	asked = match(`^(?:traffic selectors (.*) unacceptable|no matching CHILD_SA config found for (.*))`)
	// isEstablished says that an IKE_SA is.
	isEstablished = match(`^IKE_SA \S+\[\d+\] established between`)
	// isDeleting says that this end has begun to delete one, of which there is no event
	// before the peer has answered.
	isDeleting = match(`^deleting IKE_SA \S+\[\d+\] between`)
	// unanswered has the number of the message that the peer does not answer; with
	// IKEv1 it is always 0 before there is an IKE_SA.
	unanswered = match(`^(?:sending )?retransmit \d+ of request (?:with )?message ID (\d+)`)
	// stranger finds the peer's address where charon has no connection for it.
	stranger = match(`^no IKE config found for \S+\.\.\.([0-9.]+)`)
)
