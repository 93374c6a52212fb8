package terraform

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"sluice/api/aliyun"
)

// Caller sends one call. The error of a refusal is an *aliyun.CallError.
type Caller func(ctx context.Context, action string, parameters map[string]string) (json.RawMessage, error)

// Replay makes the calls of recordings against a server, and keeps what the server has
// given out from one step to the next. It is for one goroutine.
type Replay struct {
	Call Caller
	// Workers is how many resources are worked on at the same time; Terraform's own
	// number is 10. 0 means 1: then in the order of the recording.
	Workers int
	// StatesOnly leaves aside what else is in answers than states and what the server
	// gives out: for Workers, since then it depends on what was made before.
	StatesOnly bool
	// Patience is how long the provider asks until something is as it should be.
	Patience time.Duration

	mu    sync.Mutex
	known map[string]string // by ${name}
	more  chan struct{}     // closed when something becomes known
}

// Run makes the calls of a step. A resource begins when what its parameters need is
// known, and what the configuration puts before it is there. The error names the resource and the call, and what is otherwise in the answer.
func (r *Replay) Run(ctx context.Context, s *Step) error {
	r.mu.Lock()
	if r.known == nil {
		r.known, r.more = map[string]string{}, make(chan struct{})
	}
	r.mu.Unlock()
	g, ctx := errgroup.WithContext(ctx)
	places := make(chan struct{}, max(1, r.Workers))
	done := map[string]chan struct{}{}
	for i := range s.Resources {
		done[s.Resources[i].Address] = make(chan struct{})
	}
	for i := range s.Resources {
		resource := &s.Resources[i]
		run := func() error {
			if r.Workers > 0 {
				if err := r.await(ctx, resource.needs()); err != nil {
					return fmt.Errorf("%s: %w", resource.Address, err)
				}
			}
			for _, before := range resource.After {
				select {
				case <-done[before]:
				case <-ctx.Done():
					return ctx.Err()
				}
			}
			select {
			case places <- struct{}{}:
			case <-ctx.Done():
				return ctx.Err()
			}
			defer func() { <-places }()
			for k := range resource.Calls {
				if err := r.call(ctx, &resource.Calls[k]); err != nil {
					return fmt.Errorf("%s, call %d: %w", resource.Address, k+1, err)
				}
			}
			close(done[resource.Address])
			return nil
		}
		if r.Workers == 0 {
			if err := run(); err != nil {
				return fmt.Errorf("%s: %w", s.Name, err)
			}
			continue
		}
		g.Go(run)
	}
	if err := g.Wait(); err != nil {
		return fmt.Errorf("%s: %w", s.Name, err)
	}
	return nil
}

// await waits until variables are known.
func (r *Replay) await(ctx context.Context, names []string) error {
	for {
		r.mu.Lock()
		missing := slices.DeleteFunc(slices.Clone(names), func(n string) bool { _, ok := r.known[n]; return ok })
		next := r.more
		r.mu.Unlock()
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-next:
		case <-ctx.Done():
			return fmt.Errorf("nothing has given %s: %w", strings.Join(missing, ", "), ctx.Err())
		}
	}
}

// between two goes at a query whose answer is not yet as it should be.
const between = 5 * time.Millisecond

// call makes one call. A query is made until its answer is the recorded one, as the
// provider does.
func (r *Replay) call(ctx context.Context, c *Call) error {
	ctx, cancel := context.WithTimeout(ctx, r.Patience)
	defer cancel()
	parameters := map[string]string{}
	for name, v := range c.Parameters {
		parameters[name] = r.fill(v)
	}
	if c.Version != "" {
		parameters["Version"] = c.Version
	}
	var last error // but for that of a call that was cut short
	for {
		answer, err := r.Call(ctx, c.Action, parameters)
		if err = r.compare(c, answer, err); err == nil {
			return nil
		}
		if last == nil || ctx.Err() == nil {
			last = err
		}
		if !c.queries() || ctx.Err() != nil {
			return fmt.Errorf("%s %v: %w", c.Action, parameters, last)
		}
		select {
		case <-ctx.Done():
		case <-time.After(between):
		}
	}
}

// compare says what is otherwise than recorded, and learns what the server gave out.
func (r *Replay) compare(c *Call, answer json.RawMessage, err error) error {
	var refused *aliyun.CallError
	switch {
	case errors.As(err, &refused) && c.Code == refused.Refusal.Code:
		return nil
	case err != nil:
		return err
	case c.Code != "":
		return fmt.Errorf("answered, but the provider expects %s", c.Code)
	}
	var v any
	if err := json.Unmarshal(answer, &v); err != nil {
		return err
	}
	got := flat(v)
	learned := map[string]string{}
	var differ []string
	for path, want := range c.Answer {
		have, ok := got[path]
		text, isText := want.(string)
		switch {
		case r.StatesOnly && index.MatchString(path) && c.queries():
			// Lists may be in another order.
		case ok && isText && variable.FindString(text) == text && text != "" && !r.has(text):
			learned[text] = printed(have)
		case r.StatesOnly:
		case ok && isText && state(path) && strings.HasSuffix(text, "ing"):
			// The provider saw it change; here that may be over, or not have begun.
		case !ok:
			differ = append(differ, fmt.Sprintf("%s is missing", path))
		case isText && printed(have) != r.fill(text), !isText && printed(have) != printed(want):
			differ = append(differ, fmt.Sprintf("%s is %v, the provider had %v", path, have, want))
		}
	}
	if r.StatesOnly {
		differ = otherStates(c.Answer, got)
	}
	if len(differ) > 0 {
		slices.Sort(differ)
		return errors.New(strings.Join(differ, "; "))
	}
	r.learn(learned)
	return nil
}

// printed is a scalar of an answer as text: of an account's number all digits.
func printed(v any) string {
	if n, ok := v.(float64); ok {
		return strconv.FormatFloat(n, 'f', -1, 64)
	}
	return fmt.Sprint(v)
}

// index is the number of an item in a path.
var index = regexp.MustCompile(`\.[0-9]+\b`)

// state reports whether a path is that of a state.
func state(path string) bool {
	return strings.HasSuffix(path, "Status") || strings.HasSuffix(path, "State")
}

// otherStates says which states are none of those that the provider had there, in whatever
// order lists are.
func otherStates(recorded, got map[string]any) (differ []string) {
	had := map[string][]any{}
	for path, v := range recorded {
		if state(path) {
			at := index.ReplaceAllString(path, "")
			had[at] = append(had[at], v)
		}
	}
	for path, v := range got {
		if values := had[index.ReplaceAllString(path, "")]; values != nil && !slices.Contains(values, v) {
			differ = append(differ, fmt.Sprintf("%s is %v, the provider had %v", path, v, values))
		}
	}
	return differ
}

func (r *Replay) has(name string) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, ok := r.known[name]
	return ok
}

func (r *Replay) learn(learned map[string]string) {
	if len(learned) == 0 {
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, v := range learned {
		r.known[name] = v
	}
	close(r.more)
	r.more = make(chan struct{})
}

// fill puts what is known in the place of variables.
func (r *Replay) fill(text string) string {
	r.mu.Lock()
	defer r.mu.Unlock()
	return variable.ReplaceAllStringFunc(text, func(name string) string {
		if v, ok := r.known[name]; ok {
			return v
		}
		return name
	})
}
