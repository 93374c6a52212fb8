package resource_test

import (
	"encoding/json"
	"net/netip"
	"reflect"
	"testing"
	"time"

	"sluice/controlplane/resource"
)

var all = []resource.Resource{
	&resource.VPC{}, &resource.VRouter{}, &resource.RouteTable{}, &resource.RouteEntry{}, &resource.VSwitch{}, &resource.Instance{}, &resource.NetworkInterface{}, &resource.AddressUse{},
	&resource.ElasticIP{}, &resource.NATGateway{}, &resource.ForwardEntry{}, &resource.SNATEntry{},
	&resource.Account{}, &resource.AccessKey{}, &resource.Receipt{},
}

// fill puts something into every field, and says which it cannot fill.
func fill(t *testing.T, v reflect.Value, n *int) {
	*n++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 1, 0, 0, *n, 0, time.UTC)))
		return
	case netip.Addr:
		v.Set(reflect.ValueOf(netip.AddrFrom4([4]byte{10, 0, 0, byte(*n)})))
		return
	case netip.Prefix:
		v.Set(reflect.ValueOf(netip.PrefixFrom(netip.AddrFrom4([4]byte{10, byte(*n), 0, 0}), 16)))
		return
	case json.RawMessage:
		v.Set(reflect.ValueOf(json.RawMessage(`{"a":1}`)))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString("s" + string(rune('a'+*n%26)))
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(*n))
	case reflect.Uint8, reflect.Uint16:
		v.SetUint(uint64(*n))
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range 2 {
			fill(t, v.Index(i), n)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		fill(t, v.Elem(), n)
	case reflect.Struct:
		for i := range v.NumField() {
			fill(t, v.Field(i), n)
		}
	default:
		t.Fatalf("cannot fill a %s", v.Type())
	}
}

// shared returns the path of something that a and b have in common in memory.
func shared(path string, a, b reflect.Value) string {
	switch a.Kind() {
	case reflect.Slice:
		if a.Len() > 0 && a.Pointer() == b.Pointer() {
			return path
		}
	case reflect.Pointer:
		if a.Pointer() == b.Pointer() {
			return path
		}
		return shared(path, a.Elem(), b.Elem())
	case reflect.Struct:
		if a.NumField() > 0 && a.Type().PkgPath() != "sluice/controlplane/resource" {
			return ""
		}
		for i := range a.NumField() {
			if p := shared(path+"."+a.Type().Field(i).Name, a.Field(i), b.Field(i)); p != "" {
				return p
			}
		}
	}
	return ""
}

func TestCloneAndJSON(t *testing.T) {
	kinds := make(map[resource.Kind]bool)
	for _, r := range all {
		if kinds[r.Kind()] {
			t.Errorf("two kinds are called %s", r.Kind())
		}
		kinds[r.Kind()] = true
		n := 0
		fill(t, reflect.ValueOf(r).Elem(), &n)

		c := r.Clone()
		if !reflect.DeepEqual(c, r) {
			t.Errorf("%s: clone %+v of %+v", r.Kind(), c, r)
		}
		if p := shared(string(r.Kind()), reflect.ValueOf(r), reflect.ValueOf(c)); p != "" {
			t.Errorf("%s is shared with the clone", p)
		}
		if c.Metadata() == r.Metadata() || c.Metadata().ID != r.Metadata().ID {
			t.Errorf("%s: metadata of the clone", r.Kind())
		}

		text, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		back := reflect.New(reflect.TypeOf(r).Elem()).Interface()
		if err := json.Unmarshal(text, back); err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(back, any(r)) {
			t.Errorf("%s came back as\n%+v, was\n%+v", text, back, r)
		}
	}
}

func TestUsable(t *testing.T) {
	for state, want := range map[string]bool{"Running": true, "Stopped": true, "Available": false, "InUse": false, "Starting": false, "Stopping": false, "Pending": false, "": false} {
		if got := (&resource.Instance{State: state}).Usable(); got != want {
			t.Errorf("%q: usable %v", state, got)
		}
	}
}
