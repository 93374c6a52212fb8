package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"regexp"
	"slices"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/api/aliyun"
	"sluice/api/spec"
)

// callFlags are the flags of call itself; parameters of actions are written
// like flags too, but begin with a capital letter.
type callFlags struct {
	profileFlags
	force bool
	acs3  bool
	get   string
	help  bool
	set   *pflag.FlagSet
}

func newCallFlags() *callFlags {
	f := &callFlags{set: pflag.NewFlagSet("call", pflag.ContinueOnError)}
	f.register(f.set)
	f.set.BoolVar(&f.force, "force", false, "send an action or parameter that the catalog does not know")
	f.set.BoolVar(&f.acs3, "acs3", false, "sign by ACS3-HMAC-SHA256, as the newer SDKs do, in place of HMAC-SHA1")
	f.set.StringVar(&f.get, "get", "", "print only this part of the answer, for example VpcId or EipAddresses.EipAddress.0.Status")
	f.set.BoolVarP(&f.help, "help", "h", false, "help for call")
	return f
}

func newCall() *cobra.Command {
	return &cobra.Command{
		Use:   "call ACTION [--Parameter value]...",
		Short: "Sign and send an action, print the answer as JSON",
		Long: `Sign and send an action of the catalog, and print the answer as JSON.

Parameters are written as flags with the documents' names; lists are indexed
from 1. RegionId is added where the action takes one and none was given. A
refusal is printed as "Code: Message (RequestId ...)" and the exit code is 1.

Where and as whom: flags, then the environment, then the profile in
~/.config/sluice/config.yaml, then the sluiced of this machine.

` + newCallFlags().set.FlagUsages(),
		Example: `  sluicectl call CreateVpc --CidrBlock 10.0.0.0/16 --VpcName office
  sluicectl call DescribeVpcs --PageSize 50
  vpc=$(sluicectl call CreateVpc --CidrBlock 10.0.0.0/16 --get VpcId)
  sluicectl call CreateRouteEntry --RouteTableId vtb-... \
      --DestinationCidrBlock 192.168.0.0/16 \
      --NextHopList.1.NextHopId i-a --NextHopList.2.NextHopId i-b`,
		DisableFlagParsing: true,
		ValidArgsFunction:  completeCall,
		RunE: func(c *cobra.Command, args []string) error {
			f := newCallFlags()
			action, params, err := parseCall(f, args)
			if err != nil {
				return err
			}
			if f.help || action == "" && len(args) == 0 {
				return c.Help()
			}
			return call(c.Context(), c.OutOrStdout(), f, action, params)
		},
	}
}

// parseCall splits the arguments into flags of call, the action and its
// parameters.
func parseCall(f *callFlags, args []string) (action string, params map[string]string, err error) {
	params = map[string]string{}
	var own []string
	for i := 0; i < len(args); i++ {
		name, value, given := cutFlag(args[i])
		if !isParameter(name) {
			own = append(own, args[i])
			if flag := f.set.Lookup(name); flag != nil && flag.NoOptDefVal == "" && !given && i+1 < len(args) {
				i++
				own = append(own, args[i])
			}
			continue
		}
		if !given {
			if i++; i == len(args) {
				return "", nil, usagef("parameter --%s has no value; write --%[1]s VALUE", name)
			}
			value = args[i]
		}
		if _, twice := params[name]; twice {
			return "", nil, usagef("parameter --%s is given twice", name)
		}
		params[name] = value
	}
	if err := f.set.Parse(own); err != nil {
		return "", nil, usagef("%w; see: sluicectl call --help", err)
	}
	switch rest := f.set.Args(); {
	case len(rest) == 1:
		action = rest[0]
	case len(rest) > 1:
		return "", nil, usagef("more than one action: %s; parameters are written as --Name value", strings.Join(rest, " "))
	case len(params) > 0 && !f.help:
		return "", nil, usagef("no action; usage: sluicectl call ACTION --Parameter value ...")
	}
	return action, params, nil
}

// cutFlag splits --name=value; given says whether there is a value.
func cutFlag(arg string) (name, value string, given bool) {
	name, ok := strings.CutPrefix(arg, "--")
	if !ok {
		return "", "", false
	}
	return cut(name)
}

func cut(s string) (name, value string, given bool) { return strings.Cut(s, "=") }

func isParameter(name string) bool { return name != "" && name[0] >= 'A' && name[0] <= 'Z' }

func call(ctx context.Context, out io.Writer, f *callFlags, name string, params map[string]string) error {
	action, err := checkCall(name, params, f.force)
	if err != nil {
		return err
	}
	p, err := f.resolve(os.Getenv, profilePath())
	if err != nil {
		return err
	}
	if action != nil {
		name = action.Key()
		if _, given := params["RegionId"]; !given && action.Request.Get("RegionId") != nil {
			params["RegionId"] = p.Region
		}
	}
	client, err := p.client()
	if err != nil {
		return err
	}
	if f.acs3 {
		client.Algorithm = aliyun.ACS3
	}
	answer, err := client.Call(ctx, name, params)
	if err != nil {
		return callError(err)
	}
	text, err := part(answer, f.get)
	if err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	_, err = fmt.Fprintln(out, text)
	return err
}

// callError writes a refusal in the form Code: Message (RequestId ...).
func callError(err error) error {
	if unknown, ok := errors.AsType[x509.UnknownAuthorityError](err); ok {
		return fmt.Errorf("%w; name the file of its certificate with --ca or $SLUICE_CA: of tls: auto it is tls/ca.pem in data_dir", unknown)
	}
	var refused *aliyun.CallError
	if !errors.As(err, &refused) {
		return err
	}
	return fmt.Errorf("%s: %s (RequestId %s)", refused.Refusal.Code, refused.Refusal.Message, refused.RequestID)
}

// checkCall finds an action and checks the names of its parameters. With force,
// what the catalog does not know passes; the action is then nil.
func checkCall(name string, params map[string]string, force bool) (*spec.Action, error) {
	catalog, err := spec.Load()
	if err != nil {
		return nil, err
	}
	family := catalog.Family(spec.Aliyun)
	action := family.Find(name)
	if action == nil {
		if force {
			return nil, nil
		}
		return nil, usagef("%s; --force sends it anyway", unknownAction(catalog, name))
	}
	if force {
		return action, nil
	}
	for given := range params {
		if !knows(action, given) {
			return nil, usagef("%s has no parameter %s; see: sluicectl describe %[1]s, or send it anyway with --force%[3]s",
				action.Key(), given, didYouMean(given, parameterNames(action)))
		}
	}
	return action, nil
}

func unknownAction(catalog *spec.Catalog, name string) string {
	for _, other := range []string{spec.Tencent3, spec.Tencent2} {
		if a := catalog.Family(other).Find(name); a != nil {
			return fmt.Sprintf("%s is an action of family %s, which the service does not answer yet; see: sluicectl describe --family %[2]s %[1]s", a.Name, other)
		}
	}
	var names []string
	for _, a := range catalog.Family(spec.Aliyun).Actions() {
		names = append(names, a.Key())
	}
	return fmt.Sprintf("there is no action %s; see: sluicectl actions%s", name, didYouMean(name, names))
}

// index is the index of a list in the name of a parameter, and placeholder what
// stands for it in the catalog.
var (
	index       = regexp.MustCompile(`\.[1-9][0-9]*(\.|$)`)
	placeholder = regexp.MustCompile(`\.N(\.|$)`)
)

// knows says whether an action has a parameter, of which a list's index stands
// as .N in the catalog.
func knows(action *spec.Action, given string) bool {
	if placeholder.MatchString(given) {
		return false
	}
	return action.Request.Get(inCatalog(given)) != nil || slices.Contains(commonParameters, given)
}

// inCatalog returns the name of a parameter as the catalog has it.
func inCatalog(name string) string {
	// Twice, since neighbouring indexes share a dot.
	name = index.ReplaceAllString(name, ".N$1")
	return index.ReplaceAllString(name, ".N$1")
}

// commonParameters may go with any action. Those of the signature are the
// client's own business.
var commonParameters = []string{"ClientToken", "ResourceOwnerAccount", "OwnerId", "OwnerAccount"}

// parameterNames returns the names of an action's parameters as they would be
// written, lists with the index 1.
func parameterNames(action *spec.Action) []string {
	var names []string
	for _, f := range action.Request {
		names = append(names, placeholder.ReplaceAllString(f.Name, ".1$1"))
	}
	return names
}
