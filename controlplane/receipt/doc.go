// Package receipt makes a write happen once. A client that repeats a request
// with the same token gets the first result again, also after a restart,
// because the receipt is written in the transaction that did the work; and a
// request whose signature nonce has been seen is refused.
//
// Source: VPC API reference, appendix "How to ensure idempotence".
package receipt
