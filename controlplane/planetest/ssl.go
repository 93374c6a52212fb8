package planetest

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"sluice/dataplane"
)

// SSLServers is how the SSL-VPN servers of all networks are; the zero value has none. It is
// a part of vpn.Plane.
type SSLServers struct {
	mu     sync.Mutex
	status map[string]dataplane.SSLStatus
	log    map[string][]dataplane.SSLLine
	unread error
	unable error
}

// SetSSL makes a server be as s says.
func (p *SSLServers) SetSSL(s dataplane.SSLStatus) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.status == nil {
		p.status = map[string]dataplane.SSLStatus{}
	}
	p.status[s.Server] = s
}

// LogSSL has a server log a line.
func (p *SSLServers) LogSSL(server string, at time.Time, text string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.log == nil {
		p.log = map[string][]dataplane.SSLLine{}
	}
	p.log[server] = append(p.log[server], dataplane.SSLLine{Time: at, Text: text})
}

// UnreadSSL decides from now on why the state and the log of servers can't be read; nil if they can.
func (p *SSLServers) UnreadSSL(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unread = why
}

// UnableSSL decides from now on why there can be no servers; nil if there can.
func (p *SSLServers) UnableSSL(why error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.unable = why
}

// SSLAvailable implements vpn.Plane.
func (p *SSLServers) SSLAvailable() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.unable
}

// SSL implements vpn.Plane.
func (p *SSLServers) SSL(context.Context, string) (map[string]dataplane.SSLStatus, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return maps.Clone(p.status), p.unread
}

// SSLLog implements vpn.Plane.
func (p *SSLServers) SSLLog(_ context.Context, _, server string, from, to time.Time) (list []dataplane.SSLLine, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range p.log[server] {
		if !l.Time.Before(from) && !l.Time.After(to) {
			list = append(list, l)
		}
	}
	return list, p.unread
}

// SSLDisconnect implements vpn.Plane.
func (p *SSLServers) SSLDisconnect(_ context.Context, _, server, certificate string) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.status[server]
	s.Clients = slices.DeleteFunc(slices.Clone(s.Clients), func(c dataplane.SSLSession) bool { return c.Certificate == certificate })
	p.status[server] = s
	return p.unread
}
