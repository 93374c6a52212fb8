package fault

// Reasons that are about the classic network, and links of VPCs with instances there.
const (
	ClassicMissing      Reason = "region has no classic network"
	ClassicCIDR         Reason = "VPC overlaps the classic network"
	ClassicLinked       Reason = "instance is linked to a VPC already"
	ClassicNotLinked    Reason = "instance is not linked to the VPC"
	ClassicInVPC        Reason = "instance is in a VPC"
	ClassicNoAddress    Reason = "no address of the classic network is free"
	ClassicLinkNotFound Reason = "classic link not found"
	QuotaClassicLink    Reason = "quota of classic links of a VPC exceeded"
	VPCHasClassicLinks  Reason = "VPC is linked to instances of the classic network"
)
