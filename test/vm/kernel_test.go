package main

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestModulesAreLoadedAfterWhatTheyNeed(t *testing.T) {
	dir := t.TempDir()
	dep := "a/one.ko: b/two.ko b/three.ko\nb/two.ko: b/three.ko\nb/three.ko:\nc/four.ko: b/three.ko\n"
	if err := os.WriteFile(filepath.Join(dir, "modules.dep"), []byte(dep), 0o600); err != nil {
		t.Fatal(err)
	}
	got, err := kernel{modules: dir}.loading("one", "four")
	if err != nil {
		t.Fatal(err)
	}
	want := []string{dir + "/b/three.ko", dir + "/b/two.ko", dir + "/a/one.ko", dir + "/c/four.ko"}
	if !slices.Equal(got, want) {
		t.Errorf("%v, want %v", got, want)
	}
	if got, err := (kernel{modules: dir}).loading("five"); err == nil {
		t.Errorf("a module that is not there: %v", got)
	}
}
