package ipsec

import (
	"regexp"
	"strings"
)

// reason is what a line of charon's log says of why a negotiation fails.
type reason struct {
	line  *regexp.Regexp
	text  string // for VPNStatus.Error; $1 is what the line has there
	last  bool   // of a negotiation: counts as a failure
	weak  bool   // does not take the place of what else was found
	early bool   // only while there is no IKE_SA
}

// reasons are the lines of strongSwan 5.9.8, in the order in which they are tried.
var reasons = []reason{
	{line: match(`^received AUTHENTICATION_FAILED (error )?notify`), text: "the peer refused our identity or pre-shared key (AUTHENTICATION_FAILED)", last: true},
	{line: match(`^tried \d+ shared keys? for .* but MAC mismatched`), text: "the peer's pre-shared key is another one", last: true},
	{line: match(`^calculated HASH does not match HASH payload`), text: "the peer's pre-shared key is another one", last: true},
	{line: match(`^no shared key found for '(.*)'`), text: "there is no pre-shared key for the identities $1", last: true},
	{line: match(`^(?:invalid HASH_V1 payload length, decryption failed|could not decrypt payloads|received PAYLOAD_MALFORMED (?:error )?notify)`), text: "the peer's pre-shared key is another one: a message cannot be decrypted", last: true, early: true},
	{line: match(`^received INVALID_HASH_INFORMATION (error )?notify`), text: "the peer's pre-shared key is another one (INVALID_HASH_INFORMATION)", last: true},
	{line: match(`^constraint check failed: identity '(.*)' required`), text: "the peer has another identity than $1", last: true},
	{line: match(`^IDr '(.*)' does not match to '(.*)'`), text: "the peer's identity is $1, not $2", last: true},
	{line: match(`^IDir '(.*)' does not match to '(.*)'`), text: "the peer's identity is $1, not $2", last: true},
	{line: match(`^no matching peer config found`), text: "the peer asks for other identities than ours", last: true},
	{line: match(`^peer supplied ID|^found \d+ matching configs?, but none allows`), text: "the peer has another identity, or another mode", last: true},
	{line: match(`^received INVALID_ID_INFORMATION (error )?notify`), text: "the peer refused our identity or subnets (INVALID_ID_INFORMATION)", last: true},
	{line: match(`^received NO_PROPOSAL_CHOSEN notify, no CHILD_SA built`), text: "the peer refused the algorithms of phase 2, ESP (NO_PROPOSAL_CHOSEN)", last: true},
	{line: match(`^received NO_PROPOSAL_CHOSEN (error )?notify`), text: "the peer refused the algorithms (NO_PROPOSAL_CHOSEN)", last: true},
	{line: match(`^received TS_UNACCEPTABLE notify`), text: "the peer refused the subnets (TS_UNACCEPTABLE)", last: true},
	{line: match(`^traffic selectors .* unacceptable|^no matching CHILD_SA config found`), text: "the peer asks for other subnets than ours", last: true},
	{line: match(`^received proposals (unacceptable|inacceptable)`), text: "the peer offers other algorithms of phase 1, IKE", last: true},
	{line: match(`^no acceptable (?:proposal|DIFFIE_HELLMAN_GROUP|ENCRYPTION_ALGORITHM|INTEGRITY_ALGORITHM).*found`), text: "the peer offers other algorithms", last: true},
	{line: match(`^received (INVALID_KE_PAYLOAD|INVALID_SYNTAX|INVALID_MAJOR_VERSION|INVALID_EXCHANGE_TYPE|UNSUPPORTED_CRITICAL_PAYLOAD|TEMPORARY_FAILURE|FAILED_CP_REQUIRED|INTERNAL_ADDRESS_FAILURE) (?:error )?notify`), text: "the peer refused: $1", last: true},
	{line: match(`^unable to install IPsec policies`), text: "the tunnel's policies cannot be installed", last: true},
	{line: match(`^unable to install (inbound|outbound|inbound and outbound) IPsec SA`), text: "the kernel refused the tunnel's SA", last: true},
	{line: match(`^error writing to socket: (.*)`), text: "the peer cannot be reached: $1", weak: true},
	{line: match(`^giving up after \d+ retransmits`), text: "the peer does not answer", last: true, weak: true},
	{line: match(`^retransmit [2-9]`), text: "the peer does not answer", weak: true, early: true},
	{line: match(`^DPD check timed out`), text: "the peer does not answer", weak: true},
}

func match(s string) *regexp.Regexp { return regexp.MustCompile(s) }

// explain returns the reason that a line gives, and its text.
func explain(line string) (*reason, string) {
	for i := range reasons {
		r := &reasons[i]
		at := r.line.FindStringSubmatchIndex(line)
		if at == nil {
			continue
		}
		return r, string(r.line.ExpandString(nil, r.text, line, at))
	}
	return nil, ""
}

// deadPeer reports whether a line says that dead peer detection found a peer
// dead; established says whether there was an IKE_SA with it.
func deadPeer(line string, established bool) bool {
	return strings.HasPrefix(line, "DPD check timed out") || established && strings.HasPrefix(line, "giving up after ")
}

// caller finds the peer's address in the line that begins an IKE_SA which it
// initiates, when charon does not know yet of which connection.
var caller = match(`^(\S+) is initiating an? `)
