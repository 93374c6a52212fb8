package identity

import (
	"log/slog"
	"time"
)

// Key is an access key with its secret in the clear, as a signature check
// needs it.
type Key struct {
	ID           string
	Account      string // id of the account that it signs for
	AccountName  string
	User         string // id of the user that it signs as; empty: the account itself
	UserName     string
	Secret       string
	Disabled     bool
	DescribeOnly bool // may not call actions that write
	CreatedAt    time.Time
}

// LogValue keeps the secret out of logs.
func (k Key) LogValue() slog.Value {
	return slog.GroupValue(slog.String("id", k.ID), slog.String("account", k.Account), slog.String("user", k.User))
}

// KeyOptions are the choices at the creation of a key.
type KeyOptions struct {
	DescribeOnly bool   // the key may not call actions that write
	User         string // id of the user whose it is; empty: the account's own
	// ID and Secret are drawn at random where they are empty. Given ones are of
	// 4 to 64 Latin letters, digits, '.', '_' and '-', and a secret of 8 to 128
	// printable characters without blanks.
	ID, Secret string
}
