package spec

import (
	"encoding/json"
	"sort"
	"strings"
)

// Families, as the folders under catalog/ are named.
const (
	Aliyun   = "aliyun"   // Alibaba Cloud RPC style, Version=2016-04-28
	Tencent3 = "tencent3" // Tencent Cloud API 3.0, Version=2017-03-12
	Tencent2 = "tencent2" // the older /v2/index.php API
)

// Supported is the state of an action that this program answers.
const Supported = "supported"

// Catalog holds the facts of all families.
type Catalog struct {
	Families map[string]*Family // by name
}

// Family is one wire format and the actions that are spoken in it.
type Family struct {
	Name          string
	Groups        []*Group       // sorted by name
	CommonErrors  []Error        // errors that every action may answer
	Wire          *Wire          // nil where nothing is generated yet
	Services      []Service      // others than the family's own, whose actions are written in the same way
	Exclusions                   // of all actions; a member without a dot is meant wherever it stands
	Authorization *Authorization // nil: the family has none yet
	types         map[string]*Type
	actions       map[string]*Action // by Key
}

// Service is a service whose actions are spoken in a family beside the family's own, told
// apart by their version.
type Service struct {
	Code    string // ram
	Version string `json:"version"`
	Title   string `json:"title"`
}

// Group is the content of one file: actions that belong together.
type Group struct {
	Family  string
	Name    string
	Service string    // code of the service whose they are; empty: the family's own
	Actions []*Action // in the order of the file
}

// Action is one operation of a family.
type Action struct {
	Family     string
	Group      string
	Service    string // as the group's
	Name       string
	Summary    string
	State      string // Supported, or empty: not yet
	Source     []Source
	Request    Fields
	Response   Fields
	Errors     []Error
	Rules      []string
	States     []string
	DocDefects []string
	Extension  bool // in none of the documents; public clients call it
	Exclusions
}

// Source names the document that a fact was taken from.
type Source struct {
	Document string `json:"document"`
}

// Error is a documented refusal, to the letter.
type Error struct {
	HTTP    int    `json:"http"`
	Code    string `json:"code"`
	Message string `json:"message"`
	When    string `json:"when"` // in the catalog's own words
}

// UnmarshalJSON takes a code that is written as a number too, as the older
// Tencent family's are.
func (e *Error) UnmarshalJSON(text []byte) error {
	var raw struct {
		HTTP    int             `json:"http"`
		Code    json.RawMessage `json:"code"`
		Message string          `json:"message"`
		When    string          `json:"when"`
	}
	if err := json.Unmarshal(text, &raw); err != nil {
		return err
	}
	*e = Error{HTTP: raw.HTTP, Code: strings.Trim(string(raw.Code), `"`), Message: raw.Message, When: raw.When}
	return nil
}

// Type is a structure that several actions share.
type Type struct {
	Name    string
	Summary string
	Fields  Fields
	List    bool   // the type is a list of Ref
	Item    string // wire name of one element of the list
	Ref     string
}

// Fields are parameters or members in the order of the document.
type Fields []*Field

// Get returns the field of that wire name, or nil.
func (f Fields) Get(name string) *Field {
	for _, x := range f {
		if x.Name == name {
			return x
		}
	}
	return nil
}

// Field is one parameter of a request or one member of a response. Its keys
// are described in README.md.
type Field struct {
	Name     string `json:"-"` // wire name; ".N." stands for an index from 1
	Type     string `json:"type"`
	Required bool   `json:"required"`
	Default  any    `json:"default"` // nil: none
	Enum     []any  `json:"enum"`

	Min       *int64 `json:"min"`
	Max       *int64 `json:"max"`
	MinLength int    `json:"minLength"` // characters
	MaxLength int    `json:"maxLength"` // characters; 0: no limit
	MaxItems  int    `json:"maxItems"`  // 0: no limit

	Format  string `json:"format"`
	Unit    string `json:"unit"`
	Example any    `json:"example"`
	Notes   string `json:"notes"`

	Members Fields `json:"members"` // of a JSON-valued parameter
	Fields  Fields `json:"fields"`  // of a nested response field; refs are resolved into it
	List    bool   `json:"list"`
	Item    string `json:"item"`
	Ref     string `json:"ref"`

	Missing          string   `json:"missing"`
	Malformed        string   `json:"malformed"`
	MalformedMessage string   `json:"malformed_message"`
	Excess           string   `json:"excess"`
	Literals         []string `json:"literals"`
	AnyCase          bool     `json:"any_case"` // of Enum and Literals
	BareAddress      bool     `json:"bare_address"`
	Explicit         bool     `json:"explicit"`
	Extension        bool     `json:"extension"`
	Secret           bool     `json:"secret"`

	WireAliases []string `json:"wire_aliases"`
	XMLAliases  []string `json:"xml_aliases"`
	ItemAliases []string `json:"item_aliases"`
	OmitEmpty   bool     `json:"omit_empty"`
}

// Family returns the family of that name, or nil.
func (c *Catalog) Family(name string) *Family { return c.Families[name] }

// Action returns the action of that key, or nil. Keys are matched exactly.
func (f *Family) Action(key string) *Action { return f.actions[key] }

// Key is what the action is known by in its family: its name, and in front of it, with a
// colon, the service, where that is not the family's own: ram:CreateUser.
func (a *Action) Key() string {
	if a.Service == "" {
		return a.Name
	}
	return a.Service + ":" + a.Name
}

// Service returns the service of that code; false: the family has none.
func (f *Family) Service(code string) (Service, bool) {
	for _, s := range f.Services {
		if s.Code == code {
			return s, true
		}
	}
	return Service{}, false
}

// Find returns the action whose key matches without regard to case, or nil.
func (f *Family) Find(key string) *Action {
	if a := f.actions[key]; a != nil {
		return a
	}
	for k, a := range f.actions {
		if strings.EqualFold(k, key) {
			return a
		}
	}
	return nil
}

// Actions returns all actions of the family, sorted by key.
func (f *Family) Actions() []*Action {
	out := make([]*Action, 0, len(f.actions))
	for _, a := range f.actions {
		out = append(out, a)
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Key() < out[j].Key() })
	return out
}

// Type returns a shared structure, or nil.
func (f *Family) Type(name string) *Type { return f.types[name] }

// Supported says whether the program answers the action.
func (a *Action) Supported() bool { return a.State == Supported }

// Writes says whether the action may change something. By the families'
// naming, what describes, inquires, lists, checks or downloads does not.
func (a *Action) Writes() bool {
	for _, p := range []string{"Describe", "Inquiry", "List", "Check", "Download", "Get", "Query"} {
		if strings.HasPrefix(a.Name, p) {
			return false
		}
	}
	return true
}

// Documented returns the action's own errors of that code, in the document's
// order.
func (a *Action) Documented(code string) []Error {
	var out []Error
	for _, e := range a.Errors {
		if e.Code == code {
			out = append(out, e)
		}
	}
	return out
}
