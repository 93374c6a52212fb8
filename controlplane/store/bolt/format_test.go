package bolt_test

import (
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	bbolt "go.etcd.io/bbolt"

	"sluice/controlplane/store"
	"sluice/controlplane/store/bolt"
)

// A file of format 1, whose records had no checksums, is copied and brought over, once;
// what is in it stays.
func TestOlderFormat(t *testing.T) {
	content, err := os.ReadFile("../../schema/testdata/2/store.db")
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "store.db")
	if err := os.WriteFile(path, content, 0o600); err != nil {
		t.Fatal(err)
	}
	want := rawRecords(t, path)
	for range 2 {
		s := file{path}.Open(t)
		got := map[store.Key]string{}
		rev, err := s.Load(t.Context(), func(r store.Record) error { got[r.Key] = string(r.Value); return nil })
		if err != nil || !maps.Equal(got, want) || len(got) < 50 {
			t.Errorf("%d records of %d, %v", len(got), len(want), err)
		}
		key := store.Key{Kind: "n", ID: "1"}
		if _, err := s.Commit(t.Context(), rev, []store.Write{{Key: key, Value: []byte("new")}}); err != nil {
			t.Fatal(err)
		}
		want[key] = "new"
		s.Close()
	}
	copies, err := filepath.Glob(path + ".format-1.*Z")
	if err != nil || len(copies) != 1 {
		t.Fatalf("copies %v, %v", copies, err)
	}
	delete(want, store.Key{Kind: "n", ID: "1"})
	if got := rawRecords(t, copies[0]); !maps.Equal(got, want) {
		t.Error("the copy is not what the file was")
	}
}

// rawRecords reads a file of format 1.
func rawRecords(t *testing.T, path string) map[store.Key]string {
	t.Helper()
	db, err := bbolt.Open(path, 0o600, &bbolt.Options{ReadOnly: true})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	all := map[store.Key]string{}
	err = db.View(func(tx *bbolt.Tx) error {
		if f := tx.Bucket([]byte("meta")).Get([]byte("format")); f[7] != 1 {
			t.Errorf("format %d", f)
		}
		kinds := tx.Bucket([]byte("kinds"))
		return kinds.ForEachBucket(func(kind []byte) error {
			return kinds.Bucket(kind).ForEach(func(id, value []byte) error {
				all[store.Key{Kind: string(kind), ID: string(id)}] = string(value[8:])
				return nil
			})
		})
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

// What says how far a file is, and what it holds in all, is not changed behind its back.
func TestDamagedMeta(t *testing.T) {
	path := filepath.Join(t.TempDir(), "store.db")
	s := file{path}.Open(t)
	for rev := range int64(3) {
		if _, err := s.Commit(t.Context(), rev, []store.Write{{Key: store.Key{Kind: "n", ID: "1"}, Value: []byte{byte(rev)}}}); err != nil {
			t.Fatal(err)
		}
	}
	s.Close()
	content, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"revision", "sum", "format"} {
		for bit := 0; bit < 64; bit += 5 {
			if err := os.WriteFile(path, content, 0o600); err != nil {
				t.Fatal(err)
			}
			db, err := bbolt.Open(path, 0o600, &bbolt.Options{NoSync: true})
			if err != nil {
				t.Fatal(err)
			}
			err = db.Update(func(tx *bbolt.Tx) error {
				meta := tx.Bucket([]byte("meta"))
				value := append([]byte{}, meta.Get([]byte(key))...)
				value[bit/8] ^= 1 << (bit % 8)
				return meta.Put([]byte(key), value)
			})
			if err != nil {
				t.Fatal(err)
			}
			db.Close()
			if s, err := bolt.Open(path, time.Second); err == nil {
				s.Close()
				t.Errorf("%s with bit %d changed is believed", key, bit)
			} else if strings.Contains(err.Error(), "\n") {
				t.Error(err)
			}
		}
	}
}
