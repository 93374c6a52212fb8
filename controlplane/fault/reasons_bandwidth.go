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

	NATPackageNotFound   Reason = "NAT bandwidth package not found"
	NATPackageBandwidth  Reason = "bandwidth of a NAT bandwidth package not allowed"
	NATPackageIPCount    Reason = "number of addresses of a NAT bandwidth package not allowed"
	NATPackageNoAddress  Reason = "no address of a NAT bandwidth package"
	NATPackageOtherIP    Reason = "address is not in the NAT bandwidth package"
	NATPackageEmpty      Reason = "NAT bandwidth package would have no address"
	NATPackageUsedByDNAT Reason = "address of a NAT bandwidth package is used by the DNAT table"
	NATPackageUsedBySNAT Reason = "address of a NAT bandwidth package is used by the SNAT table"
	QuotaNATPackageIPs   Reason = "quota of addresses of a NAT bandwidth package"
)
