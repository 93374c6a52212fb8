// Package ram keeps users and policies of accounts, and says what may be done with an
// access key: all with an account's own, on the account's own resources, and else what
// policies allow.
//
// It knows users, policies and what is attached to whom, and decides by package policy.
// Which action checks which resources it is told by the wire family that asks.
package ram
