package spec

// Ways to write the parameters of a request.
const (
	Form = "form" // names and values, in a query or a form body; lists and objects are spelled out in names
	JSON = "json" // one JSON object
)

// Places where the name of an action may stand.
const (
	InParameter = "parameter"
	InHeader    = "header"
)

// Wire is how a family's requests are written, as far as it decides what is
// generated. Its keys are described in README.md.
type Wire struct {
	Version    string   `json:"version"`
	Action     Place    `json:"action"`
	Parameters []string `json:"parameters"`  // Form, JSON, or both
	FirstIndex int      `json:"first_index"` // of a list whose index stands in a name
}

// Place is where something stands in a request.
type Place struct {
	In   string `json:"in"` // InParameter or InHeader
	Name string `json:"name"`
}

// wireKeys are the keys of "wire", with the JSON type of each.
var wireKeys = map[string]string{"version": "string", "action": "object", "parameters": "array", "first_index": "number"}

// wire checks a family's wire.
func (c *checker) wire(name string, w map[string]any) {
	for k, want := range wireKeys {
		if _, ok := w[k]; !ok {
			c.bad("%s: wire has no %s", name, k)
		} else if jsonType(w[k]) != want {
			c.bad("%s: %s of wire is no %s", name, k, want)
		}
	}
	for k := range w {
		if wireKeys[k] == "" {
			c.bad("%s: unknown key %s of wire", name, k)
		}
	}
	action := object(w["action"])
	if in := action["in"]; in != InParameter && in != InHeader || action["name"] == nil || len(action) != 2 {
		c.bad("%s: action of wire is not {\"in\": \"%s\" or \"%s\", \"name\": …}", name, InParameter, InHeader)
	}
	if len(array(w["parameters"])) == 0 {
		c.bad("%s: wire has no way to write parameters", name)
	}
	for _, p := range array(w["parameters"]) {
		if p != Form && p != JSON {
			c.bad("%s: parameters of wire are written as %v; it may be %s or %s", name, p, Form, JSON)
		}
	}
	if n := w["first_index"]; n != 0.0 && n != 1.0 {
		c.bad("%s: first_index of wire is %v; it may be 0 or 1", name, n)
	}
}
