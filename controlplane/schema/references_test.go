package schema_test

import (
	"encoding/json"
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/resource"
	"sluice/controlplane/schema"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/memory"
)

// texts adds all texts in a JSON value to list.
func texts(v any, list []string) []string {
	switch v := v.(type) {
	case string:
		return append(list, v)
	case []any:
		for _, x := range v {
			list = texts(x, list)
		}
	case map[string]any:
		for _, x := range v {
			list = texts(x, list)
		}
	}
	return list
}

// Whatever a record names by its id has to be there: a store from which a record is
// missing does not start if another one names that.
func TestMissingRecords(t *testing.T) {
	s, _ := stored(t, "testdata/2/store.db")
	if err := schema.Upgrade(ctx, s, "here", func(int) (string, error) { return "", nil }, quiet); err != nil {
		t.Fatal(err)
	}
	all := records(t, s)
	named := map[string][]store.Key{} // by whom
	for key, value := range all {
		var v any
		if err := json.Unmarshal([]byte(value), &v); err != nil {
			t.Fatal(err)
		}
		for _, text := range texts(v, nil) {
			named[text] = append(named[text], key)
		}
	}
	missed := map[resource.Kind]bool{}
	for gone := range all {
		if gone.Kind == string(resource.KindTagSet) {
			continue // it has the id of what has the tags, which is named
		}
		by := slices.DeleteFunc(slices.Clone(named[gone.ID]), func(k store.Key) bool { return k == gone || gone.Kind == store.KindSchema })
		if len(by) == 0 {
			continue
		}
		m := memory.New(0).Open()
		var writes []store.Write
		for key, value := range all {
			if key != gone && key.Kind != store.KindSchema {
				writes = append(writes, store.Write{Key: key, Value: []byte(value)})
			}
		}
		if _, err := m.Commit(ctx, 0, writes); err != nil {
			t.Fatal(err)
		}
		db, err := state.Open(ctx, m)
		if err != nil {
			t.Fatal(err)
		}
		if err := db.View().Check(); err == nil || !strings.Contains(err.Error(), gone.ID) {
			t.Errorf("without %s %s, which %v name: %v", gone.Kind, gone.ID, by, err)
		}
		for _, k := range by {
			missed[resource.Kind(k.Kind)] = true
		}
	}
	// The store has what refers of every kind.
	for _, kind := range []resource.Kind{resource.KindVPC, resource.KindVRouter, resource.KindRouteTable, resource.KindRouteEntry, resource.KindVSwitch, resource.KindInstance,
		resource.KindElasticIP, resource.KindNATGateway, resource.KindForwardEntry, resource.KindSNATEntry, resource.KindVPNGateway, resource.KindVPNConnection, resource.KindVPNRoute} {
		if !missed[kind] {
			t.Errorf("no record of kind %s names another", kind)
		}
	}
}
