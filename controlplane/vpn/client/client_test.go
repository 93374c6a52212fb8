package client

import (
	"archive/zip"
	"bytes"
	"errors"
	"flag"
	"io"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/fault"
	"sluice/dataplane"
)

var update = flag.Bool("update", false, "write the golden files anew")

func profile() Profile {
	return Profile{
		Server: "vss-1", Certificate: "vsc-1", Address: netip.MustParseAddr("203.0.113.45"), Port: 1194, Protocol: 17, Cipher: dataplane.SSLAES128,
		Made:    time.Date(2026, 11, 29, 23, 0, 0, 0, time.UTC),
		Expires: time.Date(2029, 11, 29, 23, 0, 0, 0, time.FixedZone("", -3600)),
		CA:      "the authority\n", Cert: "the certificate\n", Key: "the key\n", TLSCrypt: "# the control channel's\n",
	}
}

func TestGolden(t *testing.T) {
	tcp := profile()
	tcp.Protocol, tcp.Port, tcp.Cipher = 6, 4433, dataplane.SSLNone
	for name, p := range map[string]Profile{"udp": profile(), "tcp": tcp} {
		got, err := p.Render(OVPN)
		if err != nil {
			t.Fatal(err)
		}
		file := filepath.Join("testdata", name+".golden")
		if *update {
			if err := os.WriteFile(file, got, 0o644); err != nil {
				t.Fatal(err)
			}
		}
		want, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got, want) {
			t.Errorf("%s:\n%s\nwant\n%s", name, got, want)
		}
	}
}

func TestArchive(t *testing.T) {
	p := profile()
	out, err := p.Render(ZIP)
	if err != nil {
		t.Fatal(err)
	}
	r, err := zip.NewReader(bytes.NewReader(out), int64(len(out)))
	if err != nil {
		t.Fatal(err)
	}
	files := map[string]string{}
	for _, f := range r.File {
		c, err := f.Open()
		if err != nil {
			t.Fatal(err)
		}
		text, err := io.ReadAll(c)
		if err != nil {
			t.Fatal(err)
		}
		files[f.Name] = string(text)
		if !f.Modified.Equal(p.Made) {
			t.Errorf("%s was made at %s", f.Name, f.Modified)
		}
		private := f.Name == "vsclient.key" || f.Name == "ta.key"
		if (f.Mode().Perm() == 0o600) != private {
			t.Errorf("%s has mode %s", f.Name, f.Mode())
		}
	}
	config := files["config.ovpn"]
	delete(files, "config.ovpn")
	for name, content := range map[string]string{"ca.crt": p.CA, "vsclient.crt": p.Cert, "vsclient.key": string(p.Key), "ta.key": string(p.TLSCrypt)} {
		if files[name] != content || !strings.Contains(config, " "+name+"\n") {
			t.Errorf("%s: %q, named in %q", name, files[name], config)
		}
		delete(files, name)
	}
	if len(files) > 0 || strings.Contains(config, "the key") {
		t.Errorf("%v, %s", files, config)
	}
}

func TestFormats(t *testing.T) {
	var f *fault.Error
	if _, err := profile().Render("exe"); !errors.As(err, &f) || f.Reason != fault.ParameterInvalid {
		t.Error(err)
	}
}
