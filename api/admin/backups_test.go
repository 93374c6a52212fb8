package admin

import (
	"strings"
	"testing"
)

func TestBackup(t *testing.T) {
	f := &fake{}
	c, _ := start(t, f, nil)
	if b, err := c.Backup(t.Context()); err != nil || b.Path != "/data/backups/x" {
		t.Errorf("%+v, %v", b, err)
	}
	f.full = true
	if _, err := c.Backup(t.Context()); err == nil || !strings.Contains(err.Error(), "no space left") {
		t.Errorf("a full disk: %v", err)
	}
}
