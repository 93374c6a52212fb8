package schema_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"sluice/controlplane/compile"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/schema"
	"sluice/controlplane/state"
	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
	"sluice/controlplane/store/memory"
	"sluice/controlplane/store/storetest"
	"sluice/dataplane"
)

var (
	ctx   = context.Background()
	quiet = slog.New(slog.DiscardHandler)
)

// stored opens a copy of a store that an older version of Sluice has written.
func stored(t *testing.T, file string) (*bolt.Store, string) {
	t.Helper()
	data, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	s, err := bolt.Open(path, time.Second)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { s.Close() })
	return s, path
}

func records(t *testing.T, s store.Store) map[store.Key]string {
	t.Helper()
	all := map[store.Key]string{}
	if _, err := s.Load(ctx, func(r store.Record) error { all[r.Key] = string(r.Value); return nil }); err != nil {
		t.Fatal(err)
	}
	return all
}

// What the dataplane is given is the same as the version gave it that has written the
// store: testdata/0/networks.json is what that compiled, with every algorithm, group,
// specification, kind of binding and next hop. The store of schema 1 is that of schema 0
// as the version of that schema has brought it over, and so is that of schema 3.
func TestUpgradeFrom0(t *testing.T) { testUpgrade(t, 0) }
func TestUpgradeFrom1(t *testing.T) { testUpgrade(t, 1) }
func TestUpgradeFrom3(t *testing.T) { testUpgrade(t, 3) }

func testUpgrade(t *testing.T, from int) {
	s, path := stored(t, fmt.Sprintf("testdata/%d/store.db", from))
	before := records(t, s)
	backup := func(old int) (string, error) {
		if old != from {
			t.Errorf("a backup of schema %d", old)
		}
		return path + ".backup", s.Backup(path + ".backup")
	}
	if err := schema.Upgrade(ctx, s, "here", backup, quiet); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile("testdata/0/networks.json")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]*dataplane.Network{}
	if err := json.Unmarshal(text, &want); err != nil {
		t.Fatal(err)
	}
	set := planetest.Settings()
	set.Bandwidth.Held = false // as it was
	connections, havips := 0, 0
	for vpc := range db.View().VPCs.All() {
		got, err := compile.Network(db.View(), set, vpc.ID, func(string, []byte) ([]byte, error) { return []byte("(secret)"), nil })
		if err != nil {
			t.Fatal(err)
		}
		w := want[vpc.ID]
		if w == nil {
			t.Fatalf("%s was not there", vpc.ID)
		}
		got.Revision = w.Revision // the upgrade is a commit of its own
		for i, h := range got.HaVips {
			// They were instances, of which the dataplane was not told.
			if !h.AnyHost || len(h.Hosts) > 0 {
				t.Errorf("HaVip %d of %s: %+v", i, vpc.ID, h)
			}
		}
		havips += len(got.HaVips)
		got.HaVips = nil
		for i := range w.VPNGateways {
			w.VPNGateways[i].IPsec = true // of which the dataplane was given no others
		}
		if !reflect.DeepEqual(got, w) {
			g, _ := json.MarshalIndent(got, "", "\t")
			x, _ := json.MarshalIndent(w, "", "\t")
			t.Errorf("%s:\n%s\nwas\n%s", vpc.ID, g, x)
		}
		if vpc.Owner != "here" {
			t.Errorf("%s belongs to %q", vpc.ID, vpc.Owner)
		}
		if len(got.VPNGateways) > 0 {
			connections += len(got.VPNGateways[0].Connections)
		}
	}
	if len(want) != db.View().VPCs.Len() || connections != 17 || havips == 0 || havips != db.View().HaVips.Len() {
		t.Errorf("%d networks with %d connections and %d HaVips", db.View().VPCs.Len(), connections, havips)
	}
	for e := range db.View().ElasticIPs.All() {
		if e.Prepaid != !e.Expires.IsZero() || e.ByTraffic != e.Prepaid {
			t.Errorf("elastic IP %+v", e)
		}
	}

	checkInterfaces(t, db.View())

	// The backup is the store as it was, and a second upgrade changes nothing.
	old, err := bolt.Open(path+".backup", time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer old.Close()
	if got := records(t, old); !reflect.DeepEqual(got, before) {
		t.Error("the backup is not what the store was")
	}
	after := records(t, s)
	if err := schema.Upgrade(ctx, s, "here", nil, quiet); err != nil {
		t.Fatal(err)
	}
	if got := records(t, s); !reflect.DeepEqual(got, after) {
		t.Error("a second upgrade changes something")
	}
}

// Every host has a primary interface that says the same as its inventory's entry, and nothing
// else has one.
func checkInterfaces(t *testing.T, v *state.View) {
	t.Helper()
	hosts := 0
	for i := range v.Instances.All() {
		n, ok := v.PrimaryInterface(i.ID)
		if ok != (i.Type == resource.Host) {
			t.Errorf("%s %s has a primary interface: %v", i.Type, i.ID, ok)
		}
		if !ok {
			continue
		}
		hosts++
		want := resource.PrimaryInterface(i, n.ID)
		want.Created, want.Generation, want.Revision, want.Group = i.Created, i.Generation, i.Revision, i.Group
		if !reflect.DeepEqual(n, want) || !strings.HasPrefix(n.ID, "eni-") || len(n.ID) != 12 {
			t.Errorf("%+v of %+v", n, i)
		}
	}
	if hosts == 0 || v.NetworkInterfaces.Len() != hosts {
		t.Errorf("%d hosts, %d interfaces", hosts, v.NetworkInterfaces.Len())
	}
}

// Of two hosts whose interfaces would get one id the second gets another; and what cannot be
// read is refused.
func TestPrimaryInterfaceIDs(t *testing.T) {
	s := memory.New(0).Open()
	put := func(kind, id, value string) store.Write {
		return store.Write{Key: store.Key{Kind: kind, ID: id}, Value: []byte(value)}
	}
	if _, err := s.Commit(ctx, 0, []store.Write{
		put(store.KindSchema, "version", "3"), put("instance", "i-1", `{"id":"i-1","type":"host","vpc":"v","privateIp":"10.0.0.1","created":1,"generation":1,"revision":1,"createdAt":"2026-11-29T00:00:00Z"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := schema.Upgrade(ctx, s, "here", func(int) (string, error) { return "", nil }, quiet); err != nil {
		t.Fatal(err)
	}
	id := ""
	for k := range records(t, s) {
		if k.Kind == string(resource.KindNetworkInterface) {
			id = k.ID
		}
	}
	s = memory.New(0).Open()
	if _, err := s.Commit(ctx, 0, []store.Write{put(store.KindSchema, "version", "3"), put("instance", "i-1", `{"id":"i-1","type":"host","privateIp":"10.0.0.1"}`), put("vpc", id, `{"id":"`+id+`"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := schema.Upgrade(ctx, s, "here", func(int) (string, error) { return "", nil }, quiet); err != nil {
		t.Fatal(err)
	}
	made := 0
	for k := range records(t, s) {
		if k.Kind == string(resource.KindNetworkInterface) && k.ID != id {
			made++
		}
	}
	if made != 1 {
		t.Errorf("%d interfaces beside a record with the id %s", made, id)
	}
	s = memory.New(0).Open()
	if _, err := s.Commit(ctx, 0, []store.Write{put(store.KindSchema, "version", "3"), put("instance", "i-1", `{"id":7,"type":"host"}`)}); err != nil {
		t.Fatal(err)
	}
	if err := schema.Upgrade(ctx, s, "here", nil, quiet); err == nil || !strings.Contains(err.Error(), `"i-1"`) {
		t.Errorf("%v", err)
	}
}

func TestUpgradeRefuses(t *testing.T) {
	fresh := func() *bolt.Store {
		s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), time.Second)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { s.Close() })
		return s
	}
	commit := func(s *bolt.Store, kind, id, value string) {
		t.Helper()
		if _, err := s.Commit(ctx, 0, []store.Write{{Key: store.Key{Kind: kind, ID: id}, Value: []byte(value)}}); err != nil {
			t.Fatal(err)
		}
	}
	copies := 0
	backup := func(int) (string, error) { copies++; return "", nil }

	s := fresh()
	if err := schema.Upgrade(ctx, s, "here", nil, quiet); err != nil {
		t.Errorf("a new store: %v", err)
	}
	if _, err := state.Open(ctx, s); err != nil {
		t.Errorf("a new store: %v", err)
	}

	s = fresh()
	commit(s, store.KindSchema, "version", "999")
	if err := schema.Upgrade(ctx, s, "here", backup, quiet); err == nil || !strings.Contains(err.Error(), "999") {
		t.Errorf("of a newer version: %v", err)
	}

	for name, r := range map[string][2]string{
		"a specification": {string(resource.KindNATGateway), `{"id":"x","spec":"Huge"}`},
		"an algorithm":    {string(resource.KindVPNConnection), `{"id":"x","ike":{"encAlg":"rot13","authAlg":"sha1","group":"group2"}}`},
		"no JSON":         {string(resource.KindVPC), `{`},
		"another form":    {string(resource.KindVPNRoute), `{"id":"x","weight":"much"}`},
	} {
		s := fresh()
		commit(s, r[0], "x", r[1])
		before := records(t, s)
		if err := schema.Upgrade(ctx, s, "here", backup, quiet); err == nil || !strings.Contains(err.Error(), `"x"`) {
			t.Errorf("%s: %v", name, err)
		}
		if got := records(t, s); !reflect.DeepEqual(got, before) {
			t.Errorf("%s: the store was changed", name)
		}
	}
	if copies > 0 {
		t.Errorf("%d copies of stores that cannot be brought over", copies)
	}

	s = fresh()
	commit(s, string(resource.KindVPC), "x", `{"id":"x"}`)
	full := errors.New("no space left")
	if err := schema.Upgrade(ctx, s, "here", func(int) (string, error) { return "", full }, quiet); !errors.Is(err, full) || len(records(t, s)) != 1 {
		t.Errorf("without a backup: %v", err)
	}
}

// A call that is repeated after the upgrade is answered as before it.
func TestReceiptsOf0(t *testing.T) {
	s, err := bolt.Open(filepath.Join(t.TempDir(), "store.db"), time.Second)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	var writes []store.Write
	for id, result := range map[string]string{
		"route":   `{"id":"r","vpc":"v","gateway":"g","destination":"10.9.0.0/16","connection":"c","weight":0,"published":true}`,
		"active":  `{"id":"r","vpc":"v","gateway":"g","destination":"10.9.0.0/16","connection":"c","weight":100,"published":true}`,
		"gateway": `{"id":"g","vpc":"v","address":"203.0.113.9","publicNetwork":"i","bandwidth":5,"chargeType":"PREPAY","ipsec":true,"ssl":false}`,
		"text":    `"vpc-1"`, "nothing": `{}`, "null": `null`,
	} {
		writes = append(writes, store.Write{Key: store.Key{Kind: string(resource.KindReceipt), ID: id}, Value: []byte(`{"id":"` + id + `","expires":"2026-11-29T00:00:00Z","result":` + result + `}`)})
	}
	if _, err := s.Commit(ctx, 0, writes); err != nil {
		t.Fatal(err)
	}
	if err := schema.Upgrade(ctx, s, "here", func(int) (string, error) { return "", nil }, quiet); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	result := func(id string, v any) {
		t.Helper()
		r, _ := db.View().Receipts.Get(id)
		if err := json.Unmarshal(r.Result, v); err != nil {
			t.Errorf("%s: %v", id, err)
		}
	}
	var standby, active resource.VPNRoute
	var gateway resource.VPNGateway
	var text string
	result("route", &standby)
	result("active", &active)
	result("gateway", &gateway)
	result("text", &text)
	if !standby.Standby || active.Standby || !gateway.Prepaid || text != "vpc-1" {
		t.Errorf("%+v, %+v, %+v, %q", standby, active, gateway, text)
	}
}

// Several machines that start at a time bring their store over once.
func TestUpgradeBesideAnother(t *testing.T) {
	space := memory.New(0)
	s := space.Open()
	if _, err := s.Commit(ctx, 0, []store.Write{{Key: store.Key{Kind: string(resource.KindNATGateway), ID: "x"}, Value: []byte(`{"id":"x","spec":"Small"}`)}}); err != nil {
		t.Fatal(err)
	}
	backup := func(int) (string, error) { return "", nil }
	first := true
	rival := &storetest.Rival{Store: s, Act: func(step string) {
		if step == "before Commit" && first {
			first = false
			if err := schema.Upgrade(ctx, space.Open(), "here", backup, quiet); err != nil {
				t.Error(err)
			}
		}
	}}
	if err := schema.Upgrade(ctx, rival, "here", backup, quiet); err != nil {
		t.Fatal(err)
	}
	db, err := state.Open(ctx, s)
	if err != nil {
		t.Fatal(err)
	}
	if g, ok := db.View().NATGateways.Get("x"); !ok || g.Limits.Connections != 10_000 || db.View().Revision != 2 {
		t.Errorf("%+v at revision %d", g, db.View().Revision)
	}
}
