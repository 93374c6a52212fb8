package aliyun

import (
	"time"

	"sluice/controlplane/identity"
)

// timestampLayout is the form of Timestamp: ISO 8601, in UTC.
const timestampLayout = "2006-01-02T15:04:05Z"

// authenticate checks the common parameters, in the order of the documents'
// table of common errors, and fills in who calls. It returns the nonce of the
// signature.
//
// What needs no secret comes first, then the signature; what a third party
// could use up (the key's quota, its nonces) comes after the signature.
func (s *Server) authenticate(c *call, method string) (nonce string, refusal *Error) {
	p := c.params
	if refusal = requireCommon(p); refusal != nil {
		return "", refusal
	}
	name, a, refusal := lookupAction(p.Get("Action"))
	if refusal != nil {
		return "", refusal
	}
	c.action, c.writes = name, a.writes
	if p.Get("Version") != Version {
		return "", invalidAction()
	}
	algorithm := Algorithm(p.Get("SignatureMethod"))
	if _, ok := algorithm.hash(); !ok {
		return "", documented("", "InvalidParamater", "SignatureMethod")
	}
	if p.Get("SignatureVersion") != SignatureVersion {
		return "", documented("", "InvalidParamater", "SignatureVersion")
	}
	signed, err := time.Parse(timestampLayout, p.Get("Timestamp"))
	if err != nil || signed.Sub(c.start).Abs() > clockSkew {
		return "", documented("", "IllegalTimestamp", "")
	}
	if nonce = p.Get("SignatureNonce"); len(nonce) > nonceLength {
		return "", invalidParameter("SignatureNonce")
	}
	id := p.Get("AccessKeyId")
	key, ok := s.Keys.Key(id)
	switch {
	case !ok:
		return "", documented("", "InvalidAccessKeyId.NotFound", "")
	case key.Disabled:
		return "", documented("", "Forbidden.AccessKeyDisabled", "")
	case !Verify(method, p, key.Secret, algorithm, p.Get("Signature")):
		return "", documented("", "IncompleteSignature", "")
	}
	c.account, c.keyID = key.Account, id
	if refusal = s.keys.of(id).admit(nonce, signed, c.start); refusal != nil {
		return "", refusal
	}
	if refusal = checkOwner(p, key); refusal != nil {
		return "", refusal
	}
	if a.writes && key.DescribeOnly {
		return "", documented("", "InvalidAction", "")
	}
	return nonce, nil
}

// requireCommon answers with the documented message of each common parameter
// that is missing; for those that have none of their own, with the usual one.
func requireCommon(p *Params) *Error {
	for _, name := range []string{"Action", "AccessKeyId", "Signature", "TimeStamp", "Version"} {
		if p.Get(name) == "" {
			return documented("", "MissingParameter", `"`+name+`"`)
		}
	}
	for _, name := range []string{"SignatureMethod", "SignatureVersion", "SignatureNonce"} {
		if p.Get(name) == "" {
			return missingParameter(name)
		}
	}
	return nil
}

// checkOwner accepts the parameters that name the owner of the resources when
// they name the caller's own account: there is no delegation between accounts.
func checkOwner(p *Params, key identity.Key) *Error {
	for _, prefix := range []string{"", "Resource"} {
		id, account := p.Get(prefix+"OwnerId"), p.Get(prefix+"OwnerAccount")
		switch {
		case id != "" && account != "" && prefix == "":
			return documented("", "InvalidOwner", "")
		case id != "" && id != key.Account:
			return documented("", "InvalidOwnerId", "")
		case account != "" && account != key.Account && account != key.AccountName:
			return documented("", "InvalidOwnerAccount", "")
		}
	}
	return nil
}
