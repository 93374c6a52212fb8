package fault

// What is wrong with a call that is about global acceleration.
const (
	AccelerationNotFound       Reason = "global acceleration instance not found"
	AccelerationService        Reason = "no region in the service location of a global acceleration instance"
	AccelerationBandwidth      Reason = "bandwidth of a global acceleration instance not allowed"
	AccelerationStatus         Reason = "global acceleration instance in a wrong state"
	AccelerationInTransition   Reason = "global acceleration instance in transition"
	BackendNotFound            Reason = "backend server not found"
	BackendRegionNotFound      Reason = "region of a backend server not found"
	BackendRegionOutside       Reason = "region of a backend server is not in the service location"
	BackendRegionSame          Reason = "region of a backend server is that of the global acceleration instance"
	QuotaAcceleration          Reason = "quota of global acceleration instances"
	QuotaAccelerationsOfServer Reason = "quota of global acceleration instances of a backend server"
)
