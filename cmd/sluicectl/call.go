package main

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"sluice/api/spec"
)

// callFlags are the flags of call itself; parameters of actions are written
// like flags too, but begin with a capital letter.
type callFlags struct {
	profileFlags
	family string
	force  bool
	acs3   bool
	get    string
	help   bool
	set    *pflag.FlagSet
}

func newCallFlags() *callFlags {
	f := &callFlags{set: pflag.NewFlagSet("call", pflag.ContinueOnError)}
	f.register(f.set)
	f.set.StringVar(&f.family, "family", wires[0].family, "wire family of the action: "+spec.Aliyun+" or "+spec.Tencent3)
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
as the documents of the family have it, from 1, or with --family tencent3 from
0. RegionId is added where the action takes one and none was given. A
refusal is printed as "Code: Message (RequestId ...)" and the exit code is 1.

Where and as whom: flags, then the environment, then the profile in
~/.config/sluice/config.yaml, then the sluiced of this machine.

` + newCallFlags().set.FlagUsages(),
		Example: `  sluicectl call CreateVpc --CidrBlock 10.0.0.0/16 --VpcName office
  sluicectl call DescribeVpcs --PageSize 50
  vpc=$(sluicectl call CreateVpc --CidrBlock 10.0.0.0/16 --get VpcId)
  sluicectl call CreateRouteEntry --RouteTableId vtb-... \
      --DestinationCidrBlock 192.168.0.0/16 \
      --NextHopList.1.NextHopId i-a --NextHopList.2.NextHopId i-b
  sluicectl call --family tencent3 DescribeVpcs --Filters.0.Name cidr-block \
      --Filters.0.Values.0 10.0.0.0/16 --get VpcSet.0.VpcId`,
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
	w, err := wireOf(f.family)
	if err != nil {
		return err
	}
	action, err := w.check(name, params, f.force)
	if err != nil {
		return err
	}
	p, err := f.resolve(os.Getenv, profilePath())
	if err != nil {
		return err
	}
	if action != nil {
		name = action.Key()
	}
	answer, err := w.send(ctx, p, f, action, name, params)
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
	code, message, request, ok := refusalOf(err)
	if !ok {
		return err
	}
	return fmt.Errorf("%s: %s (RequestId %s)", code, message, request)
}
