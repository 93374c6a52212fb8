package sdk

import (
	"fmt"
	"slices"

	"sluice/api/spec"
)

// Unexplained returns, for each supported action of Alibaba Cloud's family, the
// parameters and members that a public SDK knows and that are neither served nor
// excluded with a reason in the catalog, one line each, sorted.
func Unexplained() ([]string, error) {
	catalog, err := spec.Load()
	if err != nil {
		return nil, err
	}
	family := catalog.Family(spec.Aliyun)
	var lines []string
	for _, a := range family.Actions() {
		if !a.Supported() {
			continue
		}
		for _, k := range Aliyun(a.Key()) {
			parameters, members := family.Unexplained(a, k.Parameters, k.Members)
			for _, p := range parameters {
				lines = append(lines, fmt.Sprintf("%s/%s.json: %s: parameter %s", spec.Aliyun, a.Group, a.Name, p))
			}
			for _, m := range members {
				lines = append(lines, fmt.Sprintf("%s/%s.json: %s: member %s", spec.Aliyun, a.Group, a.Name, m))
			}
		}
	}
	slices.Sort(lines)
	return slices.Compact(lines), nil
}
