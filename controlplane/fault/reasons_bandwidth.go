package fault

// What is wrong with a call that is about bandwidth packages.
const (
	PackageNotFound       Reason = "common bandwidth package not found"
	PackageBandwidth      Reason = "bandwidth of a common bandwidth package not allowed"
	PackageRatio          Reason = "ratio of a common bandwidth package not allowed"
	PackageElasticIP      Reason = "elastic IP for a common bandwidth package not found"
	PackageHasElasticIPs  Reason = "common bandwidth package has elastic IPs"
	InPackage             Reason = "elastic IP is in a common bandwidth package"
	NotInPackage          Reason = "elastic IP is not in the common bandwidth package"
	PackagePrepaid        Reason = "elastic IP for a common bandwidth package is prepaid"
	QuotaPackage          Reason = "common bandwidth package quota"
	QuotaPackageElasticIP Reason = "quota of elastic IPs of a common bandwidth package"
)
