package bandwidth_test

import (
	"context"
	"testing"

	"sluice/controlplane/bandwidth"
	"sluice/controlplane/eip"
	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/state"
)

var ctx, alice, bob = context.Background(), planetest.Alice, planetest.Bob

const region = planetest.Region

// site has two VPCs of Alice's with an instance and an elastic IP each, and a package.
type site struct {
	*planetest.Plane
	vpc, host, eip [2]string
	cbwp           string
}

func newSite(t *testing.T) *site {
	t.Helper()
	s := &site{Plane: planetest.New(t)}
	for i := range s.vpc {
		s.vpc[i] = s.VPC(alice, "10.0.0.0/8").VPC
		s.host[i] = s.Instance(s.VSwitch(alice, s.vpc[i], "10.1.0.0/16"), "", resource.Host)
		s.eip[i] = s.NewEIP(alice).ID
		s.Bind(alice, s.eip[i], resource.BoundToHost, s.host[i])
	}
	s.cbwp = s.create(t, 20)
	return s
}

func (s *site) create(t *testing.T, mbit int) string {
	t.Helper()
	id, err := s.Bandwidth.Create(ctx, alice, bandwidth.Package{Region: region, Bandwidth: mbit, Charge: resource.ByBandwidth})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func (s *site) ok(t *testing.T, errs ...error) {
	t.Helper()
	for _, err := range errs {
		if err != nil {
			t.Fatal(err)
		}
	}
}

func (s *site) show(t *testing.T) bandwidth.Status {
	t.Helper()
	list, err := s.Bandwidth.List(alice, bandwidth.Query{Region: region, IDs: state.OneOf[string]{s.cbwp}, Page: state.Page{Limit: 10}})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0]
}

func (s *site) elastic(t *testing.T, id string) eip.ElasticIP {
	t.Helper()
	list, err := s.EIP.List(alice, eip.Filter{Region: region, IDs: state.OneOf[string]{id}}, state.Page{Limit: 10})
	if err != nil || len(list.Items) != 1 {
		t.Fatalf("%+v, %v", list, err)
	}
	return list.Items[0]
}

// A package and its elastic IPs say no more than what the dataplanes have: and while those
// follow, the elastic IPs stay in use.
func TestStatus(t *testing.T) {
	s := newSite(t)
	s.Stalled(func() {
		s.ok(t, s.Bandwidth.Add(ctx, alice, region, s.cbwp, s.eip[0]))
		st := s.show(t)
		if !st.Followed || len(st.Addresses) != 1 || st.Addresses[0].ID != s.eip[0] || st.Addresses[0].Followed {
			t.Errorf("put there: %+v", st)
		}
		if e := s.elastic(t, s.eip[0]); e.Status != eip.InUse || e.Holds() != 20 {
			t.Errorf("put there: %+v", e)
		}
		if s.DB.Observed.Settled(s.vpc[0]) || !s.DB.Observed.Settled(s.vpc[1]) {
			t.Error("only the VPC of the elastic IP has to follow")
		}
	})
	s.ok(t, s.Bandwidth.Add(ctx, alice, region, s.cbwp, s.eip[1]))
	s.Stalled(func() {
		s.ok(t, s.Bandwidth.ModifyBandwidth(ctx, alice, region, s.cbwp, 40))
		if st := s.show(t); st.Followed || !st.Addresses[0].Followed || !st.Addresses[1].Followed {
			t.Errorf("made wider: %+v", st)
		}
		if s.DB.Observed.Settled(s.vpc[0]) || s.DB.Observed.Settled(s.vpc[1]) {
			t.Error("a VPC does not follow")
		}
	})
	if st := s.show(t); !st.Followed {
		t.Errorf("followed: %+v", st)
	}
	s.Stalled(func() { // nothing that a dataplane follows
		name := "shared"
		s.ok(t, s.Bandwidth.Modify(ctx, alice, region, s.cbwp, resource.Naming{Name: &name}), s.Bandwidth.ModifyBandwidth(ctx, alice, region, s.cbwp, 40))
		if st := s.show(t); st.Name != name || !st.Followed || !s.DB.Observed.Settled(s.vpc[0]) {
			t.Errorf("%+v", st)
		}
	})
	s.ok(t, s.Bandwidth.Cap(ctx, alice, region, s.cbwp, s.eip[0], 7))
	if e := s.elastic(t, s.eip[0]); e.Holds() != 7 || e.Shares.ID != s.cbwp {
		t.Errorf("capped: %+v", e)
	}
	s.ok(t, s.Bandwidth.ModifyBandwidth(ctx, alice, region, s.cbwp, 3))
	if e := s.elastic(t, s.eip[0]); e.Holds() != 3 {
		t.Errorf("capped above what the package has: %d", e.Holds())
	}
	s.Stalled(func() {
		s.ok(t, s.Bandwidth.Delete(ctx, alice, region, s.cbwp, true))
		if e := s.elastic(t, s.eip[0]); e.Status != eip.InUse || e.Holds() != 5 || e.Shares != nil || e.Cap != 0 || e.PackageSince != 0 {
			t.Errorf("out again: %+v", e)
		}
		if s.DB.Observed.Settled(s.vpc[0]) || s.DB.Observed.Settled(s.vpc[1]) {
			t.Error("a VPC does not follow the end of its package")
		}
	})
}

func TestRefused(t *testing.T) {
	s := newSite(t)
	s.ok(t, s.Bandwidth.Add(ctx, alice, region, s.cbwp, s.eip[0]))
	for _, mbit := range []int{0, 5001} {
		_, err := s.Bandwidth.Create(ctx, alice, bandwidth.Package{Region: region, Bandwidth: mbit, Charge: resource.ByBandwidth})
		planetest.Refused(t, err, fault.PackageBandwidth)
		planetest.Refused(t, s.Bandwidth.ModifyBandwidth(ctx, alice, region, s.cbwp, mbit), fault.PackageBandwidth)
	}
	for ratio, charge := range map[int]resource.PackageCharge{9: resource.By95thPercentile, 101: resource.ByVolume, 20: resource.ByBandwidth} {
		_, err := s.Bandwidth.Create(ctx, alice, bandwidth.Package{Region: region, Bandwidth: 5, Charge: charge, Ratio: ratio})
		planetest.Refused(t, err, fault.PackageRatio)
	}
	if _, err := s.Bandwidth.Create(ctx, alice, bandwidth.Package{Region: region, Bandwidth: 5, Charge: resource.By95thPercentile, Ratio: 20}); err != nil {
		t.Error(err)
	}
	// What is Alice's is not there for Bob.
	planetest.Refused(t, s.Bandwidth.Add(ctx, bob, region, s.cbwp, s.eip[1]), fault.PackageNotFound)
	planetest.Refused(t, s.Bandwidth.Delete(ctx, bob, region, s.cbwp, true), fault.PackageNotFound)
	planetest.Refused(t, s.Bandwidth.Add(ctx, alice, region, s.cbwp, s.NewEIP(bob).ID), fault.PackageElasticIP)
	planetest.Refused(t, s.Bandwidth.Add(ctx, alice, region, s.cbwp, s.EIPIn(alice, planetest.Elsewhere).ID), fault.PackageElasticIP)
	planetest.Refused(t, s.Bandwidth.Add(ctx, alice, region, s.cbwp, s.eip[0]), fault.InPackage)
	planetest.Refused(t, s.Bandwidth.Remove(ctx, alice, region, s.cbwp, s.eip[1]), fault.NotInPackage)
	planetest.Refused(t, s.Bandwidth.Cap(ctx, alice, region, s.cbwp, s.eip[1], 5), fault.NotInPackage)
	planetest.Refused(t, s.Bandwidth.Cap(ctx, alice, region, s.cbwp, s.eip[0], 21), fault.PackageBandwidth)
	planetest.Refused(t, s.Bandwidth.Delete(ctx, alice, region, s.cbwp, false), fault.PackageHasElasticIPs)
	s.ok(t, s.Bandwidth.Protect(ctx, alice, region, s.cbwp, true))
	planetest.Refused(t, s.Bandwidth.Delete(ctx, alice, region, s.cbwp, true), fault.DeletionProtected)
	if e := s.elastic(t, s.eip[0]); e.Package != s.cbwp {
		t.Error("an elastic IP was taken out of a package that was not deleted")
	}
}
