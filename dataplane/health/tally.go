package health

import "time"

// Result is how a check stands.
type Result struct {
	Checked bool      // there is a verdict
	Failed  bool      // and it is a bad one
	Since   time.Time // when the verdict became what it is; zero without one
}

// tally counts answers and losses.
type tally struct {
	Result
	answers, losses int // in a row
}

// note takes the outcome of a probe and reports whether the verdict changed.
func (t *tally) note(answered bool, retries int, now time.Time) (changed bool) {
	if answered {
		t.answers, t.losses = min(t.answers+1, retries), 0
	} else {
		t.answers, t.losses = 0, min(t.losses+1, retries)
	}
	failed := t.Failed
	switch {
	case t.losses == retries:
		failed = true
	case t.answers == retries, answered && !t.Checked:
		failed = false
	case !t.Checked:
		return false
	}
	if t.Checked && failed == t.Failed {
		return false
	}
	t.Result = Result{Checked: true, Failed: failed, Since: now}
	return true
}
