package openvpn

import (
	"fmt"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"sluice/dataplane"
)

// Every cipher over both transports: today's clients negotiate an AEAD one, those that can
// do CBC only get the documented one, and those that would compress are told not to.
func TestCiphers(t *testing.T) {
	if testing.Short() {
		t.Skip("long")
	}
	t.Parallel()
	for _, protocol := range []uint8{unix.IPPROTO_UDP, unix.IPPROTO_TCP} {
		for _, cipher := range dataplane.SSLCiphers() {
			t.Run(fmt.Sprintf("%d %s", protocol, cipher), func(t *testing.T) {
				t.Parallel()
				l := newLab(t)
				l.server.Protocol, l.server.Cipher = protocol, cipher
				one, two, three := l.authority.Client("vsc-1"), l.authority.Client("vsc-2"), l.authority.Client("vsc-3")
				l.apply(one, two, three)
				l.connect(l.home(), one)
				only := []string{"data-ciphers " + string(cipher), "cipher " + string(cipher)}
				l.connect(l.home(), two, only...)
				k := l.connect(l.home(), three, append(only, "compat-mode 2.3.0", "comp-lzo")...)
				l.eventually(func(s *dataplane.SSLStatus) error {
					has := ""
					for i := range s.Clients {
						has += s.Clients[i].Certificate + " " + s.Clients[i].Cipher + " "
					}
					if want := fmt.Sprintf("vsc-1 AES-256-GCM vsc-2 %s vsc-3 %[1]s ", cipher); has != want {
						return fmt.Errorf("ciphers are %q, want %q", has, want)
					}
					return nil
				})
				if log := k.Log(); !strings.Contains(log, "compress stub-v2") && !strings.Contains(log, "comp-lzo no") {
					t.Errorf("it was not told not to compress:\n%s", log)
				}
			})
		}
	}
}
