package planetest

import (
	"context"
	"sync"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// Devices is how the devices of leased lines are; in the zero value all are there, and up. It
// implements leasedline.Plane.
type Devices struct {
	mu       sync.Mutex
	status   map[string]dataplane.LineStatus
	untagged bool
}

// Set has a device be as s says.
func (d *Devices) Set(s dataplane.LineStatus) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.status == nil {
		d.status = map[string]dataplane.LineStatus{}
	}
	d.status[s.Device] = s
}

// WithoutVLANs has the dataplane carry untagged frames alone from now on.
func (d *Devices) WithoutVLANs() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.untagged = true
}

// Line implements leasedline.Plane.
func (d *Devices) Line(device string) dataplane.LineStatus {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s, ok := d.status[device]; ok {
		return s
	}
	return dataplane.LineStatus{Device: device, Present: true, Up: true, Carrier: true, Speed: 1000}
}

// LineAvailable implements leasedline.Plane.
func (d *Devices) LineAvailable(tagged bool) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if tagged && d.untagged {
		return errNoVLANs
	}
	return nil
}

// Line applies for a line of c's at AccessPoint, and brings it as far as a state: allocated,
// confirmed or enabled; any other is as it is applied for.
func (p *Plane) Line(c identity.Caller, to resource.LineState) string {
	p.t.Helper()
	ctx := context.Background()
	l, err := p.Lines.Create(ctx, c, leasedline.NewLine{Region: Region, AccessPoint: AccessPoint, Carrier: resource.Equinix, PeerLocation: "the office", Bandwidth: 100, PortType: resource.Port1000BaseT})
	if err != nil {
		p.t.Fatalf("apply for a line: %v", err)
	}
	steps := []struct {
		to resource.LineState
		do func() error
	}{
		{resource.LineApproved, func() error { return p.Lines.Approve(ctx, l.ID) }},
		{resource.LineAllocated, func() error { _, err := p.Lines.Allocate(ctx, l.ID, ""); return err }},
		{resource.LineConfirmed, func() error { return p.Lines.Confirm(ctx, l.ID) }},
		{resource.LineEnabled, func() error { return p.Lines.Enable(ctx, c, Region, l.ID) }},
	}
	last := -1
	for i, s := range steps {
		if s.to == to {
			last = i
		}
	}
	for _, s := range steps[:last+1] {
		if err := s.do(); err != nil {
			p.t.Fatalf("line %s to be %s: %v", l.ID, s.to, err)
		}
	}
	return l.ID
}

// BorderRouter makes a border router of c's on one of its lines, and returns its id.
func (p *Plane) BorderRouter(c identity.Caller, line string, vlan int, peering leasedline.Peering) string {
	p.t.Helper()
	b, err := p.Lines.CreateBorderRouter(context.Background(), c, leasedline.NewBorderRouter{Region: Region, Line: line, VLAN: vlan, Peering: peering})
	if err != nil {
		p.t.Fatalf("create border router: %v", err)
	}
	return b.ID
}

// Later moves the clock on.
func (p *Plane) Later(d time.Duration) {
	p.ahead.Add(int64(d))
}
