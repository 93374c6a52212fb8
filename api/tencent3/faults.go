package tencent3

import (
	"strings"
	"unicode"
	"unicode/utf8"

	"sluice/controlplane/fault"
)

// faultCode returns the code by which an action answers a reason: its own, or that of all.
// A code that stands behind another is for actions that do not document the first.
func faultCode(action string, r fault.Reason) (string, bool) {
	if code, ok := actionFaults[action][r]; ok {
		return code, true
	}
	code, ok := faults[r]
	return code, ok
}

// faults are the answers to the control plane's reasons.
var faults = map[fault.Reason]string{
	fault.RegionNotFound:                "UnsupportedRegion",
	fault.ResourceNotAvailable:          "ResourceUnavailable",
	fault.ZoneNotFound:                  "InvalidParameterValue",
	fault.VPCNotFound:                   "ResourceNotFound",
	fault.VSwitchNotFound:               "ResourceNotFound",
	fault.RouteTableNotFound:            "ResourceNotFound",
	fault.RouteEntryNotFound:            "ResourceNotFound",
	fault.InstanceNotFound:              "ResourceNotFound",
	fault.NextHopNotFound:               "ResourceNotFound",
	fault.NextHopListed:                 "ResourceNotFound",
	fault.NATGatewayNotFound:            "ResourceNotFound",
	fault.VPCCIDRInvalid:                "InvalidParameterValue",
	fault.CIDRMalformed:                 "InvalidParameterValue",
	fault.VSwitchCIDRMask:               "InvalidParameterValue.SubnetRange",
	fault.VSwitchCIDROutside:            "InvalidParameterValue.SubnetRange",
	fault.VSwitchCIDROverlap:            "InvalidParameterValue.SubnetConflict",
	fault.VSwitchCIDRRoute:              "InvalidParameterValue.SubnetConflict",
	fault.RouteDestination:              "InvalidParameterValue.VpcCidrConflict",
	fault.RouteDuplicate:                "InvalidParameterValue.Duplicate",
	fault.RouteSame:                     "InvalidParameterValue.Duplicate",
	fault.RouteSystem:                   "UnsupportedOperation",
	fault.RouteOtherNATGateway:          "UnsupportedOperation",
	fault.NextHopOpposite:               "UnsupportedOperation",
	fault.NextHopRouterInterface:        "UnsupportedOperation",
	fault.InstanceStatus:                "UnsupportedOperation",
	fault.QuotaVPC:                      "LimitExceeded",
	fault.QuotaVSwitch:                  "LimitExceeded",
	fault.QuotaRouteTable:               "LimitExceeded",
	fault.QuotaRouteEntry:               "LimitExceeded",
	fault.VPCHasRouteEntries:            "ResourceInUse",
	fault.VPCHasInstances:               "ResourceInUse",
	fault.VPCHasClassicLinks:            "ResourceInUse",
	fault.ClassicMissing:                "UnsupportedOperation",
	fault.ClassicCIDR:                   "UnsupportedOperation.CIDRUnsupportedClassicLink",
	fault.ClassicInVPC:                  "UnsupportedOperation",
	fault.ClassicLinked:                 "UnsupportedOperation.ClassicInstanceIdAlreadyExists",
	fault.ClassicNotLinked:              "ResourceNotFound",
	fault.ClassicNoAddress:              "LimitExceeded",
	fault.QuotaClassicLink:              "LimitExceeded",
	fault.VPCHasNATGateway:              "ResourceInUse",
	fault.VPCHasVPNGateway:              "ResourceInUse",
	fault.VPCHasVSwitches:               "ResourceInUse",
	fault.VPCHasRouteTables:             "ResourceInUse",
	fault.VSwitchHasDependents:          "ResourceInUse",
	fault.VSwitchHasHaVips:              "ResourceInUse",
	fault.RouteTableSystem:              "UnsupportedOperation",
	fault.RouteTableHasVSwitches:        "ResourceInUse",
	fault.RouteTableHasEntries:          "ResourceInUse",
	fault.VPNGatewayNotFound:            "ResourceNotFound",
	fault.CustomerGatewayNotFound:       "ResourceNotFound",
	fault.VPNConnectionNotFound:         "ResourceNotFound",
	fault.CustomerGatewayAddress:        "InvalidParameterValue",
	fault.CustomerGatewayExists:         "InvalidParameterValue.Duplicate",
	fault.QuotaCustomerGateway:          "LimitExceeded",
	fault.CustomerGatewayHasConnections: "ResourceInUse",
	fault.PeriodMissing:                 "MissingParameter",
	fault.VPNUnavailable:                "ResourceUnavailable",
	fault.NoFreeElasticIP:               "ResourceInsufficient",
	fault.VPNGatewayHasConnections:      "ResourceInUse",
	fault.VPNGatewayHasSSLServers:       "ResourceInUse",
	fault.VPNGatewayPrepaid:             "UnsupportedOperation",
	fault.VPNGatewayByUse:               "UnsupportedOperation",
	fault.VPNGatewayExpired:             "UnsupportedOperation",
	fault.VPNGatewaySSLOnly:             "UnsupportedOperation",
	fault.VPNGatewayConfiguring:         "ResourceUnavailable",
	fault.VPNIPsecOff:                   "UnsupportedOperation",
	fault.VPNLocalSubnets:               "InvalidParameterValue",
	fault.VPNRemoteSubnets:              "InvalidParameterValue",
	fault.VPNRemoteInVPC:                "InvalidParameterValue.VpcCidrConflict",
	fault.VPNConnectionExists:           "InvalidParameterValue",
	fault.VPNKeyConflict:                "InvalidParameterValue",
	fault.VPNLocalIDConflict:            "InvalidParameterValue",
	fault.VPNRemoteIDConflict:           "InvalidParameterValue",
	fault.VPNHealthCheck:                "InvalidParameterValue",
	fault.VPNAlgorithmRefused:           "UnsupportedOperation",
	fault.VPNRouteConflict:              "InvalidParameterValue",
	fault.ParameterInvalid:              "InvalidParameterValue",
	fault.QuotaVPNConnection:            "LimitExceeded",
	fault.QuotaVPNPolicyRoute:           "LimitExceeded",

	fault.VPCInTransition:     "ResourceUnavailable",
	fault.VSwitchInTransition: "ResourceUnavailable",
	fault.RouteInTransition:   "ResourceUnavailable",
}

// actionFaults are the answers of actions that have others.
var actionFaults = map[string]map[fault.Reason]string{
	"CreateCustomerGateway": {fault.QuotaCustomerGateway: "VpcLimitExceeded"},
	"CreateVpnGateway":      {fault.VPCNotFound: "InvalidVpcId.NotFound"},
	"DetachClassicLinkVpc":  {fault.ClassicInVPC: "ResourceNotFound"},
	"DeleteVpnGateway":      {fault.VPNGatewayNotFound: "InvalidVpnGatewayId.NotFound"},
}

// sentence is what a refusal tells: what was wrong, in a sentence.
func sentence(f *fault.Error) string {
	text := f.Detail
	if text == "" {
		text = string(f.Reason)
	} else {
		text = string(f.Reason) + ": " + text
	}
	first, size := utf8.DecodeRuneInString(text)
	return string(unicode.ToUpper(first)) + strings.TrimSuffix(text[size:], ".") + "."
}
