package policy

// Request is what is to be decided.
type Request struct {
	Service string // "vpc"
	Action  string // "CreateVpc"
	Resource
	// Value returns the value of a condition key, which is in lower case; false: the
	// request has none. nil: it has none of any key.
	Value func(key string) (string, bool)
}

// Resource is what an action is about: acs:<service>:<region>:<account>:<id>.
type Resource struct {
	Of      string // the service that the resource is of; it may be another than the action's
	Region  string // Everything: of any region
	Account string
	ID      string // "vpc/vpc-257gq642n", or as a document's table has it, "vpc/*"
	// Whole says that ID is only how those begin that the action is about, all of them
	// or any: "vpc/", or "" for the whole service. Then an Allow has to cover all of
	// them, and a Deny of one of them denies.
	Whole bool
}

// System is the Account of a Resource that every account has: a policy of the system.
const System = "system"

// Everything is a Resource's Region where it is not known which one, or is all.
const Everything = "*"

// String returns the resource as it is written in documents.
func (r Resource) String() string {
	id := r.ID
	if r.Whole {
		id = whole(r.ID)
	}
	return "acs:" + r.Of + ":" + r.Region + ":" + r.Account + ":" + id
}

// Effect is what a statement, or all together, say.
type Effect int

// The effects.
const (
	None  Effect = iota // no statement is about the request: it is denied
	Allow               // allowed
	Deny                // denied, whatever else allows it
)

// String returns the word for it.
func (e Effect) String() string { return [...]string{"none", "Allow", "Deny"}[e] }

// Decision is what documents say of a request.
type Decision struct {
	Effect
	// Document and Statement say which statement decided, from 0; -1 if none.
	Document, Statement int
}

// Decide says what documents say of a request: the first statement that denies it, or
// else the first that allows it.
func Decide(documents []*Document, r *Request) Decision {
	q := query{Request: r, service: lower(r.Service), action: lower(r.Action), of: lower(r.Of), region: lower(r.Region), id: lower(r.ID)}
	d := Decision{None, -1, -1}
	for i, doc := range documents {
		for j := range doc.statements {
			s := &doc.statements[j]
			if s.effect == Allow && d.Effect == Allow || !s.covers(&q) {
				continue
			}
			d = Decision{s.effect, i, j}
			if s.effect == Deny {
				return d
			}
		}
	}
	return d
}

// query is a request with what patterns are compared with, in lower case.
type query struct {
	*Request
	service, action, of, region, id string
}

// statement is one compiled statement.
type statement struct {
	effect     Effect
	actions    []actionPattern
	notAction  bool // all but actions
	resources  []resourcePattern
	notRes     bool // all but resources
	conditions []condition
}

func (s *statement) covers(q *query) bool {
	return s.coversAction(q) && s.coversResource(q) && s.holds(q)
}

func (s *statement) coversAction(q *query) bool {
	for i := range s.actions {
		if a := &s.actions[i]; a.service.match(q.service) && a.name.match(q.action) {
			return !s.notAction
		}
	}
	return s.notAction
}

// coversResource says whether the statement covers the resource: one that allows all of
// it, one that denies any of it.
func (s *statement) coversResource(q *query) bool {
	// What is excepted must be so in whole, if the rest is denied, and must not be in any
	// part, if the rest is allowed.
	inPart := (s.effect == Deny) != s.notRes
	for i := range s.resources {
		if s.resources[i].match(q, inPart) {
			return !s.notRes
		}
	}
	return s.notRes
}

// holds says whether all conditions hold. One whose key the request has no value of
// does not, but for a negated one of a statement that denies: nothing is allowed for
// lack of knowledge.
func (s *statement) holds(q *query) bool {
	for i := range s.conditions {
		c := &s.conditions[i]
		met, known := false, false
		if q.Value != nil {
			if v, ok := q.Value(c.key); ok {
				met, known = c.test(v)
			}
		}
		if !known {
			met = s.effect == Deny && c.negated
		}
		if !met {
			return false
		}
	}
	return true
}
