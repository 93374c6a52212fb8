package admin

import (
	"errors"
	"net/http"
	"net/netip"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/leasedline"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/dataplane"
)

// TestLines takes a line through the operator's steps, each of which is refused where it is not
// the next one, and shows lines, ports and border routers as they are then.
func TestLines(t *testing.T) {
	p := planetest.New(t)
	c, _ := start(t, &fake{plane: p}, nil)
	ctx := t.Context()
	if list, err := c.Lines(ctx); err != nil || list == nil || len(list) != 0 {
		t.Errorf("without a line: %v, %v", list, err)
	}
	id := p.Line(planetest.Alice, resource.LineApplied)
	p.Devices.Set(dataplane.LineStatus{Device: "eth2", Present: true})

	for _, s := range []struct {
		step, port string
		state      string // afterwards
		refused    int    // the HTTP status, instead
		reason     fault.Reason
	}{
		{step: LineConfirm, refused: http.StatusConflict, reason: fault.LineWrongState},
		{step: LineAllocate, refused: http.StatusConflict, reason: fault.LineWrongState},
		{step: "build", refused: http.StatusBadRequest},
		{step: LineReject, state: "rejected"},
		{step: LineApprove, refused: http.StatusConflict, reason: fault.LineWrongState},
	} {
		stepped(t, c, id, s.step, s.port, s.state, s.refused, s.reason)
	}
	id = p.Line(planetest.Alice, resource.LineApplied)
	stepped(t, c, id, LineApprove, "", "approved", 0, "")
	stepped(t, c, id, LineAllocate, "9", "", http.StatusNotFound, fault.LinePortUnknown)
	stepped(t, c, id, LineAllocate, "2", "allocated", 0, "")
	other := p.Line(planetest.Alice, resource.LineApproved)
	stepped(t, c, other, LineAllocate, "2", "", http.StatusConflict, fault.LinePortTaken)
	stepped(t, c, other, LineFail, "", "failed", 0, "")
	stepped(t, c, id, LineConfirm, "", "confirmed", 0, "")
	stepped(t, c, "pc-none", LineConfirm, "", "", http.StatusNotFound, fault.LineNotFound)
	if err := p.Lines.Enable(ctx, planetest.Alice, planetest.Region, id); err != nil {
		t.Fatal(err)
	}
	router := p.BorderRouter(planetest.Alice, id, 10, leasedline.Peering{Local: netip.MustParseAddr("192.168.50.17"), Peer: netip.MustParseAddr("192.168.50.18"), Bits: 29})

	l, err := c.Line(ctx, id)
	equal(t, l, Line{
		ID: id, Account: planetest.Alice.Account, Region: planetest.Region, State: "enabled", AccessPoint: planetest.AccessPoint, Port: "2", Location: "rack 1", Carrier: string(resource.Equinix),
		PeerLocation: "the office", PortType: string(resource.Port1000BaseT), Bandwidth: 100, CreatedAt: l.CreatedAt, EnabledAt: l.EnabledAt,
		Link:    &Link{Device: "eth2", Present: true, Networks: []string{}},
		Routers: []BorderRouter{{ID: router, Account: planetest.Alice.Account, State: "enabled", VLAN: 10, Local: "192.168.50.17", Peer: "192.168.50.18", Subnet: "192.168.50.16/29"}},
	}, err)
	if l.CreatedAt.IsZero() || l.EnabledAt.IsZero() {
		t.Errorf("made at %s, enabled at %s", l.CreatedAt, l.EnabledAt)
	}
	if list, err := c.Lines(ctx); err != nil || len(list) != 3 {
		t.Errorf("%d lines, %v", len(list), err)
	}
	ports, err := c.Ports(ctx)
	if err != nil || len(ports) != 4 {
		t.Fatalf("%+v, %v", ports, err)
	}
	equal(t, ports[1], Port{AccessPoint: planetest.AccessPoint, Number: "2", Location: "rack 1", Line: id, Account: planetest.Alice.Account, Link: Link{Device: "eth2", Present: true, Networks: []string{}}}, nil)
	if free := ports[0]; free.Line != "" || free.Account != "" || !free.Link.Carrier || free.Link.Speed != 1000 {
		t.Errorf("a port that is free: %+v", free)
	}
	if _, err := c.Line(ctx, "pc-none"); reasonOf(err) != fault.LineNotFound {
		t.Errorf("a line that is not there: %v", err)
	}
}

// stepped takes a step with a line: it is in a state afterwards, or the step is refused.
func stepped(t *testing.T, c *Client, id, step, port, state string, refused int, reason fault.Reason) {
	t.Helper()
	l, err := c.StepLine(t.Context(), id, step, port)
	var e *Error
	switch {
	case refused == 0 && (err != nil || l.State != state || port != "" && l.Port != port):
		t.Errorf("%s: %+v, %v, want %s", step, l, err, state)
	case refused != 0 && (!errors.As(err, &e) || e.Status != refused || e.Reason != string(reason)):
		t.Errorf("%s: %+v, %v (%+v), want %d %s", step, l, err, e, refused, reason)
	}
}

func reasonOf(err error) fault.Reason {
	var e *Error
	if errors.As(err, &e) {
		return fault.Reason(e.Reason)
	}
	return ""
}
