package aliyun

import (
	"encoding/json"
	"strings"

	"sluice/api/audit"
)

// recordable is what of an action may stand in the audit log.
type recordable struct {
	parameters []recordableParameter
	elements   []string // members of the answer, names with dots
}

// recordableParameter is a parameter by its name in the catalog (Tag.N.Key); of a JSON
// value only the members may be recorded.
type recordableParameter struct {
	name    string
	json    bool
	members []string
}

// recordableOf finds an action's parameters by their names in small letters, with n for
// each index.
var recordableOf = func() map[string]map[string]recordableParameter {
	all := make(map[string]map[string]recordableParameter, len(recordables))
	for action, r := range recordables {
		byName := make(map[string]recordableParameter, len(r.parameters))
		for _, p := range r.parameters {
			byName[strings.ToLower(p.name)] = p
		}
		all[action] = byName
	}
	return all
}()

// recordableAnyway are parameters that every call may have, and that say for whom it is.
var recordableAnyway = map[string]recordableParameter{
	"regionid": {name: "RegionId"}, "ownerid": {name: "OwnerId"}, "owneraccount": {name: "OwnerAccount"},
	"resourceownerid": {name: "ResourceOwnerId"}, "resourceowneraccount": {name: "ResourceOwnerAccount"},
}

// Audit implements edge.Call.
func (c *call) Audit(e *audit.Event) {
	if e.Name = c.action; e.Name == "" {
		e.Name = c.request.Header.Get(headerAction)
	}
	if c.params == nil {
		return
	}
	if e.Name == "" {
		e.Name = c.params.Get("Action")
	}
	known := recordableOf[c.action]
	for name, value := range c.params.All() {
		if value == "" {
			continue // as if it were not given
		}
		if m, ok := recorded(known, name, value); ok {
			e.Parameters = append(e.Parameters, m)
		}
	}
	if c.answer != nil && e.ErrorCode == "" {
		e.Elements = elements(recordables[c.action].elements, c.answer)
	}
}

// recorded returns a parameter as it may be recorded, under the name that the catalog
// has for it.
func recorded(known map[string]recordableParameter, name, value string) (m audit.Member, ok bool) {
	generic, index := strings.ToLower(name), []string(nil)
	if strings.Contains(name, ".") {
		generic, index = withoutIndexes(generic)
	}
	p, ok := known[generic]
	if !ok {
		p, ok = recordableAnyway[generic]
	}
	if !ok {
		return m, false
	}
	m.Name = p.name
	if len(index) > 0 {
		parts := strings.Split(p.name, ".")
		for i := range parts {
			if parts[i] == "N" && len(index) > 0 {
				parts[i], index = index[0], index[1:]
			}
		}
		m.Name = strings.Join(parts, ".")
	}
	if !p.json {
		m.Value = value
		return m, true
	}
	members, ok := jsonMembers(value)
	if !ok {
		members, ok = jsonMembers(onlyItem(value))
	}
	if !ok {
		return m, false // whatever it is: nobody knows what is a key in it
	}
	for _, name := range p.members {
		if v, ok := members.Lookup(name); ok {
			m.Members = append(m.Members, audit.Member{Name: name, Value: v})
		}
	}
	return m, len(m.Members) > 0
}

// withoutIndexes returns a parameter's name with n for each index, and the indexes.
func withoutIndexes(name string) (generic string, index []string) {
	parts := strings.Split(name, ".")
	for i, part := range parts {
		if _, ok := parseInt(part, 0, 1000); ok && i > 0 {
			index = append(index, part)
			parts[i] = "n"
		}
	}
	return strings.Join(parts, "."), index
}

// elements returns members of an answer, by their names with dots, that are there.
func elements(names []string, answer Response) (list []audit.Member) {
	if len(names) == 0 {
		return nil
	}
	var all map[string]any
	if text, err := json.Marshal(answer); err != nil || json.Unmarshal(text, &all) != nil {
		return nil
	}
	for _, name := range names {
		if v := elementText(all, name); v != "" {
			list = append(list, audit.Member{Name: name, Value: v})
		}
	}
	return list
}

// elementText returns a member that is a value; empty if it is none.
func elementText(of map[string]any, name string) string {
	first, rest, nested := strings.Cut(name, ".")
	if v, ok := of[first].(map[string]any); ok && nested {
		return elementText(v, rest)
	}
	return audit.Text(of[first])
}
