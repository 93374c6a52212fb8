package spec

// Recordable is a parameter that may stand in a record of a call: all of its text, or of
// a JSON-valued one the members that may.
type Recordable struct {
	Name    string
	JSON    bool
	Members []string // of a JSON value
}

// Recordable returns the parameters of the action that may be recorded: those of its
// request that are not secret, in its order. A name that is not among them may not.
func (a *Action) Recordable() (list []Recordable) {
	for _, f := range a.Request {
		list = f.recordable(list, f.Name)
	}
	return list
}

func (f *Field) recordable(list []Recordable, name string) []Recordable {
	switch {
	case f.Secret:
	case len(f.Fields) > 0:
		if f.List {
			name += ".N"
		}
		for _, x := range f.Fields {
			list = x.recordable(list, name+"."+x.Name)
		}
	case f.Format == "json":
		r := Recordable{Name: name, JSON: true}
		for _, m := range f.Members {
			if !m.Secret {
				r.Members = append(r.Members, m.Name)
			}
		}
		list = append(list, r)
	default:
		list = append(list, Recordable{Name: name})
	}
	return list
}

// RecordableElements returns the members of the action's answer that may be recorded, as
// names with dots: of one that writes, what is no list and not secret. What an action
// that only reads answers is not recorded.
func (a *Action) RecordableElements() []string {
	if !a.Writes() {
		return nil
	}
	return recordableElements(a.Response, "")
}

func recordableElements(of Fields, at string) (names []string) {
	for _, f := range of {
		switch {
		case f.Secret || f.List || f.Item != "" || at == "" && f.Name == "RequestId":
		case len(f.Fields) > 0:
			names = append(names, recordableElements(f.Fields, at+f.Name+".")...)
		default:
			names = append(names, at+f.Name)
		}
	}
	return names
}
