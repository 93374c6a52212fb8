package tencent3

import (
	"maps"

	"sluice/controlplane/fault"
)

// The answers to reasons that are about network interfaces and elastic IPs.
func init() {
	maps.Copy(faults, map[fault.Reason]string{
		fault.InterfaceNotFound:        "ResourceNotFound",
		fault.PrivateAddressNotFound:   "ResourceNotFound",
		fault.PrivateAddressMissing:    "MissingParameter",
		fault.PrivateAddressTwice:      "InvalidParameterValue.Duplicate",
		fault.PrivateAddressPrimary:    "UnsupportedOperation",
		fault.PrivateAddressOutside:    "InvalidParameterValue.Range",
		fault.PrivateAddressReserved:   "InvalidParameterValue.Reserved",
		fault.PrivateAddressInUse:      "ResourceInUse",
		fault.NoFreeAddress:            "ResourceInsufficient",
		fault.TwoPrimaryAddresses:      "InvalidParameterValue",
		fault.QuotaInterface:           "LimitExceeded",
		fault.QuotaInstanceInterfaces:  "LimitExceeded",
		fault.QuotaInterfaceAddresses:  "LimitExceeded",
		fault.InterfaceInTransition:    "ResourceUnavailable",
		fault.InterfaceAttached:        "ResourceInUse",
		fault.InterfaceHasElasticIP:    "ResourceInUse",
		fault.InterfacePrimary:         "UnsupportedOperation",
		fault.InterfaceNotAttached:     "UnsupportedOperation",
		fault.InterfaceSame:            "InvalidParameterValue.Duplicate",
		fault.InterfaceOtherVPC:        "UnsupportedOperation.VpcMismatch",
		fault.InterfaceOtherZone:       "UnsupportedOperation",
		fault.InterfaceOtherVSwitch:    "UnsupportedOperation",
		fault.ElasticIPNotFound:        "InvalidAddressId.NotFound",
		fault.ElasticIPStatus:          "InvalidAddressIdStatus.NotPermit",
		fault.InstanceAssociated:       "InvalidInstanceId.AlreadyBindEip",
		fault.PrivateAddressAssociated: "InvalidPrivateIpAddress.AlreadyBindEip",
		fault.InstanceKindWrong:        "InvalidInstance.NotSupported",
		fault.RegionMismatch:           "InvalidInstanceId.NotFound",
		fault.QuotaElasticIP:           "AddressQuotaLimitExceeded",
		fault.QuotaDayAllocated:        "AddressQuotaLimitExceeded.DailyAllocate",
		fault.QuotaDayReassigned:       "LimitExceeded",
		fault.DeletionProtected:        "UnsupportedOperation",
	})
	maps.Copy(actionFaults, map[string]map[fault.Reason]string{
		"CreateNetworkInterface":  {fault.QuotaInterfaceAddresses: "InvalidParameterValue.LimitExceeded"},
		"MigratePrivateIpAddress": {fault.PrivateAddressNotFound: "UnauthorizedOperation.AttachmentNotFound", fault.PrivateAddressPrimary: "UnauthorizedOperation.PrimaryIp"},
		"ModifyPrivateIpAddressesAttribute": {
			fault.InterfaceInTransition: "UnsupportedOperation.InvalidState"},
		"AssociateAddress": {
			fault.InstanceNotFound: "InvalidInstanceId.NotFound", fault.InterfaceNotFound: "InvalidNetworkInterfaceId.NotFound",
			fault.PrivateAddressNotFound: "InvalidNetworkInterfaceId.NotFound", fault.InstanceStatus: "InvalidInstance.NotSupported"},
		"DisassociateAddress": {fault.OrdinaryNotPrimary: "InvalidParameter"},
		"ReleaseAddresses":    {fault.ElasticIPStatus: "InvalidAddressState"},
		"TransformAddress": {
			fault.InstanceNotFound: "InvalidInstanceId.NotFound", fault.OrdinaryMissing: "InvalidInstance.NotSupported"},
	})
}
