package aliyun

import (
	"context"
	"maps"
	"slices"
	"strings"
	"sync"
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

// shared are worlds of a test's cases in which nothing has happened. A call that is refused
// leaves one as it was, and so the next may be made in it: it takes far longer to make one.
type shared[W interface{ view() *state.View }] struct {
	t     *testing.T // they end with it
	world func(*testing.T) W
	mu    sync.Mutex
	free  []W
}

// take returns a world for subtest t, of its own if something happens in it, and what puts
// it back if it still is as it was.
func (s *shared[W]) take(t *testing.T, happens bool) (w W, back func()) {
	if happens {
		return s.world(t), func() {}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if last := len(s.free) - 1; last >= 0 {
		w, s.free = s.free[last], s.free[:last]
	} else {
		w = s.world(s.t)
	}
	made := w.view()
	return w, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if w.view() == made {
			s.free = append(s.free, w)
		}
	}
}

// matrixCase provokes an error: a code, and where an action has several messages for it a
// part of the right one.
type matrixCase[W matrixWorld] struct {
	action, code, message string
	happened              func(*testing.T, W) // before the call; nil: nothing
	change                func(W) []string    // of what is good
}

// run makes the call.
func (c matrixCase[W]) run(t *testing.T, worlds *shared[W]) *Error {
	t.Helper()
	w, back := worlds.take(t, c.happened != nil)
	defer back()
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
	worlds := &shared[W]{t: t, world: world}
	for _, c := range cases {
		t.Run(c.action+"/"+c.code, func(t *testing.T) {
			t.Parallel() // each waits for its own store's disk
			if err := c.run(t, worlds); areDocumented && !slices.Contains(documentedErrors[c.action], withoutReason(err)) {
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
