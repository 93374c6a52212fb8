// Package sdk tells what today's public SDKs of a family know of an action: the
// parameters and members of their request and response types, as the catalog names them.
package sdk

import (
	"reflect"
	"slices"
	"strings"
	"unicode"

	"github.com/aliyun/alibaba-cloud-sdk-go/services/ram"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"

	vpcv6 "github.com/alibabacloud-go/vpc-20160428/v6/client"
)

// Known is what a client knows of an action.
type Known struct {
	Client     string   // module of the client
	Parameters []string // paths: Tag.N.Key
	Members    []string // paths: Vpcs.Vpc.VpcId
}

// Aliyun returns what the public Go SDKs of Alibaba Cloud know of an action of version
// 2016-04-28, or, as ram:CreateUser, of RAM's, an entry for each SDK that has it. Names of
// actions are compared without regard to case.
func Aliyun(action string) []Known {
	var out []Known
	if name, ok := strings.CutPrefix(action, "ram:"); ok {
		if m, ok := method(reflect.TypeFor[*ram.Client](), name); ok {
			out = append(out, Known{
				Client:     "github.com/aliyun/alibaba-cloud-sdk-go/services/ram",
				Parameters: paths(m.Type.In(1).Elem(), "name", ".N"),
				Members:    paths(m.Type.Out(0).Elem(), "json", ""),
			})
		}
		return out
	}
	if m, ok := method(reflect.TypeFor[*vpc.Client](), action); ok {
		out = append(out, Known{
			Client:     "github.com/aliyun/alibaba-cloud-sdk-go/services/vpc",
			Parameters: paths(m.Type.In(1).Elem(), "name", ".N"),
			Members:    paths(m.Type.Out(0).Elem(), "json", ""),
		})
	}
	if m, ok := method(reflect.TypeFor[*vpcv6.Client](), action); ok {
		body, _ := m.Type.Out(0).Elem().FieldByName("Body")
		out = append(out, Known{
			Client:     "github.com/alibabacloud-go/vpc-20160428/v6",
			Parameters: paths(m.Type.In(1).Elem(), "json", ".N"),
			Members:    paths(body.Type.Elem(), "json", ""),
		})
	}
	return out
}

// method finds the client's method that calls an action.
func method(client reflect.Type, action string) (reflect.Method, bool) {
	for i := range client.NumMethod() {
		m := client.Method(i)
		if strings.EqualFold(m.Name, action) && m.Type.NumIn() == 2 && m.Type.NumOut() == 2 {
			return m, true
		}
	}
	return reflect.Method{}, false
}

// paths returns the paths of all fields of a structure that have a tag, sorted. index
// is what stands for the number of an item behind the name of a list.
func paths(t reflect.Type, tag, index string) []string {
	var out []string
	walk(t, tag, index, "", nil, &out)
	slices.Sort(out)
	return slices.Compact(out)
}

func walk(t reflect.Type, tag, index, at string, above []reflect.Type, out *[]string) {
	if slices.Contains(above, t) {
		return
	}
	above = append(slices.Clip(above), t)
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get(tag), ",")
		if name == "" || name == "-" {
			continue
		}
		path := at + numbered(name)
		inner, list := f.Type, false
		for inner.Kind() == reflect.Pointer || inner.Kind() == reflect.Slice {
			list = list || inner.Kind() == reflect.Slice
			inner = inner.Elem()
		}
		if list {
			path += index
		}
		*out = append(*out, path)
		if inner.Kind() == reflect.Struct {
			walk(inner, tag, index, path+".", above, out)
		}
	}
}

// numbered puts the catalog's sign for an index in the place of a number that stands
// in a name: Filter.1.Key.
func numbered(name string) string {
	parts := strings.Split(name, ".")
	for i, p := range parts {
		if i > 0 && p != "" && strings.IndexFunc(p, func(r rune) bool { return !unicode.IsDigit(r) }) < 0 {
			parts[i] = "N"
		}
	}
	return strings.Join(parts, ".")
}
