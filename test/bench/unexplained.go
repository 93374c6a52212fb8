package main

import (
	"context"

	"sluice/test/sdk"
)

// unexplained counts what today's public clients know of the supported actions, and what
// the catalog says nothing of.
func unexplained(_ context.Context, r *run) error {
	lines, err := sdk.Unexplained()
	if err != nil {
		return err
	}
	for _, l := range lines {
		r.say("%s", l)
	}
	return r.report.add("sdk_parameters_unexplained", float64(len(lines)), count,
		"parameters and members of supported actions that two public Go SDKs know, and that are neither served nor excluded with a reason")
}
