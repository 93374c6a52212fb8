package ram

import (
	"errors"
	"io"
	"log/slog"
	"strings"
	"sync"
	"time"

	"sluice/controlplane/change"
	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/policy"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// Service keeps users, policies and grants, and decides by them. It is safe for
// concurrent use.
type Service struct {
	db     *state.DB
	writer change.Writer
	keys   *identity.Service
	random io.Reader
	// compiled holds documents: id of a policy → *compiled. An entry counts as long as
	// the stored record is the one that it was made of.
	compiled sync.Map
}

type compiled struct {
	record   *resource.Policy
	document *policy.Document
}

// New returns the service over db. random is crypto/rand.Reader outside tests.
func New(db *state.DB, set *settings.Settings, keys *identity.Service, now func() time.Time, random io.Reader, log *slog.Logger) *Service {
	return &Service{db: db, writer: change.NewWriter(db, set, now, log), keys: keys, random: random}
}

// once returns a caller whose call is not repeated by its token: what it answers, a
// secret, is not kept.
func once(c identity.Caller) identity.Caller {
	c.Token = ""
	return c
}

// user returns the user of an account of that name, of which case makes no difference. An
// id is no name: what policies allow is said of names. Reason: UserNotFound.
func user(v *state.View, account, name string) (*resource.User, error) {
	if u, ok := v.Users.By(state.ByName, state.NameKey(account, name)).First(); ok {
		return u, nil
	}
	return nil, fault.New(fault.UserNotFound, "user %q of account %s", name, account)
}

// own returns the policy of an account's own of that name. Reason: PolicyNotFound.
func own(v *state.View, account, name string) (*resource.Policy, error) {
	if p, ok := v.Policies.By(state.ByName, state.NameKey(account, name)).First(); ok {
		return p, nil
	}
	return nil, fault.New(fault.PolicyNotFound, "policy %q of account %s", name, account)
}

// attachable returns the attachment of a policy of that name: of the account's own, or of
// the system. Reason: PolicyNotFound.
func attachable(v *state.View, account, name string, isSystem bool, at time.Time) (resource.Attachment, error) {
	if isSystem {
		p, ok := System(name)
		if !ok {
			return resource.Attachment{}, fault.New(fault.PolicyNotFound, "policy %q of the system", name)
		}
		return resource.Attachment{Policy: p.Name, System: true, At: at}, nil
	}
	p, err := own(v, account, name)
	if err != nil {
		return resource.Attachment{}, err
	}
	return resource.Attachment{Policy: p.ID, At: at}, nil
}

// document returns the compiled document of an attached policy.
func (s *Service) document(v *state.View, a resource.Attachment) (*policy.Document, error) {
	if a.System {
		p, ok := System(a.Policy)
		if !ok {
			return nil, fault.New(fault.PolicyNotFound, "policy %q of the system", a.Policy)
		}
		return p.document, nil
	}
	record, ok := v.Policies.Get(a.Policy)
	if !ok {
		return nil, fault.New(fault.PolicyNotFound, "policy %s", a.Policy)
	}
	// Records are never changed, only replaced: the same pointer is the same record.
	if c, ok := s.compiled.Load(record.ID); ok && c.(*compiled).record == record {
		return c.(*compiled).document, nil
	}
	d, err := policy.Parse(record.Document())
	if err != nil {
		return nil, err
	}
	s.compiled.Store(record.ID, &compiled{record, d})
	return d, nil
}

// title returns the name of an attached policy.
func title(v *state.View, a resource.Attachment) string {
	if p, ok := v.Policies.Get(a.Policy); ok && !a.System {
		return p.Name
	}
	return a.Policy
}

// parse compiles a document that is to be kept. Reason: PolicyMalformed.
func parse(document string) error {
	if _, err := policy.Parse(document); err != nil {
		return fault.Explained(fault.PolicyMalformed, "%v", err)
	}
	return nil
}

// checkName refuses, for a reason, what is no name: letters, digits and what extra has, as
// many as most at most, the first a letter or digit.
func checkName(r fault.Reason, what, name, extra string, most int) error {
	const alphanumeric = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
	if name == "" || len(name) > most || strings.Trim(name, alphanumeric+extra) != "" || !strings.Contains(alphanumeric, name[:1]) {
		return fault.Explained(r, "%s %q: write 1 to %d Latin letters, digits, and any of %s; the first is a letter or a digit", what, name, most, extra)
	}
	return nil
}

// checkText refuses a text that is too long.
func checkText(what, text string, most int) error {
	if n := len([]rune(text)); n > most {
		return fault.Explained(fault.ParameterInvalid, "%s of %d characters: write %d at most", what, n, most)
	}
	return nil
}

// digits draws a number of n digits that begins as first says.
func digits(random io.Reader, first string, n int) (string, error) {
	out := []byte(first)
	for b := make([]byte, 32); len(out) < n; {
		if _, err := io.ReadFull(random, b); err != nil {
			return "", errors.Join(errors.New("draw random digits"), err)
		}
		for _, x := range b {
			if x < 250 && len(out) < n {
				out = append(out, '0'+x%10)
			}
		}
	}
	return string(out), nil
}
