package aliyun

import (
	"slices"
	"strings"
	"testing"

	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
	"sluice/controlplane/settings"
)

// accelerationWorld has global acceleration instances of Alice's, and backends for them.
type accelerationWorld struct {
	planeWorld
	host string // in the other region
	slb  string // likewise
	near string // host in the instances' own region
	free string // instance without a backend
	used string // instance with host as its backend
}

// abroad is a region that lies in another area than those of the instances' backends.
const abroad = "eu-central-1"

func newAccelerationWorld(t *testing.T) *accelerationWorld {
	t.Helper()
	w := &accelerationWorld{planeWorld: newPlaneWorld(t)}
	p, a := w.Plane, planetest.Alice
	p.Settings.Regions = append(p.Settings.Regions, settings.Region{ID: abroad})
	there := p.VSwitch(a, p.VPCIn(a, planetest.Elsewhere, "10.0.0.0/16").VPC, "10.0.1.0/24")
	w.host, w.slb = p.Instance(there, "10.0.1.1", resource.Host), p.Instance(there, "10.0.1.2", resource.LoadBalancer)
	w.near = p.Instance(p.VSwitch(a, p.VPC(a, "10.0.0.0/16").VPC, "10.0.1.0/24"), "10.0.1.1", resource.Host)
	for _, id := range []*string{&w.free, &w.used} {
		*id = w.must(t, "CreateGlobalAccelerationInstance", w.good("CreateGlobalAccelerationInstance")).(*CreateGlobalAccelerationInstanceResponse).GlobalAccelerationInstanceId
	}
	w.must(t, "AssociateGlobalAccelerationInstance", w.good("AssociateGlobalAccelerationInstance", "GlobalAccelerationInstanceId", w.used))
	return w
}

// good returns parameters with which an action succeeds, changed by name and value; an
// empty value leaves the parameter out.
func (w *accelerationWorld) good(action string, change ...string) map[string]string {
	p := map[string]string{"RegionId": planetest.Region}
	add := func(more ...string) {
		for i := 0; i < len(more); i += 2 {
			p[more[i]] = more[i+1]
		}
	}
	switch action {
	case "CreateGlobalAccelerationInstance":
		add("ServiceLocation", "china-mainland", "Bandwidth", "20", "Name", "shop", "Description", "from afar")
	case "ModifyGlobalAccelerationInstanceAttributes":
		add("GlobalAccelerationInstanceId", w.free, "Name", "office")
	case "ModifyGlobalAccelerationInstanceSpec":
		add("GlobalAccelerationInstanceId", w.used, "Bandwidth", "300")
	case "DeleteGlobalAccelerationInstance":
		add("GlobalAccelerationInstanceId", w.free)
	case "AssociateGlobalAccelerationInstance":
		add("GlobalAccelerationInstanceId", w.free, "BackendServerRegionId", planetest.Elsewhere, "BackendServerId", w.host)
	case "UnassociateGlobalAccelerationInstance":
		add("GlobalAccelerationInstanceId", w.used)
	case "DescribeServerRelatedGlobalAccelerationInstances":
		add("RegionId", planetest.Elsewhere, "ServerId", w.host)
	}
	add(change...)
	return p
}

// accelerationActions are the actions that this matrix is about.
var accelerationActions = []string{
	"CreateGlobalAccelerationInstance", "DescribeGlobalAccelerationInstances", "ModifyGlobalAccelerationInstanceAttributes", "ModifyGlobalAccelerationInstanceSpec",
	"DeleteGlobalAccelerationInstance", "AssociateGlobalAccelerationInstance", "UnassociateGlobalAccelerationInstance", "DescribeServerRelatedGlobalAccelerationInstances",
}

func accelerationWith(change ...string) func(*accelerationWorld) []string {
	return func(*accelerationWorld) []string { return change }
}

// theUsed names the instance that has a backend.
func theUsed(w *accelerationWorld) []string { return []string{"GlobalAccelerationInstanceId", w.used} }

// beingUnbound has the instance with a backend lose it, while the dataplane does not answer.
func beingUnbound(t *testing.T, w *accelerationWorld) {
	w.Dataplane(planetest.Stalls)
	w.must(t, "UnassociateGlobalAccelerationInstance", w.good("UnassociateGlobalAccelerationInstance"))
}

// accelerationErrors provokes documented errors: a code, and where an action has several
// messages for it a part of the right one.
var accelerationErrors = []matrixCase[*accelerationWorld]{
	{"CreateGlobalAccelerationInstance", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"CreateGlobalAccelerationInstance", "InvalidBandwidth.ValueNotSupported", "", nil, accelerationWith("Bandwidth", "25")},
	{"CreateGlobalAccelerationInstance", "InvalidServiceLocation.ValueNotSupported", "", nil, accelerationWith("ServiceLocation", "mars")},
	{"CreateGlobalAccelerationInstance", "InvalidGlobalAccelerationInstanceName.Malformed", "", nil, accelerationWith("Name", "http://x")},
	{"CreateGlobalAccelerationInstance", "InvalidGlobalAccelerationInstanceDescription.Malformed", "", nil, accelerationWith("Description", "https://x")},
	{"CreateGlobalAccelerationInstance", "InvalidServiceLocation.Mismatch", "", nil, accelerationWith("ServiceLocation", "north-america")},

	{"DescribeGlobalAccelerationInstances", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},

	{"ModifyGlobalAccelerationInstanceAttributes", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"ModifyGlobalAccelerationInstanceAttributes", "InvalidGlobalAccelerationInstanceId.NotFound", "", nil, accelerationWith("GlobalAccelerationInstanceId", "ga-none")},
	{"ModifyGlobalAccelerationInstanceAttributes", "InvalidGlobalAccelerationInstanceName.Malformed", "", nil, accelerationWith("Name", "http://x")},
	{"ModifyGlobalAccelerationInstanceAttributes", "InvalidGlobalAccelerationInstanceDescription.Malformed", "", nil, accelerationWith("Description", "https://x")},

	{"ModifyGlobalAccelerationInstanceSpec", "InvalidGlobalAccelerationInstanceId.NotFound", "", nil, accelerationWith("RegionId", planetest.Elsewhere)},
	{"ModifyGlobalAccelerationInstanceSpec", "InvalidBandwidth.ValueNotSupported", "", nil, accelerationWith("Bandwidth", "110")},

	{"DeleteGlobalAccelerationInstance", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"DeleteGlobalAccelerationInstance", "InvalidGlobalAccelerationInstanceId.NotFound", "", nil, accelerationWith("GlobalAccelerationInstanceId", "ga-none")},
	{"DeleteGlobalAccelerationInstance", "IncorrectGlobalAccelerationInstanceIdStatus", "", nil, theUsed},
	{"DeleteGlobalAccelerationInstance", "IncorrectGlobalAccelerationInstanceIdStatus", "", beingUnbound, theUsed},

	{"AssociateGlobalAccelerationInstance", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"AssociateGlobalAccelerationInstance", "InvalidGlobalAccelerationInstanceId.NotFound", "", nil, accelerationWith("GlobalAccelerationInstanceId", "ga-none")},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerId.NotFound", "", nil, accelerationWith("BackendServerId", "i-none")},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerId.NotFound", "", nil, accelerationWith("BackendServerType", "SlbInstance")},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerId.NotFound", "", nil, func(w *accelerationWorld) []string { return []string{"BackendServerId", w.near} }},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerRegionId.NotFound", "", nil, accelerationWith("BackendServerRegionId", "mars")},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerType.NotFound", "", nil, accelerationWith("BackendServerType", "HaVip")},
	{"AssociateGlobalAccelerationInstance", "IncorrectGlobalAccelerationInstanceIdStatus", "", nil, theUsed},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerRegionId.Mismatch", "", nil, accelerationWith("BackendServerRegionId", abroad)},
	{"AssociateGlobalAccelerationInstance", "CountLimitExceeded.AssociatedGlobalAccelerationInstanceIdOnBackendServer", "",
		func(_ *testing.T, w *accelerationWorld) {
			w.Settings.Quotas["global_acceleration_instances_per_backend"] = 1
		}, accelerationWith()},
	{"AssociateGlobalAccelerationInstance", "TaskConflict.AssociateGlobalAccelerationInstance", "", beingUnbound, theUsed},
	{"AssociateGlobalAccelerationInstance", "InvalidBackendServerRegionId.EqualRegionId", "", nil, accelerationWith("BackendServerRegionId", planetest.Region)},

	{"UnassociateGlobalAccelerationInstance", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"UnassociateGlobalAccelerationInstance", "InvalidGlobalAccelerationInstanceId.NotFound", "", nil, accelerationWith("GlobalAccelerationInstanceId", "ga-none")},
	{"UnassociateGlobalAccelerationInstance", "IncorrectGlobalAccelerationInstanceIdStatus", "", nil, func(w *accelerationWorld) []string { return []string{"GlobalAccelerationInstanceId", w.free} }},

	{"DescribeServerRelatedGlobalAccelerationInstances", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"DescribeServerRelatedGlobalAccelerationInstances", "InvalidBackendServerId.NotFound", "", nil, accelerationWith("RegionId", planetest.Region)},
}

// accelerationUndocumented are refusals that the documents have no code for.
var accelerationUndocumented = []matrixCase[*accelerationWorld]{
	{"CreateGlobalAccelerationInstance", "QuotaExceeded.GlobalAccelerationInstance", "",
		func(_ *testing.T, w *accelerationWorld) { w.Settings.Quotas["global_acceleration_instances"] = 2 }, accelerationWith()},
	{"CreateGlobalAccelerationInstance", "InsufficientEipCapacity", "", nil, accelerationWith("RegionId", planetest.Unserved)},
	{"ModifyGlobalAccelerationInstanceSpec", "InvalidRegionId.NotFound", "", nil, accelerationWith("RegionId", "mars")},
	{"UnassociateGlobalAccelerationInstance", "IncorrectGlobalAccelerationInstanceIdStatus", "", beingUnbound, accelerationWith()},
	{"CreateGlobalAccelerationInstance", "UnsupportedParameter", "", nil, accelerationWith("BandwidthType", "Sharing")},
}

// accelerationNotProvokable says why an error cannot be provoked here.
var accelerationNotProvokable = map[string]string{
	"AssociateGlobalAccelerationInstance InvalidBackendServerId.NotInVPC": "each instance of the inventory is in a VPC",
	"ModifyGlobalAccelerationInstanceSpec InvalidParameter":               "each of its parameters has a code of its own for a value that is not allowed",
}

func TestAccelerationErrors(t *testing.T) {
	provokeAll(t, accelerationErrors, newAccelerationWorld, true)
	provokeAll(t, accelerationUndocumented, newAccelerationWorld, false)
}

// TestAccelerationErrorsAreProvokedOrExplained compares the matrix with the catalog.
func TestAccelerationErrorsAreProvokedOrExplained(t *testing.T) {
	for _, action := range accelerationActions {
		for _, e := range documentedErrors[action] {
			seen := slices.ContainsFunc(accelerationErrors, func(c matrixCase[*accelerationWorld]) bool { return c.documents(action, e) })
			why := accelerationNotProvokable[action+" "+e.Code]
			if e.Code == "MissingParameter" {
				why = "the common check of required parameters, see TestAccelerationMissing"
			}
			if seen == (why != "") {
				t.Errorf("%s: %s (%s) is provoked: %t, and explained by %q", action, e.Code, e.Message, seen, why)
			}
		}
	}
}

// TestAccelerationMissing leaves each parameter out that an action needs.
func TestAccelerationMissing(t *testing.T) {
	w := newAccelerationWorld(t)
	for _, action := range accelerationActions {
		for name := range w.good(action) {
			if name == "Name" || name == "Description" {
				continue
			}
			_, err := w.call(action, w.good(action, name, ""))
			if err == nil || err.Code != "MissingParameter" || !strings.Contains(err.Message, name) {
				t.Errorf("%s without %s: %v", action, name, err)
			}
		}
	}
}

func TestAccelerationGoodCalls(t *testing.T) {
	succeed(t, accelerationActions, newAccelerationWorld)
}

// TestAccelerationListing reads what the two listings show.
func TestAccelerationListing(t *testing.T) {
	w := newAccelerationWorld(t)
	list := func(change ...string) []DescribeGlobalAccelerationInstancesGlobalAccelerationInstance {
		r := w.must(t, "DescribeGlobalAccelerationInstances", w.good("DescribeGlobalAccelerationInstances", change...)).(*DescribeGlobalAccelerationInstancesResponse)
		return r.GlobalAccelerationInstances.GlobalAccelerationInstance
	}
	for _, status := range []string{"InUse", "Inuse"} {
		all := list("Status", status, "ServiceLocation", "china-mainland", "ServerId", w.host, "Name", "shop", "BandwidthType", "Exclusive")
		if len(all) != 1 {
			t.Fatalf("%d are %s", len(all), status)
		}
		x := all[0]
		if x.GlobalAccelerationInstanceId != w.used || x.Status != "InUse" || x.Bandwidth != 20 || x.ServiceLocation != "china-mainland" || x.AccelerationLocation != "china-mainland" ||
			x.ChargeType != "PostPaid" || x.ExpiredTime != "" || x.CreationTime == "" || len(x.OperationLocks.LockReason) != 0 || len(x.BackendServers.BackendServer) != 1 {
			t.Errorf("%+v", x)
		}
		b := x.BackendServers.BackendServer[0]
		if b.RegionId != planetest.Elsewhere || b.ServerId != w.host || b.ServerIpAddress != "10.0.1.1" || b.ServerType != "EcsInstance" {
			t.Errorf("%+v", b)
		}
		r := w.must(t, "DescribeServerRelatedGlobalAccelerationInstances", w.good("DescribeServerRelatedGlobalAccelerationInstances")).(*DescribeServerRelatedGlobalAccelerationInstancesResponse)
		of := r.GlobalAccelerationInstances.GlobalAccelerationInstance
		if len(of) != 1 || of[0].GlobalAccelerationInstanceId != w.used || of[0].RegionId != planetest.Region || of[0].ServerIpAddress != "10.0.1.1" || of[0].IpAddress != x.IpAddress {
			t.Errorf("%+v", of)
		}
		if byAddress := list("IpAddress", x.IpAddress); len(byAddress) != 1 || byAddress[0].GlobalAccelerationInstanceId != w.used {
			t.Errorf("%+v", byAddress)
		}
	}
	if all := list("BandwidthType", "Sharing"); len(all) != 0 {
		t.Errorf("%+v", all)
	}
	beingUnbound(t, w)
	if all := list("Status", "Unassociating"); len(all) != 1 || len(all[0].BackendServers.BackendServer) != 0 {
		t.Errorf("%+v", all)
	}
	w.Dataplane(planetest.Follows)
	w.Follow()
	if all := list("Status", "Available"); len(all) != 2 {
		t.Errorf("%+v", all)
	}
	w.Dataplane(planetest.Stalls)
	w.must(t, "AssociateGlobalAccelerationInstance", w.good("AssociateGlobalAccelerationInstance", "BackendServerType", "SlbInstance", "BackendServerId", w.slb))
	if all := list("Status", "Associating"); len(all) != 1 || all[0].BackendServers.BackendServer[0].ServerType != "SlbInstance" {
		t.Errorf("%+v", all)
	}
}
