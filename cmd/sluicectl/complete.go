package main

import (
	"fmt"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/api/spec"
)

// completeActions completes the name of an action of a family, where there is none yet.
func completeActions(family string, args []string) ([]string, cobra.ShellCompDirective) {
	if len(args) > 0 || checkFamily(family) != nil {
		return nil, cobra.ShellCompDirectiveNoFileComp
	}
	catalog, err := spec.Load()
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	var out []string
	for _, a := range catalog.Family(family).Actions() {
		out = append(out, cobra.CompletionWithDesc(a.Key(), a.Summary))
	}
	return out, cobra.ShellCompDirectiveNoFileComp
}

// completeCall completes actions, then the names of their parameters and, where
// the catalog lists them, their values.
func completeCall(c *cobra.Command, args []string, toComplete string) ([]string, cobra.ShellCompDirective) {
	f := newCallFlags()
	if len(args) > 0 && args[len(args)-1] == "--family" {
		return wireNames(), cobra.ShellCompDirectiveNoFileComp
	}
	w, err := wireOf(familyAmong(args))
	if err != nil {
		return nil, cobra.ShellCompDirectiveError
	}
	action := actionAmong(f, args)
	if action == "" && !strings.HasPrefix(toComplete, "-") {
		return completeActions(w.family, nil)
	}
	var request spec.Fields
	if catalog, err := spec.Load(); err == nil {
		if a := catalog.Family(w.family).Find(action); a != nil {
			request = a.Request
		}
	}
	if len(args) > 0 {
		if name, _, given := cutFlag(args[len(args)-1]); isParameter(name) && !given {
			return values(request.Get(w.inCatalog(name))), cobra.ShellCompDirectiveNoFileComp
		}
	}
	given := map[string]bool{}
	for _, a := range args {
		name, _, _ := cutFlag(a)
		given[name] = true
	}
	var out []string
	for i, n := range w.parameterNames(&spec.Action{Request: request}) {
		if !given[n] {
			out = append(out, cobra.CompletionWithDesc("--"+n, meaning(request[i])))
		}
	}
	f.set.VisitAll(func(flag *pflag.Flag) {
		if strings.HasPrefix(toComplete, "--") && !given[flag.Name] {
			out = append(out, cobra.CompletionWithDesc("--"+flag.Name, flag.Usage))
		}
	})
	return out, cobra.ShellCompDirectiveNoFileComp
}

// wireNames returns the families that calls are made in.
func wireNames() []string {
	var names []string
	for _, w := range wires {
		names = append(names, w.family)
	}
	return names
}

// familyAmong returns the family of a command line that is not finished.
func familyAmong(args []string) string {
	for i, arg := range args {
		switch name, value, given := cutFlag(arg); {
		case name == "family" && given:
			return value
		case name == "family" && i+1 < len(args):
			return args[i+1]
		}
	}
	return wires[0].family
}

// actionAmong returns the action of a command line that is not finished.
func actionAmong(f *callFlags, args []string) string {
	for i := 0; i < len(args); i++ {
		name, _, given := cutFlag(args[i])
		switch flag := f.set.Lookup(name); {
		case name == "" && !strings.HasPrefix(args[i], "-"):
			return args[i]
		case given:
		case isParameter(name), flag != nil && flag.NoOptDefVal == "":
			i++
		}
	}
	return ""
}

func values(f *spec.Field) []string {
	if f == nil {
		return nil
	}
	var out []string
	for _, v := range f.Enum {
		out = append(out, fmt.Sprint(v))
	}
	if len(out) == 0 && strings.EqualFold(f.Type, "Boolean") {
		out = []string{"true", "false"}
	}
	return out
}

func meaning(f *spec.Field) string {
	note, _, _ := strings.Cut(f.Notes, ";")
	if f.Required {
		return strings.TrimSpace("required; " + note)
	}
	return note
}
