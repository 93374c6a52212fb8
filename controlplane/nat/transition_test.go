package nat_test

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"sluice/controlplane/fault"
	"sluice/controlplane/identity"
	"sluice/controlplane/nat"
	"sluice/controlplane/nat/nattest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

// writes are all calls that change a table or the gateway, beside an entry of
// each kind.
func (b *bench) writes(fwd, snat string) map[string]func(identity.Caller) error {
	name, port := "other", resource.Ports{First: 81}
	return map[string]func(identity.Caller) error{
		"create DNAT": func(c identity.Caller) error {
			_, err := b.s.CreateForwardEntry(ctx, c, b.forward(external("11", 99), internal("10.0.1.99")))
			return err
		},
		"modify DNAT": func(c identity.Caller) error {
			return b.s.ModifyForwardEntry(ctx, c, nat.ForwardEntryChange{Region: nattest.Region, Table: b.g.ForwardTable, ID: fwd, ExternalPort: &port})
		},
		"delete DNAT": func(c identity.Caller) error {
			return b.s.DeleteForwardEntry(ctx, c, nattest.Region, b.g.ForwardTable, fwd)
		},
		"create SNAT": func(c identity.Caller) error {
			_, err := b.s.CreateSNATEntry(ctx, c, b.snat(vswitch("vsw-2")))
			return err
		},
		"modify SNAT": func(c identity.Caller) error {
			return b.s.ModifySNATEntry(ctx, c, nat.SNATEntryChange{Region: nattest.Region, Table: b.g.SNATTable, ID: snat, Name: &name})
		},
		"delete SNAT": func(c identity.Caller) error {
			return b.s.DeleteSNATEntry(ctx, c, nattest.Region, b.g.SNATTable, snat)
		},
		"spec": func(c identity.Caller) error {
			return b.s.ModifyLimits(ctx, c, nattest.Region, b.g.ID, nattest.Middle)
		},
		"delete gateway": func(c identity.Caller) error {
			return b.s.DeleteGateway(ctx, c, nattest.Region, b.g.ID, false)
		},
	}
}

func TestWritesWhileTheDataplaneIsBehind(t *testing.T) {
	dnat := func(b *bench) resource.Resource {
		return nattest.Forward("fwd-new", b.resource(), resource.TCP, "203.0.113.11:7", "10.0.1.7:7")
	}
	snat := func(b *bench) resource.Resource {
		return nattest.SNAT("snat-new", b.resource(), "vsw-1", "10.0.1.77/32", "203.0.113.13")
	}
	gateway := func(b *bench) resource.Resource { return b.resource().Clone() }
	vswitch := func(*bench) resource.Resource { return nattest.VSwitch("vsw-new", "vpc-a", "10.0.9.0/24") }
	for name, c := range map[string]struct {
		behind func(*bench) resource.Resource
		want   map[string]fault.Reason // of the calls that are refused
	}{
		"DNAT entry": {dnat, map[string]fault.Reason{
			"create DNAT": fault.ForwardEntryInTransition, "modify DNAT": fault.ForwardEntryInTransition, "delete DNAT": fault.ForwardEntryInTransition,
			"delete gateway": fault.GatewayHasDependents,
		}},
		"SNAT entry": {snat, map[string]fault.Reason{
			"create SNAT": fault.SNATEntryInTransition, "modify SNAT": fault.SNATEntryInTransition, "delete SNAT": fault.SNATEntryInTransition,
			"delete gateway": fault.GatewayHasDependents,
		}},
		"gateway": {gateway, map[string]fault.Reason{
			"create DNAT": fault.GatewayInTransition, "modify DNAT": fault.GatewayInTransition, "delete DNAT": fault.GatewayInTransition,
			"create SNAT": fault.GatewayInTransition, "modify SNAT": fault.GatewayInTransition, "delete SNAT": fault.GatewayInTransition,
			"spec": fault.GatewayInTransition, "delete gateway": fault.GatewayHasDependents,
		}},
		"something else": {vswitch, map[string]fault.Reason{"delete gateway": fault.GatewayHasDependents}},
	} {
		for _, call := range []string{"create DNAT", "modify DNAT", "delete DNAT", "create SNAT", "modify SNAT", "delete SNAT", "spec", "delete gateway"} {
			t.Run(name+"/"+call, func(t *testing.T) {
				synctest.Test(t, func(t *testing.T) {
					b := newBench(t)
					fwd, snat := b.mustForward(t, b.forward()), b.mustSNAT(t, b.snat(source("10.0.1.5/32")))
					b.Put(c.behind(b))
					began := time.Now()
					refused(t, b.writes(fwd, snat)[call](b.c), c.want[call])
					// Who is refused for the transition alone has waited for its end.
					patience := b.Settings.Settle
					if want := c.want[call]; want == "" || want == fault.GatewayHasDependents {
						patience = 0
					}
					if waited := time.Since(began); waited != patience {
						t.Errorf("waited %s, want %s", waited, patience)
					}
				})
			})
		}
	}
}

func TestAWriteWaitsForTheDataplane(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Put(b.someForward())
		go func() {
			time.Sleep(b.Settings.Settle / 2)
			b.Follow()
		}()
		began := time.Now()
		_, err := b.s.CreateForwardEntry(ctx, b.c, b.forward(external("12", 80), internal("10.0.1.9")))
		refused(t, err, "")
		if waited := time.Since(began); waited != b.Settings.Settle/2 {
			t.Errorf("waited %s, want until the dataplane was there", waited)
		}
	})
}

func TestAnEntryThatIsBeingDeletedBlocksItsTable(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		id := b.mustForward(t, b.forward())
		refused(t, b.s.DeleteForwardEntry(ctx, b.c, nattest.Region, b.g.ForwardTable, id), "")
		_, err := b.s.CreateForwardEntry(ctx, b.c, b.forward())
		refused(t, err, fault.ForwardEntryInTransition)
		_, err = b.s.CreateSNATEntry(ctx, b.c, b.snat())
		refused(t, err, "")
		b.Follow()
		_, err = b.s.CreateForwardEntry(ctx, b.c, b.forward())
		refused(t, err, "")
	})
}

// A change that the dataplane refuses leaves its entry Pending, and must not
// keep the entry from being deleted.
func TestARefusedChangeCanBeMended(t *testing.T) {
	b := newBench(t)
	id := b.mustForward(t, b.forward())
	b.Put(b.someSNAT())
	b.DB.Observed.Report("vpc-a", b.DB.View().Revision, errors.New("no such device"), nattest.Time)
	for name, call := range b.writes(id, "snat-some") {
		if name == "delete gateway" || name == "modify DNAT" || name == "modify SNAT" {
			continue // refused for its entries; or of what is deleted here
		}
		refused(t, call(b.c), "")
		b.DB.Observed.Report("vpc-a", b.DB.View().Revision, errors.New("no such device"), nattest.Time)
	}
}

func TestAGatewayWaitsForItsVPC(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Put(nattest.VPC("vpc-b", "10.1.0.0/16"))
		in := nat.Gateway{Region: nattest.Region, VPC: "vpc-b", Limits: nattest.Small}
		_, err := b.s.CreateGateway(ctx, b.c, in)
		refused(t, err, fault.VPCInTransition)
		b.Follow()
		_, err = b.s.CreateGateway(ctx, b.c, in)
		refused(t, err, "")
	})
}

func TestAGatewayInTransitionStays(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.unbind()
		b.Follow()
		b.Put(b.resource().Clone())
		refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, b.g.ID, false), fault.GatewayInTransition)
		b.Follow()
		refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, b.g.ID, false), "")
		// The dataplane still holds it: the next one has to wait.
		in := nat.Gateway{Region: nattest.Region, VPC: "vpc-a", Limits: nattest.Small}
		_, err := b.s.CreateGateway(ctx, b.c, in)
		refused(t, err, fault.VPCInTransition)
		b.Follow()
		_, err = b.s.CreateGateway(ctx, b.c, in)
		refused(t, err, "")
	})
}

func TestForceDeletesWithoutWaiting(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := newBench(t)
		b.Put(b.someForward())
		began := time.Now()
		refused(t, b.s.DeleteGateway(ctx, b.c, nattest.Region, b.g.ID, true), "")
		if time.Since(began) != 0 {
			t.Error("waited for a dataplane that need not come back")
		}
	})
}

func TestACallThatEndsIsNotMade(t *testing.T) {
	b := newBench(t)
	b.Put(b.someForward())
	ended, cancel := context.WithCancel(ctx)
	cancel()
	_, err := b.s.CreateForwardEntry(ended, b.c, b.forward(external("12", 80), internal("10.0.1.9")))
	refused(t, err, fault.ForwardEntryInTransition)
}

func TestARepeatedCallAnswersTheSame(t *testing.T) {
	b := newBench(t)
	c := b.c
	c.Token, c.Fingerprint = "token-1", "print-1"
	first, err := b.s.CreateForwardEntry(ctx, c, b.forward())
	refused(t, err, "")
	b.Reopen() // a restart in between
	b.s = service(b.World)
	b.Follow()
	again, err := b.s.CreateForwardEntry(ctx, c, b.forward())
	refused(t, err, "")
	if first != again || b.DB.View().ForwardEntries.Len() != 1 {
		t.Errorf("%q and then %q; %d entries", first, again, b.DB.View().ForwardEntries.Len())
	}
	c.Fingerprint = "print-2"
	_, err = b.s.CreateForwardEntry(ctx, c, b.forward(external("12", 80)))
	refused(t, err, fault.TokenMismatch)

	c = b.c
	c.Nonce = "nonce-1"
	refused(t, b.s.DeleteForwardEntry(ctx, c, nattest.Region, b.g.ForwardTable, first), "")
	b.Follow()
	refused(t, b.s.DeleteForwardEntry(ctx, c, nattest.Region, b.g.ForwardTable, first), fault.NonceUsed)

	c = b.c
	c.Token, c.Fingerprint = "token-2", "print-1"
	b.Put(nattest.VPC("vpc-b", "10.1.0.0/16"))
	b.Follow()
	one, err := b.s.CreateGateway(ctx, c, nat.Gateway{Region: nattest.Region, VPC: "vpc-b", Limits: nattest.Small})
	refused(t, err, "")
	two, err := b.s.CreateGateway(ctx, c, nat.Gateway{Region: nattest.Region, VPC: "vpc-b", Limits: nattest.Small})
	refused(t, err, "")
	if one.ID != two.ID || one.ForwardTable != two.ForwardTable || one.SNATTable != two.SNATTable {
		t.Errorf("%+v and then %+v", one, two)
	}
}

// To another account nothing of all this exists.
func TestOthersSeeNothing(t *testing.T) {
	b := newBench(t)
	fwd, snat := b.mustForward(t, b.forward()), b.mustSNAT(t, b.snat())
	stranger := b.c
	stranger.Account = "2000000000000002"
	before := b.DB.View()
	for name, call := range b.writes(fwd, snat) {
		want := fault.NATGatewayNotFound
		switch {
		case len(name) > 4 && name[len(name)-4:] == "DNAT":
			want = fault.ForwardTableNotFound
		case len(name) > 4 && name[len(name)-4:] == "SNAT":
			want = fault.SNATTableNotFound
		}
		refused(t, call(stranger), want)
	}
	refused(t, b.s.ModifyGatewayAttributes(ctx, stranger, nat.GatewayAttributes{Region: nattest.Region, ID: b.g.ID}), fault.NATGatewayNotFound)
	refused(t, b.s.DeleteGateway(ctx, stranger, nattest.Region, b.g.ID, true), fault.NATGatewayNotFound)
	_, err := b.s.ForwardEntries(stranger, nat.ForwardEntryQuery{Region: nattest.Region, Table: b.g.ForwardTable, Page: state.Page{Limit: 10}})
	refused(t, err, fault.ForwardTableNotFound)
	_, err = b.s.SNATEntries(stranger, nat.SNATEntryQuery{Region: nattest.Region, Table: b.g.SNATTable, Page: state.Page{Limit: 10}})
	refused(t, err, fault.SNATTableNotFound)
	list, err := b.s.Gateways(stranger, nat.GatewayQuery{Region: nattest.Region, Page: state.Page{Limit: 10}})
	if err != nil || list.Total != 0 || len(list.Items) != 0 {
		t.Errorf("%+v, %v", list, err)
	}
	if b.DB.View() != before {
		t.Error("another account changed something")
	}
}

// An address of another account does not exist, even if it were bound to the
// gateway.
func TestOthersAddressesCantBeUsed(t *testing.T) {
	b := newBench(t)
	e := nattest.ElasticIP("eip-other", "203.0.113.77", "vpc-a", resource.BoundToNATGateway, b.g.ID)
	e.Account = "2000000000000002"
	b.Put(e)
	b.Follow()
	_, err := b.s.CreateForwardEntry(ctx, b.c, b.forward(external("77", 80)))
	refused(t, err, fault.ExternalIPNotFound)
	_, err = b.s.CreateSNATEntry(ctx, b.c, b.snat(pool("77")))
	refused(t, err, fault.SNATIPNotFound)
}
