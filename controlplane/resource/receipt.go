package resource

import (
	"crypto/sha256"
	"encoding/base64"
	"strings"
)

// What the ids of receipts begin with.
const (
	tokenReceipt = "token"
	nonceReceipt = "nonce"
	floorReceipt = "floor"
)

// TokenID returns the id of the receipt of an idempotency token.
func TokenID(account, action, token string) string {
	return strings.Join([]string{tokenReceipt, account, action, token}, "\x00")
}

// NonceID returns the id of the receipt of a nonce. A nonce may be long: 128 bits of its
// hash stand for it.
func NonceID(key, nonce string) string {
	h := sha256.Sum256([]byte(nonce))
	return OldNonceID(key, base64.RawURLEncoding.EncodeToString(h[:16]))
}

// OldNonceID returns the id that the receipt of a nonce has in stores of versions that
// kept nonces as they were.
func OldNonceID(key, nonce string) string {
	return strings.Join([]string{nonceReceipt, key, nonce}, "\x00")
}

// NonceFloorID returns the id of the receipt that has the time up to which nonces of an
// access key are not kept any more.
func NonceFloorID(key string) string { return floorReceipt + "\x00" + key }

// TokenOf returns the account whose token a receipt is of; empty if it is none of a token.
func (r *Receipt) TokenOf() string { return r.owner(tokenReceipt) }

// NonceOf returns the id of the access key whose nonce a receipt is of; empty if it is
// none of a nonce.
func (r *Receipt) NonceOf() string { return r.owner(nonceReceipt) }

func (r *Receipt) owner(of string) string {
	kind, rest, _ := strings.Cut(r.ID, "\x00")
	if kind != of {
		return ""
	}
	owner, _, _ := strings.Cut(rest, "\x00")
	return owner
}
