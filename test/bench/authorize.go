package main

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"sluice/controlplane/identity"
	"sluice/controlplane/local"
	"sluice/controlplane/policy"
	"sluice/controlplane/ram"
	controlled "sluice/controlplane/settings"
	"sluice/controlplane/state"
)

// authorize measures how long it takes to decide about one call of a user with 100
// statements in 20 policies, of which the last one alone allows it.
func authorize(ctx context.Context, r *run) error {
	calls := 200_000
	if r.quick {
		calls = 2000
	}
	dir := filepath.Join(r.dir, "users")
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	opened, err := local.Open(ctx, dir, "here", r.log)
	if err != nil {
		return err
	}
	defer opened.Close()
	rights := ram.New(opened.DB, &controlled.Settings{Quotas: state.DefaultQuotas()}, opened.Keys, time.Now, rand.Reader, r.log)
	account, err := opened.Keys.CreateAccount(ctx, "bench")
	if err != nil {
		return err
	}
	c, name := identity.Caller{Account: account.ID}, "user"
	user, err := rights.CreateUser(ctx, c, ram.UserSettings{Name: &name})
	if err != nil {
		return err
	}
	for i := range 20 {
		var statements []string
		for j := range 5 {
			statements = append(statements, fmt.Sprintf(`{"Effect":"Allow","Action":["vpc:*Vpc*","vpc:Describe*"],"Resource":"acs:vpc:cn-*:*:vpc/vpc-*x%d",`+
				`"Condition":{"IpAddress":{"acs:SourceIp":"10.0.0.0/8"}}}`, 5*i+j))
		}
		name := fmt.Sprintf("policy-%d", i)
		_, err := rights.CreatePolicy(ctx, c, name, "", `{"Version":"1","Statement":[`+strings.Join(statements, ",")+`]}`)
		if err == nil {
			err = rights.Attach(ctx, c, "user", name, false)
		}
		if err != nil {
			return err
		}
	}
	asked := ram.Asked{Account: account.ID, User: user.ID, Owner: account.ID}
	q := []policy.Request{{
		Service: "vpc", Action: "DescribeVpcs", Resource: policy.Resource{Of: "vpc", Region: "cn-beijing", Account: account.ID, ID: "vpc/vpc-257gq642x99"},
		Value: func(string) (string, bool) { return "10.1.2.3", true },
	}}
	took := make([]time.Duration, 0, calls)
	for range calls {
		began := time.Now()
		if err := rights.Authorize(asked, q); err != nil {
			return err
		}
		took = append(took, time.Since(began))
	}
	us := milliseconds(took)
	for i := range us {
		us[i] *= 1000
	}
	return r.report.add("authz_us", quantile(us, 0.99), micros, fmt.Sprintf("p99 of %d decisions by 100 statements in 20 policies, the last of which allows; median %.3g µs", calls, median(us)))
}
