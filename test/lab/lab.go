package lab

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"time"
)

// Defaults of a lab.
const (
	DefaultName   = "lab"
	DefaultRegion = "cn-hangzhou"
)

// The public network of every lab: documentation addresses, RFC 5737.
var (
	PublicPrefix  = netip.MustParsePrefix("203.0.113.0/24")
	WidePrefix    = netip.MustParsePrefix("203.0.112.0/20") // PublicPrefix is in it
	PublicGateway = netip.MustParseAddr("203.0.113.1")
	PoolFirst     = netip.MustParseAddr("203.0.113.10") // elastic IPs are allocated from here
	PoolLast      = netip.MustParseAddr("203.0.113.250")
)

// ClassicPrefix is the classic network of a lab that has one.
var ClassicPrefix = netip.MustParsePrefix("10.200.0.0/24")

// Names of the Internet's parts.
const (
	InternetHost  = "internet" // the host that is always there
	PublicBridge  = "public0"  // the public network, in the namespace of InternetHost
	ClassicBridge = "classic0" // the classic network, likewise
)

// Options say what lab to bring up. The zero value is the default lab with the
// programs that lie beside the running one.
type Options struct {
	Name      string   // prefix of its namespaces; default DefaultName
	Dir       string   // of its own; default DefaultDir(Name)
	Sluiced   string   // program; default: beside the running program, else by PATH
	Sluicectl string   // program that runs the HTTP servers; default likewise
	Listen    string   // host:port of the API; default a free port of 127.0.0.1
	Region    string   // that clients are told; default DefaultRegion
	Beside    []string // ids of regions beside it, on the same public network
	TLS       bool     // the API speaks HTTPS, by certificates that sluiced makes
	// ManyPublic has sluiced allocate 3,583 elastic IPs more, from WidePrefix. The Internet
	// knows only those of PublicPrefix.
	ManyPublic bool
	// Classic gives the lab a classic network, 10.200.0.0/24, in which VPCs' routers have addresses
	// from 10.200.0.128 on.
	Classic bool
	// ExtraConfig is YAML that is put below the lab's own configuration of
	// sluiced, which sets listen, data_dir, run_dir, admin_socket, regions and
	// public.
	ExtraConfig string
}

// DefaultDir returns the directory of a lab that was given none.
func DefaultDir(name string) string { return filepath.Join("/run/sluice-lab", name) }

// longestDir leaves room for the admin socket's path in a sockaddr_un.
const longestDir = 107 - len("/run/admin.sock")

func (o Options) complete() (Options, error) {
	if o.Name == "" {
		o.Name = DefaultName
	}
	if err := checkName("lab name", o.Name); err != nil {
		return o, err
	}
	if o.Dir == "" {
		o.Dir = DefaultDir(o.Name)
	}
	dir, err := filepath.Abs(o.Dir)
	if err != nil {
		return o, err
	}
	if o.Dir = dir; len(dir) > longestDir {
		return o, fmt.Errorf("lab directory %s is longer than %d bytes, which its socket's path cannot be; take a shorter one", dir, longestDir)
	}
	if o.Region == "" {
		o.Region = DefaultRegion
	}
	return o, nil
}

// Lab is a handle to a lab that is up. Several handles, in several processes,
// may work on the same lab at once.
type Lab struct {
	Name string
	Dir  string
}

// ErrUp is what is wrong when a lab of the name is up already.
var ErrUp = errors.New("the lab is up already")

// Open returns a handle to a lab that is up. Only Name and Dir of the options
// count. It returns ErrDown if there is none.
func Open(o Options) (*Lab, error) {
	o, err := o.complete()
	if err != nil {
		return nil, err
	}
	l := &Lab{Name: o.Name, Dir: o.Dir}
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	if s.AccessKeyID == "" {
		return nil, fmt.Errorf("lab %s was not brought up completely; remove it with: sluicectl lab down --name %[1]s", l.Name)
	}
	return l, nil
}

// Up brings up a lab: the Internet, sluiced, and an access key. When it fails,
// nothing remains. It returns ErrUp if a lab is in that place already.
func Up(ctx context.Context, o Options) (_ *Lab, err error) {
	if o, err = o.complete(); err != nil {
		return nil, err
	}
	if o.Sluiced, err = program("sluiced", o.Sluiced); err != nil {
		return nil, err
	}
	if o.Sluicectl, err = program("sluicectl", o.Sluicectl); err != nil {
		return nil, err
	}
	if os.Geteuid() != 0 {
		return nil, errors.New("a lab makes network namespaces, which only root may do")
	}
	l := &Lab{Name: o.Name, Dir: o.Dir}
	if err := l.claim(); err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if err := l.bringUp(ctx, o); err != nil {
		err = fmt.Errorf("bring up lab %s: %w%s", l.Name, err, l.logTail())
		// Not with ctx, which may be what has ended.
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Minute)
		defer cancel()
		return nil, errors.Join(err, l.Down(cleanup))
	}
	return l, nil
}

// claim makes the lab's directory, which is what makes the lab ours.
func (l *Lab) claim() error {
	if err := os.MkdirAll(filepath.Dir(l.Dir), 0o755); err != nil {
		return err
	}
	err := os.Mkdir(l.Dir, 0o700)
	if !errors.Is(err, fs.ErrExist) {
		return err
	}
	s, err := l.state()
	if err == nil && s.AccessKeyID != "" && s.Daemon != nil && s.Daemon.Alive() {
		return fmt.Errorf("lab %s: %w", l.Name, ErrUp)
	}
	return fmt.Errorf("%s holds what an earlier lab %s left; remove it with: sluicectl lab down --name %[2]s", l.Dir, l.Name)
}

func (l *Lab) bringUp(ctx context.Context, o Options) error {
	listen := o.Listen
	if listen == "" {
		var err error
		if listen, err = freePort(ctx); err != nil {
			return err
		}
	}
	s := &state{Name: l.Name, Listen: listen, TLS: o.TLS, Region: o.Region, Sluiced: o.Sluiced, Sluicectl: o.Sluicectl}
	err := s.save(l.Dir)
	if err == nil {
		err = l.makeInternet(ctx)
	}
	if err == nil && o.Classic {
		err = l.makeClassic()
	}
	if err == nil {
		err = l.writeConfig(s, o)
	}
	if err == nil {
		err = l.StartDaemon(ctx)
	}
	if err == nil {
		err = l.makeAccessKey(ctx)
	}
	return err
}

// state returns the lab's record as it is now.
func (l *Lab) state() (*state, error) {
	s, err := load(l.Dir)
	if err != nil {
		return nil, fmt.Errorf("lab %s: %w", l.Name, err)
	}
	return s, nil
}

// change runs fn with the record, under the lab's lock, and saves what fn has
// made of it, also if fn failed. fn may save in between.
func (l *Lab) change(fn func(s *state) error) error {
	lock, err := acquire(l.Dir)
	if err != nil {
		return fmt.Errorf("lab %s: %w", l.Name, err)
	}
	defer lock.release()
	s, err := l.state()
	if err != nil {
		return err
	}
	err = fn(s)
	return errors.Join(err, s.save(l.Dir))
}

// Hosts returns the hosts of the lab, the Internet's included.
func (l *Lab) Hosts() ([]Host, error) {
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	hosts := make([]Host, 0, len(s.Hosts))
	for _, h := range s.Hosts {
		hosts = append(hosts, *h)
	}
	return hosts, nil
}

// Host returns a host by its name; InternetHost is the one that is always there.
func (l *Lab) Host(name string) (Host, error) {
	s, err := l.state()
	if err != nil {
		return Host{}, err
	}
	h := s.host(name)
	if h == nil {
		var names []string
		for _, h := range s.Hosts {
			names = append(names, h.Name)
		}
		slices.Sort(names)
		return Host{}, fmt.Errorf("lab %s has no host %q; there are %v", l.Name, name, names)
	}
	return *h, nil
}

// Variable is an environment variable.
type Variable struct{ Name, Value string }

// Env returns the variables that make clients speak to the lab.
func (l *Lab) Env() ([]Variable, error) {
	s, err := l.state()
	if err != nil {
		return nil, err
	}
	vars := []Variable{
		{"SLUICE_ENDPOINT", s.endpoint()},
		{"SLUICE_ACCESS_KEY_ID", s.AccessKeyID},
		{"SLUICE_ACCESS_KEY_SECRET", s.AccessKeySecret},
		{"SLUICE_REGION", s.Region},
		// As today's clients of Tencent Cloud read them; none reads where to call.
		{"TENCENTCLOUD_SECRET_ID", s.AccessKeyID},
		{"TENCENTCLOUD_SECRET_KEY", s.AccessKeySecret},
		{"TENCENTCLOUD_REGION", s.Region},
		{"SLUICE_ADMIN_SOCKET", l.AdminSocket()},
		{"SLUICE_LAB", l.Name},
	}
	if s.TLS {
		vars = append(vars, Variable{"SLUICE_CA", l.CAFile()})
	}
	return vars, nil
}

func (s *state) endpoint() string {
	if s.TLS {
		return "https://" + s.Listen
	}
	return "http://" + s.Listen
}

// CAFile returns the path of what clients of a lab with TLS have to trust.
func (l *Lab) CAFile() string { return filepath.Join(l.DataDir(), "tls", "ca.pem") }

// Endpoint returns the URL of the API.
func (l *Lab) Endpoint() (string, error) {
	s, err := l.state()
	if err != nil {
		return "", err
	}
	return s.endpoint(), nil
}

// AdminSocket returns the path of the admin socket.
func (l *Lab) AdminSocket() string { return filepath.Join(l.Dir, "run", "admin.sock") }

// DataDir returns the directory of the daemon's store.
func (l *Lab) DataDir() string { return filepath.Join(l.Dir, "data") }

// ConfigFile returns the path of the daemon's configuration. What is changed
// there holds from the daemon's next start.
func (l *Lab) ConfigFile() string { return filepath.Join(l.Dir, "sluiced.yaml") }

// LogFile returns the path of the daemon's log.
func (l *Lab) LogFile() string { return filepath.Join(l.Dir, "sluiced.log") }
