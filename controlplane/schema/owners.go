package schema

// owners leads to schema 2, in which each VPC says whose dataplane carries it: until then
// there was one machine.
func owners(machine, kind string, r record) error {
	if kind != "vpc" {
		return nil
	}
	return r.put("owner", machine)
}
