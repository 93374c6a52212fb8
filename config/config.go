package config

import (
	"errors"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/goccy/go-yaml/parser"

	"sluice/controlplane/settings"
)

// DefaultPath is where sluiced looks for its configuration.
const DefaultPath = "/etc/sluice/sluiced.yaml"

// Config is a checked configuration.
type Config struct {
	File string // that it was read from; empty for the built-in one

	Listen            string     // host:port of the API
	Listeners         []Listener // besides it
	TLS               TLS
	DataDir           string // absolute; the store and the key that seals secrets
	RunDir            string // absolute; sockets
	BPFDir            string // absolute; pinned BPF maps, programs and links
	AdminSocket       string // absolute
	LogLevel          slog.Level
	LogFormat         string // text or json
	Connections       Connections
	Throttle          Throttle
	AuditInterval     time.Duration // between two looks whether the kernel holds what it should
	FullAuditInterval time.Duration // between two comparisons of everything in it
	Sessions          int           // that a network has room for; 0: as many as the kernel tracks connections
	Addresses         int           // private addresses of a network that are counted one by one, at most
	Metrics           Metrics
	AuditLog          AuditLog
	AllowRemoval      bool     // of networks that the store does not know; by the command line only
	Bridges           []Bridge // to be made before networks are connected to them
	Settings          settings.Settings
}

// Listener is a listener that answers one wire family alone.
type Listener struct {
	Listen string `yaml:"listen"` // host:port
	Family string `yaml:"family"` // of Families
}

// Families returns the wire families that a listener may be of.
func Families() []string { return []string{"aliyun", "tencent3"} }

// TLS names the certificate and key files, or says that certificates are made, in
// DataDir. The zero TLS is none.
type TLS struct {
	Certificate, Key string
	Auto             bool
	Names            []string // that Auto adds to what Listen and Listeners tell
}

// On says whether the API speaks TLS.
func (t TLS) On() bool { return t.Auto || t.Certificate != "" }

// Rate is a token bucket: Rate calls a second, and Burst at once. A Rate of 0
// sets no limit.
type Rate struct {
	Rate  float64
	Burst int
}

// Connections are how many connections the API keeps: at once, of strangers from one
// source, and how many of all strangers can't have. 0 of the latter two is a quarter of
// all.
type Connections struct{ Most, PerSource, Reserved int }

// Throttle are the limits of the API.
type Throttle struct{ PerKey, Total Rate }

// Metrics says what is shown and kept of what the dataplane has counted.
type Metrics struct {
	Listen       string        // host:port of /metrics; empty: none
	TopAddresses int           // private addresses of a network with series of their own, by each ranking
	Keep         time.Duration // how long every minute of a NAT gateway is kept
}

// AuditLog says which calls are recorded, where, and for how long.
type AuditLog struct {
	Events  string        // AuditAll, AuditWrites or AuditOff
	Dir     string        // absolute
	MaxSize int           // of a file, in MiB
	Files   int           // full older files that there is room for
	Keep    time.Duration // how long they are; whole days
}

// Words for what is recorded: every call, those that may change something or are refused,
// none.
const (
	AuditAll    = "all"
	AuditWrites = "writes"
	AuditOff    = "off"
)

// Bridge is a bridge of a public network that sluiced makes when it is absent.
type Bridge struct {
	Name      string
	Namespace string       // named network namespace; empty for the daemon's own
	Address   netip.Prefix // given to the bridge; the zero Prefix for none
}

// Load reads and checks a configuration file. With an empty path it reads
// DefaultPath if that exists, and returns the built-in configuration if not.
// A mistake in the file is an *Error.
func Load(path string) (*Config, error) {
	named := path != ""
	if !named {
		path = DefaultPath
	}
	data, err := os.ReadFile(path)
	switch {
	case err == nil:
		return parse(path, data)
	case !named && errors.Is(err, fs.ErrNotExist):
		return Default(), nil
	default:
		var p *fs.PathError
		if errors.As(err, &p) {
			err = p.Err
		}
		return nil, &Error{File: path, Text: "cannot be read: " + err.Error() + "; name a readable file with --config"}
	}
}

// Default returns the built-in configuration.
func Default() *Config {
	c, err := parse("", nil)
	if err != nil {
		panic("config: the built-in configuration is wrong: " + err.Error())
	}
	return c
}

// Parse checks a configuration that is not in its file yet; the file's name is for errors
// alone. A mistake is an *Error.
func Parse(file string, data []byte) (*Config, error) { return parse(file, data) }

// SaysNothing says whether a configuration is one of comments alone, so that the built-in
// one holds.
func SaysNothing(data []byte) bool {
	tree, err := parser.ParseBytes(data, 0)
	return err == nil && len(bodies(tree)) == 0
}

func parse(file string, data []byte) (*Config, error) {
	doc := defaults()
	at, err := decode(file, data, &doc)
	if err != nil {
		return nil, err
	}
	c := &Config{
		File:              file,
		Listen:            doc.Listen,
		Listeners:         doc.Listeners,
		TLS:               TLS{doc.TLS.Certificate, doc.TLS.Key, doc.TLS.Names != nil, doc.TLS.Names},
		DataDir:           doc.DataDir,
		RunDir:            doc.RunDir,
		BPFDir:            doc.BPFDir,
		AdminSocket:       doc.AdminSocket,
		LogLevel:          doc.LogLevel.Level,
		LogFormat:         doc.LogFormat,
		Connections:       Connections{doc.MaxConnections, doc.MaxPerSource, doc.Reserved},
		Throttle:          Throttle{PerKey: Rate(doc.Throttle.PerKey), Total: Rate(doc.Throttle.Total)},
		AuditInterval:     doc.AuditInterval,
		FullAuditInterval: doc.FullAuditInterval,
		Sessions:          doc.NAT.Sessions,
		Addresses:         doc.NAT.Addresses,
		Metrics:           Metrics(doc.Metrics),
		AuditLog:          AuditLog(doc.AuditLog),
	}
	if c.AdminSocket == "" {
		c.AdminSocket = filepath.Join(c.RunDir, "admin.sock")
	}
	if c.AuditLog.Dir == "" {
		c.AuditLog.Dir = filepath.Join(c.DataDir, "audit")
	}
	k := &checker{places: at, doc: &doc, config: c}
	if err := k.check(); err != nil {
		return nil, err
	}
	return c, nil
}
