package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"

	"sluice/api/aliyun"
	"sluice/api/spec"
	"sluice/api/tencent3"
)

// wire is how actions of a family are written and sent.
type wire struct {
	family string
	first  string         // index of a list's first item
	index  *regexp.Regexp // of a list, in the name of a parameter
	common []string       // parameters that may go with any action; those of the signature are the client's own business
	// send makes a call as a profile has it, and returns its answer as JSON.
	send func(ctx context.Context, p profile, f *callFlags, action *spec.Action, name string, params map[string]string) (json.RawMessage, error)
}

// placeholder stands for the index of a list in the catalog.
var placeholder = regexp.MustCompile(`\.N(\.|$)`)

// wires are the families that calls are made in, the usual one first.
var wires = []*wire{
	{family: spec.Aliyun, first: "1", index: regexp.MustCompile(`\.[1-9][0-9]*(\.|$)`),
		common: []string{"ClientToken", "ResourceOwnerAccount", "OwnerId", "OwnerAccount"}, send: sendAliyun},
	{family: spec.Tencent3, first: "0", index: regexp.MustCompile(`\.(?:0|[1-9][0-9]*)(\.|$)`), send: sendTencent3},
}

// wireOf returns the wire of a family.
func wireOf(family string) (*wire, error) {
	if err := checkFamily(family); err != nil {
		return nil, err
	}
	for _, w := range wires {
		if w.family == family {
			return w, nil
		}
	}
	return nil, usagef("family %s is not answered yet; see: sluicectl actions --family %[1]s", family)
}

func sendAliyun(ctx context.Context, p profile, f *callFlags, action *spec.Action, name string, params map[string]string) (json.RawMessage, error) {
	if action != nil {
		if _, given := params["RegionId"]; !given && action.Request.Get("RegionId") != nil {
			params["RegionId"] = p.Region
		}
	}
	client, err := p.client()
	if err != nil {
		return nil, err
	}
	if f.acs3 {
		client.Algorithm = aliyun.ACS3
	}
	return client.Call(ctx, name, params)
}

func sendTencent3(ctx context.Context, p profile, f *callFlags, _ *spec.Action, name string, params map[string]string) (json.RawMessage, error) {
	if f.acs3 {
		return nil, usagef("--acs3 signs calls of family %s alone; leave it out", spec.Aliyun)
	}
	client := tencent3.NewClient(p.Endpoint, p.AccessKeyID, p.AccessKeySecret, p.Region)
	if err := p.trusted(client.Trust); err != nil {
		return nil, err
	}
	return client.Call(ctx, name, params)
}

// trusted hands over the certificates that the profile trusts, if it names any.
func (p profile) trusted(trust func([]byte) error) error {
	if p.CA == "" {
		return nil
	}
	text, err := os.ReadFile(p.CA)
	if err == nil {
		err = trust(text)
	}
	if err != nil {
		return usagef("certificates of %s: %w", p.CA, err)
	}
	return nil
}

// refusalOf returns code, message and request id of a refusal of any family.
func refusalOf(err error) (code, message, request string, ok bool) {
	if e, ok := errors.AsType[*aliyun.CallError](err); ok {
		return e.Refusal.Code, e.Refusal.Message, e.RequestID, true
	}
	if e, ok := errors.AsType[*tencent3.CallError](err); ok {
		return e.Refusal.Code, e.Refusal.Message, e.RequestID, true
	}
	return "", "", "", false
}

// check finds an action and checks the names of its parameters. With force, what the catalog
// does not know passes; the action is then nil.
func (w *wire) check(name string, params map[string]string, force bool) (*spec.Action, error) {
	catalog, err := spec.Load()
	if err != nil {
		return nil, err
	}
	action := catalog.Family(w.family).Find(name)
	if action == nil {
		if force {
			return nil, nil
		}
		return nil, usagef("%s; --force sends it anyway", unknownAction(catalog, w.family, name))
	}
	if force {
		return action, nil
	}
	for given := range params {
		if !w.knows(action, given) {
			return nil, usagef("%s has no parameter %s; see: sluicectl describe%s %[1]s, or send it anyway with --force%[4]s",
				action.Key(), given, familyFlag(w.family), didYouMean(given, w.parameterNames(action)))
		}
	}
	return action, nil
}

// unknownAction says that a family has no action of a name, and which one has it or what may
// have been meant.
func unknownAction(catalog *spec.Catalog, family, name string) string {
	for _, other := range families {
		if a := catalog.Family(other).Find(name); other != family && a != nil {
			return fmt.Sprintf("%s is an action of family %s; see: sluicectl describe --family %[2]s %[1]s", a.Name, other)
		}
	}
	var names []string
	for _, a := range catalog.Family(family).Actions() {
		names = append(names, a.Key())
	}
	return fmt.Sprintf("there is no action %s; see: sluicectl actions%s%s", name, familyFlag(family), didYouMean(name, names))
}

// familyFlag returns the flag of a family; nothing for the usual one.
func familyFlag(family string) string {
	if family == wires[0].family {
		return ""
	}
	return " --family " + family
}

// knows says whether an action has a parameter, of which a list's index stands as .N in the
// catalog.
func (w *wire) knows(action *spec.Action, given string) bool {
	if placeholder.MatchString(given) {
		return false
	}
	return action.Request.Get(w.inCatalog(given)) != nil || slices.Contains(w.common, given)
}

// inCatalog returns the name of a parameter as the catalog has it.
func (w *wire) inCatalog(name string) string {
	// Twice, since neighbouring indexes share a dot.
	name = w.index.ReplaceAllString(name, ".N$1")
	return w.index.ReplaceAllString(name, ".N$1")
}

// parameterNames returns the names of an action's parameters as they would be written, lists
// with the index of the first item.
func (w *wire) parameterNames(action *spec.Action) []string {
	var names []string
	for _, f := range action.Request {
		names = append(names, placeholder.ReplaceAllString(f.Name, "."+w.first+"${1}"))
	}
	return names
}
