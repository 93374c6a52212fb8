package aliyun

import (
	"context"
	"maps"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/identity"
	"sluice/controlplane/planetest"
	"sluice/controlplane/state"
)

// planeWorld is what the calls of a matrix of errors are made in.
type planeWorld struct {
	*planetest.Plane
	s *Service
}

func newPlaneWorld(t *testing.T) planeWorld {
	p := planetest.New(t)
	return planeWorld{Plane: p, s: NewService(p.Network, p.EIP, p.Bandwidth, p.NAT, nil, p.VPN, p.Links, p.Tags, p.RAM, p.HaVip, p.Lines, p.Acceleration)}
}

func (w planeWorld) view() *state.View { return w.DB.View() }

func (w planeWorld) call(action string, params map[string]string) (Response, *Error) {
	return w.callAs(planetest.Alice, action, params)
}

func (w planeWorld) callAs(c identity.Caller, action string, params map[string]string) (Response, *Error) {
	p := NewParams()
	for _, name := range slices.Sorted(maps.Keys(params)) {
		if params[name] != "" {
			p.Add(name, params[name])
		}
	}
	return Dispatch(context.Background(), w.s, c, action, p)
}

func (w planeWorld) must(t *testing.T, action string, params map[string]string) Response {
	t.Helper()
	r, err := w.call(action, params)
	if err != nil {
		t.Fatalf("%s: %v", action, err)
	}
	return r
}

// matrixWorld is a planeWorld that knows parameters with which an action succeeds, changed
// by name and value; an empty value leaves the parameter out.
type matrixWorld interface {
	good(action string, change ...string) map[string]string
	call(action string, params map[string]string) (Response, *Error)
	must(t *testing.T, action string, params map[string]string) Response
	view() *state.View
}

// matrixCase provokes an error: a code, and where an action has several messages for it a
// part of the right one.
type matrixCase[W matrixWorld] struct {
	action, code, message string
	happened              func(*testing.T, W) // before the call; nil: nothing
	change                func(W) []string    // of what is good
}

// run makes the call in a new world.
func (c matrixCase[W]) run(t *testing.T, world func(*testing.T) W) *Error {
	t.Helper()
	w := world(t)
	if c.happened != nil {
		c.happened(t, w)
	}
	before := w.view()
	_, err := w.call(c.action, w.good(c.action, c.change(w)...))
	if err == nil {
		t.Fatal("no error")
	}
	if err.Code != c.code || !strings.Contains(err.Message, c.message) {
		t.Fatalf("%v, want %s holding %q", err, c.code, c.message)
	}
	if w.view() != before {
		t.Error("a refused call changed something")
	}
	return err
}

// documents reports whether a case is of that error of an action's table.
func (c matrixCase[W]) documents(action string, e Error) bool {
	return c.action == action && c.code == e.Code && strings.Contains(e.Message, c.message)
}

// provokeAll makes the calls of a matrix, whose errors have to be those of the actions' tables
// if they are said to be documented.
func provokeAll[W matrixWorld](t *testing.T, cases []matrixCase[W], world func(*testing.T) W, areDocumented bool) {
	for _, c := range cases {
		t.Run(c.action+"/"+c.code, func(t *testing.T) {
			t.Parallel() // each waits for its own store's disk
			if err := c.run(t, world); areDocumented && !slices.Contains(documentedErrors[c.action], withoutReason(err)) {
				t.Errorf("%v is not as documented: %+v", err, documentedErrors[c.action])
			}
		})
	}
}

// succeed makes good calls: the parameters that a matrix changes work unchanged.
func succeed[W matrixWorld](t *testing.T, actions []string, world func(*testing.T) W) {
	for _, action := range actions {
		t.Run(action, func(t *testing.T) {
			t.Parallel()
			w := world(t)
			r := w.must(t, action, w.good(action))
			for _, f := range []Format{FormatXML, FormatJSON} {
				encoded(t, f, r)
			}
		})
	}
}
