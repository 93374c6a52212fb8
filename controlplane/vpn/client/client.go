// Package client writes what a client of an SSL-VPN server runs: an OpenVPN configuration that
// holds all that is needed, or one beside the files that it names.
//
// It works with OpenVPN 2.4 and later and the OpenVPN Connect clients. Ciphers with
// authentication (AES-GCM) come first, the server's own last: OpenVPN 2.5 and later choose by
// data-ciphers, which 2.4 passes over and negotiates AES-GCM of itself.
package client

import (
	"archive/zip"
	"bytes"
	"fmt"
	"net/netip"
	"strings"
	"text/template"
	"time"

	"sluice/controlplane/fault"
	"sluice/dataplane"
)

// Profile is what a client has to know.
type Profile struct {
	Server      string // id, and common name of the server's certificate
	Certificate string // id, and common name of the client's certificate
	Address     netip.Addr
	Port        uint16
	Protocol    uint8 // IANA number: 6 TCP, 17 UDP
	Cipher      dataplane.SSLCipher
	Made        time.Time // when the client's certificate was
	Expires     time.Time // when it ends

	CA, Cert string // PEM
	Key      dataplane.Secret
	TLSCrypt dataplane.Secret
}

// The formats of a profile.
const (
	OVPN = "ovpn" // one file
	ZIP  = "zip"  // an archive of five
)

// Formats returns all formats.
func Formats() []string { return []string{OVPN, ZIP} }

// Names of the files in the archive, those of the cloud's own where it has one.
const (
	configFile   = "config.ovpn"
	caFile       = "ca.crt"
	certFile     = "vsclient.crt"
	keyFile      = "vsclient.key"
	tlsCryptFile = "ta.key"
)

// Render returns the profile in one of Formats. Reason: ParameterInvalid.
func (p Profile) Render(format string) ([]byte, error) {
	switch format {
	case OVPN:
		return []byte(p.Inline()), nil
	case ZIP:
		return p.archive()
	}
	return nil, fault.New(fault.ParameterInvalid, "format %q; it is one of %v", format, Formats())
}

// UDP says whether the client speaks UDP.
func (p Profile) UDP() bool { return p.Protocol == 17 }

// MTU is that of the tunnel, in bytes: the server's. OpenVPN 2.6 is told it by the server.
func (p Profile) MTU() int { return (&dataplane.SSLServer{Protocol: p.Protocol}).MTU() }

// DataCiphers is the list of ciphers that the client offers.
func (p Profile) DataCiphers() string { return "AES-256-GCM:AES-128-GCM:" + string(p.Cipher) }

var text = template.Must(template.New("").Parse(`# SSL-VPN client {{.Certificate}} of server {{.Server}}, valid until {{.Expires.UTC.Format "2006-01-02"}}
client
dev tun
proto {{if .UDP}}udp{{else}}tcp-client{{end}}
remote {{.Address}} {{.Port}}
resolv-retry infinite
nobind
persist-key
persist-tun
{{- if .UDP}}
explicit-exit-notify 1
{{- end}}
remote-cert-tls server
verify-x509-name {{.Server}} name
tls-version-min 1.2
tun-mtu {{.MTU}}
ignore-unknown-option data-ciphers data-ciphers-fallback
data-ciphers {{.DataCiphers}}
data-ciphers-fallback {{.Cipher}}
cipher {{.Cipher}}
auth SHA256
verb 3
`))

func (p Profile) settings() string {
	var b strings.Builder
	if err := text.Execute(&b, p); err != nil {
		panic(fmt.Sprintf("client: %v", err)) // the template is a constant
	}
	return b.String()
}

// Inline returns the configuration with certificates and keys in it.
func (p Profile) Inline() string {
	var b strings.Builder
	b.WriteString(p.settings())
	for _, part := range []struct{ name, content string }{
		{"ca", p.CA}, {"cert", p.Cert}, {"key", string(p.Key)}, {"tls-crypt", string(p.TLSCrypt)},
	} {
		fmt.Fprintf(&b, "<%s>\n%s\n</%s>\n", part.name, strings.TrimSpace(part.content), part.name)
	}
	return b.String()
}

// archive returns the configuration and the files that it names.
func (p Profile) archive() ([]byte, error) {
	var out bytes.Buffer
	w := zip.NewWriter(&out)
	named := p.settings() + fmt.Sprintf("ca %s\ncert %s\nkey %s\ntls-crypt %s\n", caFile, certFile, keyFile, tlsCryptFile)
	for _, f := range []struct {
		name, content string
		private       bool
	}{
		{configFile, named, false}, {caFile, p.CA, false}, {certFile, p.Cert, false}, {keyFile, string(p.Key), true}, {tlsCryptFile, string(p.TLSCrypt), true},
	} {
		h := &zip.FileHeader{Name: f.name, Method: zip.Deflate, Modified: p.Made.UTC()}
		h.SetMode(0o644)
		if f.private {
			h.SetMode(0o600)
		}
		file, err := w.CreateHeader(h)
		if err == nil {
			_, err = file.Write([]byte(f.content))
		}
		if err != nil {
			return nil, fmt.Errorf("archive of %s: %w", p.Certificate, err)
		}
	}
	if err := w.Close(); err != nil {
		return nil, fmt.Errorf("archive of %s: %w", p.Certificate, err)
	}
	return out.Bytes(), nil
}
