package fault_test

import (
	"errors"
	"fmt"
	"testing"

	"sluice/controlplane/fault"
)

func TestError(t *testing.T) {
	err := fmt.Errorf("create: %w", fault.New(fault.QuotaVPC, "%d of %d", 3, 3))
	if got := err.Error(); got != "create: VPC quota: 3 of 3" {
		t.Errorf("%q", got)
	}
	if got := (&fault.Error{Reason: fault.QuotaVPC}).Error(); got != "VPC quota" {
		t.Errorf("%q", got)
	}
	if !errors.Is(err, &fault.Error{Reason: fault.QuotaVPC}) || errors.Is(err, &fault.Error{Reason: fault.QuotaVSwitch}) || errors.Is(err, errors.New("VPC quota")) {
		t.Error("errors.Is does not go by the reason")
	}
	var f *fault.Error
	if errors.As(err, &f); f.Await != "" {
		t.Errorf("waits for %q", f.Await)
	}
	if f := fault.InTransition(fault.VPCInTransition, "vpc-1", "VPC %s", "vpc-1"); f.Await != "vpc-1" || f.Detail != "VPC vpc-1" || f.Reason != fault.VPCInTransition {
		t.Errorf("%+v", f)
	}
}
