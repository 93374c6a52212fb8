package aliyun

import (
	"strings"

	"sluice/controlplane/fault"
)

// refusal is the wire's answer to a reason of the control plane.
type refusal struct {
	code string
	// message chooses among the messages of a code that has several: the one
	// that holds it. With http it is the message itself.
	message string
	// http is set where no document lists a code for the case; the words are
	// ours then, see docs/compatibility.md.
	http int
	// fill is put for %s in a code that leaves a part of itself open.
	fill string
	// why says that what the reason is about follows the documented message, which
	// has no place for it.
	why bool
}

// error returns the documented error that the action has for the refusal.
func (f refusal) error(action string) *Error {
	if f.http != 0 {
		return &Error{f.http, f.code, f.message}
	}
	e := documented(action, f.code, f.message)
	if f.fill != "" {
		e.Code = strings.ReplaceAll(e.Code, "%s", f.fill)
		e.Message = strings.ReplaceAll(e.Message, "%s", f.fill)
	}
	if f.why {
		e.Message = strings.TrimSuffix(e.Message, ".") + ": %s."
	}
	return e
}

// faultCode returns the answer of an action to a reason.
func faultCode(action string, r fault.Reason) (refusal, bool) {
	if f, ok := actionFaults[action][r]; ok {
		return f, true
	}
	f, ok := faults[r]
	return f, ok
}

// faults are the answers to the control plane's reasons, for all actions that
// have none of their own in actionFaults. The message comes from the action's
// own error table where it lists the code, else from the common errors, else
// from another action's.
var faults = map[fault.Reason]refusal{
	// not found
	fault.RegionNotFound:        {code: "InvalidRegionId.NotFound", message: `"RegionId" is not supported`},
	fault.ZoneNotFound:          {code: "InvalidZoneId.NotFound", message: "Specified zone"},
	fault.VPCNotFound:           {code: "InvalidVpcId.NotFound", message: "Specified VPC"},
	fault.VRouterNotFound:       {code: "InvalidVRouterId.NotFound", message: "Specified virtual router"},
	fault.VSwitchNotFound:       {code: "InvalidVSwitchId.NotFound"},
	fault.RouteTableNotFound:    {code: "InvalidRouteTableId.NotFound"},
	fault.RouteEntryNotFound:    {http: 404, code: "InvalidRouteEntry.NotFound", message: "Specified route entry does not exist."},
	fault.NextHopNotFound:       {code: "InvalidNextHopId.NotFound"},
	fault.InstanceNotFound:      {code: "InvalidInstanceId.NotFound"},
	fault.HaVipNotFound:         {code: "InvalidHaVip.NotFound"},
	fault.ElasticIPNotFound:     {code: "InvalidAllocationId.NotFound"},
	fault.NATGatewayNotFound:    {code: "InvalidNatGatewayId.NotFound", message: "does not exist in our records"},
	fault.ForwardTableNotFound:  {code: "InvalidForwardTableId.NotFound"},
	fault.ForwardEntryNotFound:  {code: "InvalidForwardEntryId.NotFound"},
	fault.SNATTableNotFound:     {code: "InvalidSnatTableId.NotFound"},
	fault.SNATEntryNotFound:     {code: "InvalidSnatEntryId.NotFound"},
	fault.ExternalIPNotFound:    {code: "InvalidExternalIp.NotFound"},
	fault.SNATIPNotFound:        {code: "InvalidSnatIp.NotFound"},
	fault.VPNConnectionNotFound: {code: "InvalidVpnConnectionInstanceId.NotFound"},
	fault.AccountNotFound:       {code: "InvalidAccessKeyId.NotFound"},
	fault.AccessKeyNotFound:     {code: "InvalidAccessKeyId.NotFound"},

	// values
	fault.VPCCIDRInvalid:           {code: "InvalidParameter", message: "CIDR block is not valid"},
	fault.UserCIDRMalformed:        {code: "InvalidParameter", message: "UserCidr invalid format"},
	fault.UserCIDRMask:             {code: "InvalidParameter", message: "UserCidr Subnet mask"},
	fault.UserCIDRQuota:            {code: "InvalidUserCidr.Quota"},
	fault.UserCIDROverlap:          {code: "InvalidUserCidr.Malformed", message: "overlapping"},
	fault.UserCIDRInTransition:     {code: "InvalidUserCidr.Malformed", message: "status is wrong"},
	fault.CIDRMalformed:            {code: "InvalidCidrBlock.Malformed"},
	fault.VSwitchCIDRMask:          {code: "InvalidCidrBlock.MaskLength"},
	fault.VSwitchCIDROutside:       {code: "InvalidParameter", message: "not valid in VPC"},
	fault.VSwitchCIDROverlap:       {code: "InvalidCidrBlock.Overlapped", message: "other subnets"},
	fault.SecondaryCIDRInvalid:     {code: "InvalidCidrBlock.Malformed"},
	fault.SecondaryCIDROverlap:     {code: "InvalidCidrBlock.Overlapped", message: "other subnets"},
	fault.SecondaryCIDRNotFound:    {http: 404, code: "InvalidCidrBlock.NotFound", message: "Specified CIDR block does not exist in the VPC."},
	fault.VSwitchCIDRRoute:         {code: "InvalidCidrBlock.Overlapped", message: "other entry"},
	fault.RouteDestination:         {code: "InvalidCidrBlock"},
	fault.RouteDuplicate:           {code: "InvalidCIDRBlock.Duplicate"},
	fault.RouteSame:                {code: "InvalidRouteEntry.Duplicate"},
	fault.RouteSystem:              {code: "OperationDenied", message: "system"},
	fault.NextHopBothNull:          {code: "InvalidNexthopTypeAndList.BothNull"},
	fault.NextHopMissing:           {code: "MissingParameter", message: "Miss mandatory parameter"},
	fault.NextHopListed:            {code: "InvalidNextHop.NotFound"},
	fault.NextHopListSize:          {code: "InvalidNexthopListSize"},
	fault.NextHopOpposite:          {code: "InvalidOppositeRouterType"},
	fault.NextHopRouterInterface:   {code: "InvalidRouterInterface"},
	fault.NextHopMismatch:          {code: "InvalidNextHopId.NotFound"},
	fault.HaVipRouteQuota:          {code: "CountLimitExceed.HaVipRouteEntry"},
	fault.BandwidthInvalid:         {code: "InvalidParameter", message: `"Bandwidth"`},
	fault.PeriodInvalid:            {http: 400, code: "InvalidParameter", message: `The specified parameter "Period" is not valid.`},
	fault.PeriodMissing:            {http: 400, code: "MissingParameter", message: `The input parameter "Period" that is mandatory for processing this request is not supplied.`},
	fault.ParameterNotApplicable:   {http: 400, code: "UnsupportedParameter", message: "A parameter of the request does not apply to it."},
	fault.NATVSwitchMissing:        {http: 400, code: "MissingParameter", message: `The input parameter "VSwitchId" that is mandatory for processing this request is not supplied.`},
	fault.NATVSwitchNotApplicable:  {http: 400, code: "UnsupportedParameter", message: `The parameter "VSwitchId" is not supported. Reason: only a NAT gateway of NatType Enhanced is in a VSwitch. Leave it out.`},
	fault.RouteOtherNATGateway:     {http: 400, code: "OperationUnsupported.NatGateway", message: "The route table leads to another NAT gateway already; a route table leads to one."},
	fault.NATTypeUnchanged:         {http: 400, code: "OperationUnsupported.NatType", message: "The NAT gateway is enhanced already."},
	fault.SpecNotApplicable:        {http: 400, code: "UnsupportedParameter", message: `The parameter "Spec" is not supported. Reason: a NAT gateway that is charged by what goes through it has no specification. Leave it out.`},
	fault.SpecUnchanged:            {code: "NATGW_MODIFY_SPEC_SAME"},
	fault.InternalIPOutside:        {code: "Forbidden.DestinationIpOutOfVpcCIDR"},
	fault.PortsAndProtocol:         {code: "Forbidden.PortsAndIpProtocol"},
	fault.PortRanges:               {code: "InvalidInternalPort.Malformed"},
	fault.SourceMissing:            {http: 400, code: "MissingParameter", message: `The input parameter "SourceVSwitchId" that is mandatory for processing this request is not supplied.`},
	fault.SourceBoth:               {code: "INVALID_PARAMETER"},
	fault.SourceCIDROutside:        {code: "NOT_ALLOW_USE_SOURCECIDR"},
	fault.ParameterInvalid:         {http: 400, code: "InvalidParameter", message: "The specified parameter is not valid"},
	fault.ResourceNotAvailable:     {code: "ResourceNotAvailable"},
	fault.TokenMismatch:            {code: "IdempotentParameterMismatch"},
	fault.NonceUsed:                {code: "SignatureNonceUsed"},
	fault.BandwidthPackageMissing:  {code: "MissingParameter.BandwidthPackage"},
	fault.TooManyBandwidthPackages: {code: "TooManyBandwidthPackages"},
	fault.SpanInvalid:              {code: "InvalidEndTime.Malformed"},
	fault.TooManyPoints:            {code: "OperationDenied.ToManyDataQueried"},
	fault.TimePointInvalid:         {http: 400, code: "InvalidParameter", message: `The specified parameter "TimePoint" is not valid.`},
	fault.PageTokenInvalid:         {http: 400, code: "InvalidParameter", message: `The specified parameter "NextToken" is not valid.`},
	fault.VPNLocalSubnets:          {code: "InvalidParam.%s", fill: "LeftSubnet", why: true},
	fault.VPNRemoteSubnets:         {code: "InvalidParam.%s", fill: "RightSubnet", why: true},
	fault.VPNHealthCheck:           {http: 400, code: "InvalidParameter", message: `The specified parameter "HealthCheckConfig" is not valid: %s.`},
	fault.VPNBGP:                   {http: 400, code: "InvalidParameter", message: `The specified parameter "BgpConfig" is not valid: %s.`},
	fault.VPNUnavailable:           {http: 400, code: "OperationUnsupported", message: "A VPN gateway cannot be made here: %s."},
	fault.VPNAlgorithmRefused:      {http: 400, code: "InvalidParameter", message: "The connection that the parameters describe cannot be made here: %s."},
	fault.VPNIPsecOff:              {http: 400, code: "InvalidParameter", message: `The specified parameter "VpnGatewayId" is not valid: IPsec is off at this VPN gateway.`},

	// states
	fault.VPCInTransition:          {code: "IncorrectVpcStatus"},
	fault.VSwitchInTransition:      {code: "IncorrectVSwitchStatus"},
	fault.RouteInTransition:        {code: "IncorrectRouteEntryStatus"},
	fault.ElasticIPStatus:          {code: "IncorrectEipStatus"},
	fault.InstanceStatus:           {code: "IncorrectInstanceStatus"},
	fault.HaVipStatus:              {code: "IncorrectHaVipStatus"},
	fault.GatewayInTransition:      {http: 400, code: "IncorrectStatus.NatGateway", message: "Current NAT gateway status does not support this operation."},
	fault.ForwardEntryInTransition: {code: "IncorretForwardEntryStatus"},
	fault.SNATEntryInTransition:    {code: "IncorrectSnatEntryStatus"},

	// dependencies and conflicts
	fault.VPCHasRouteEntries:     {code: "DependencyViolation.RouteEntry"},
	fault.VPCHasInstances:        {code: "DependencyViolation.Instance"},
	fault.VPCHasNATGateway:       {code: "DependencyViolation.Instance"},
	fault.VPCHasVSwitches:        {code: "DependencyViolation.VSwitch"},
	fault.VPCHasRouteTables:      {http: 400, code: "DependencyViolation.RouteTable", message: "There is still a custom route table in the specified VPC."},
	fault.SecondaryCIDRInUse:     {http: 400, code: "DependencyViolation.VSwitch", message: "The CIDR block is still in use: %s."},
	fault.RouteTableSystem:       {code: "IncorrectRouteTableType"},
	fault.RouteTableHasEntries:   {code: "IncorrectRouteTableStatus.RouteEntryExist"},
	fault.RouteTableHasVSwitches: {http: 400, code: "DependencyViolation.VSwitch", message: "The route table is still bound to a virtual switch."},
	fault.RouteTableBound:        {code: "ResourceAlreadyAssociated.RouteTable"},
	fault.RouteTableNotBound:     {http: 400, code: "ResourceNotAssociated.RouteTable", message: "The virtual switch is not bound to the route table."},
	fault.VSwitchHasDependents:   {code: "DependencyViolation"},
	fault.VSwitchHasHaVips:       {code: "DependencyViolation.HaVip"},
	fault.InstanceHasDependents:  {code: "DependencyViolation"},
	fault.GatewayHasDependents:   {code: "DependencyViolation"},
	fault.InstanceAssociated:     {code: "InvalidAssociation.Duplicated"},
	fault.HaVipAssociated:        {code: "CountLimitExceed.EIPOnHaVip"},
	fault.HaVipBound:             {http: 400, code: "InvalidAssociation.Duplicated", message: "The HaVip and the instance are associated already."},
	fault.HaVipNotBound:          {code: "ResourceNotAssociated", message: "HaVip and ECS instance"},
	fault.HaVipUnbound:           {code: "IncorrectHaVipStatus"},
	fault.HaVipMaster:            {code: "Forbidden.UnassociateMaster"},
	fault.HaVipOtherVSwitch:      {http: 400, code: "InvalidParameter.Mismatch", message: "The HaVip and the instance are not in the same VSwitch."},
	fault.HaVipHasInstances:      {code: "IncorrectStatus", message: "HaVip can be deleted"},
	fault.HaVipHasRouteEntries:   {code: "DependencyViolation.HaVipReferedByRouteEntry"},
	fault.HaVipHasElasticIP:      {code: "DependencyViolation.HaVipAssociatedWithEIP"},
	fault.NotAssociated:          {code: "ResourceNotAssociated"},
	fault.RegionMismatch:         {code: "InvalidParameter.Mismatch"},
	fault.NotInVPC:               {code: "OperationDenied", message: "not in VPC"},
	fault.DeletionProtected:      {http: 400, code: "OperationDenied.DeletionProtection", message: "The resource is protected from deletion; turn that off by DeletionProtection first."},
	fault.GatewayExists:          {code: "QuotaExceeded.NatGatewayCountInOneVpc"},
	fault.DefaultRouteExists:     {code: "RouterEntryConflict.Duplicated"},
	fault.UsedByDNAT:             {code: "Forbidden.IpUsedInForwardTable"},
	fault.UsedBySNAT:             {code: "Forbidden.ExternalIp.UsedInSnatTable"},
	fault.InternalIPHasElasticIP: {code: "Forbindden"},
	fault.NotOnGateway:           {code: "InvalidIp.NotInNatgw"},
	fault.DuplicateExternal:      {code: "ForwardEntry.Duplicated.Source"},
	fault.DuplicateInternal:      {code: "ForwardEntry.Duplicated.Destination"},
	fault.VSwitchHasSNAT:         {code: "Forbidden.SourceVSwitchId.Duplicated"},
	fault.SourceConflict:         {code: "OperationUnsupported.CidrConflict"},
	fault.VPNConnectionExists:    {code: "InvalidVpnConnection.AlreadyExists"},
	fault.VPNKeyConflict:         {code: "InvalidParam.%s", fill: "RightPsk", why: true},
	fault.VPNLocalIDConflict:     {code: "InvalidParam.%s", fill: "LeftId", why: true},
	fault.VPNRemoteIDConflict:    {code: "InvalidParam.%s", fill: "RightId", why: true},
	fault.VPNRouteExists:         {code: "InvalidRouteEntry.Duplicate"},
	fault.VPNRouteConflict:       {code: "InvalidCIDRBlock.Duplicate"},
	fault.AddressInUse:           {http: 400, code: "InvalidIPAddress.AlreadyUsed", message: "The specified IP address is already used by another resource."},
	fault.AddressNotUsable:       {http: 400, code: "InvalidIPAddress.NotInVSwitch", message: "The specified IP address is not a free address of the VSwitch."},
	fault.HaVipAddressOutside:    {code: "InvalidIPAddress.OutOfRange"},
	fault.HaVipAddressReserved:   {code: "InvalidIPAddress.NotAvailable"},
	fault.HaVipAddressInUse:      {code: "InvalidIPAddress.AlreadyUsed"},
	fault.NoFreeAddress:          {http: 400, code: "InsufficientIPAddress", message: "The VSwitch has no free IP address."},
	fault.InstanceExists:         {http: 400, code: "InvalidInstanceId.Duplicated", message: "The specified instance already exists."},
	fault.AccountExists:          {http: 400, code: "InvalidAccount.Duplicated", message: "The specified account already exists."},

	// quotas
	fault.QuotaVPC:           {code: "QuotaExceeded.Vpc"},
	fault.QuotaVSwitch:       {code: "QuotaExceeded.VSwitch"},
	fault.QuotaRouteTable:    {http: 400, code: "QuotaExceeded.RouteTable", message: "Route table quota exceeded in this VPC."},
	fault.QuotaSecondaryCIDR: {http: 400, code: "QuotaExceeded.SecondaryCidrBlock", message: "Secondary CIDR block quota exceeded in this VPC."},
	fault.QuotaRouteEntry:    {code: "QuotaExceeded", message: "Route entry quota"},
	fault.QuotaElasticIP:     {code: "QuotaExceeded.Eip"},
	fault.NoFreeElasticIP:    {code: "InsufficientEipCapacity"},
	fault.QuotaForwardEntry:  {code: "QuotaExceeded.ForwardEntry"},
	fault.QuotaForwardPorts:  {http: 400, code: "QuotaExceeded.ForwardEntryPort", message: "The DNAT entry has more ports than an entry may have here."},
	fault.QuotaSNATEntry:     {code: "Forbidden.SnatEntryCountLimited"},
	fault.QuotaSNATPool:      {code: "SNAT_IP_POOL_COUNT_TOO_MANY"},
	fault.QuotaInstance:      {http: 400, code: "QuotaExceeded.Instance", message: "Instance quota exceeded in this VPC."},

	fault.QuotaHaVip:          {http: 400, code: "QuotaExceeded.HaVip", message: "HaVip quota exceeded."},
	fault.QuotaHaVipInstances: {code: "CountLimitExceeded.HaVipOnECSInstance"},
	fault.QuotaInstanceHaVips: {code: "CountLimitExceed.HaVipOnInstance"},

	// users and policies
	fault.NotAuthorized:         {code: "Forbidden.RAM"},
	fault.UserNotFound:          {code: "EntityNotExist.User"},
	fault.UserExists:            {code: "EntityAlreadyExists.User"},
	fault.UserNameInvalid:       {code: "InvalidParameter.UserName.InvalidChars"},
	fault.UserEmail:             {code: "InvalidParameter.Email.Format"},
	fault.UserMobilePhone:       {code: "InvalidParameter.MobilePhone.Format"},
	fault.UserHasAccessKeys:     {code: "DeleteConflict.User.AccessKey"},
	fault.UserHasPolicies:       {code: "DeleteConflict.User.Policy"},
	fault.LoginProfileNotFound:  {code: "EntityNotExist.User.LoginProfile"},
	fault.MFADeviceNotFound:     {code: "EntityNotExist.User.MFADevice"},
	fault.PolicyNotFound:        {code: "EntityNotExist.Policy"},
	fault.PolicyExists:          {code: "EntityAlreadyExists.Policy"},
	fault.PolicyNameInvalid:     {code: "InvalidParameter.PolicyName.InvalidChars"},
	fault.PolicyMalformed:       {code: "MalformedPolicyDocument"},
	fault.PolicyAttached:        {code: "DeleteConflict.Policy.User"},
	fault.PolicyHasVersions:     {code: "DeleteConflict.Policy.Version"},
	fault.PolicyVersionNotFound: {code: "EntityNotExist.Policy.Version"},
	fault.PolicyVersionInUse:    {code: "DeleteConflict.Policy.Version.Default"},
	fault.AttachmentExists:      {code: "EntityAlreadyExists.User.Policy"},
	fault.AttachmentNotFound:    {code: "EntityNotExist.User.Policy"},
	fault.GrantNotFound:         {http: 404, code: "EntityNotExist.Grant", message: "The grant does not exist."},
	fault.QuotaUser:             {code: "LimitExceeded.User"},
	fault.QuotaAccessKey:        {code: "LimitExceeded.User.AccessKey"},
	fault.QuotaPolicy:           {code: "LimitExceeded.Policy"},
	fault.QuotaPolicyVersion:    {code: "LimitExceeded.Policy.Version"},
	fault.QuotaAttachedPolicy:   {code: "LimitExceeded.User.Policy"},

	// router interfaces
	fault.RouterInterfaceNotFound:     {code: "InvalidRouterInterfaceId.NotFound"},
	fault.RouterNotFound:              {code: "InvalidRouterId.NotFound"},
	fault.OppositeRegionNotFound:      {code: "InvalidOppositeRegionId.NotFound"},
	fault.RouterInterfaceNotAllowed:   {code: "Forbidden.NotInRouterInterfaceCreateWhitelist"},
	fault.RouterInterfaceRole:         {code: "InvalidRole.ValueNotSupported"},
	fault.RouterInterfaceSpec:         {code: "ParameterMismatch.Role-Spec"},
	fault.RouterInterfaceAccessPoint:  {code: "InvalidAccessPoint.ValueNotAllowed", message: "non-vbr router interface"},
	fault.OppositeAccessPoint:         {code: "InvalidAccessPoint.ValueNotAllowed", message: "opposite"},
	fault.AccessPointMissing:          {http: 400, code: "MissingParameter", message: `The input parameter "AccessPointId" that is mandatory for processing this request is not supplied.`},
	fault.OppositeAccessPointMissing:  {http: 400, code: "MissingParameter", message: `The input parameter "OppositeAccessPointId" that is mandatory for processing this request is not supplied.`},
	fault.AccessPointNotFound:         {code: "InvalidAccessPoint.NotExist"},
	fault.AccessPointMismatch:         {code: "InvalidAccessPoint.NotMatch"},
	fault.OppositeRouterKind:          {code: "InvalidOppositeRouterType.ValueNotSupported"},
	fault.OppositeRouterKindFixed:     {code: "Forbbiden.ModifyIdAndType"},
	fault.InterfaceCheckInvalid:       {http: 400, code: "InvalidParameter", message: `The specified parameter "HealthCheckSourceIp" or "HealthCheckTargetIp" is not valid: %s.`},
	fault.InterfaceCheckRole:          {http: 400, code: "InvalidParameter", message: `The specified parameter "HealthCheckSourceIp" is not valid: an interface of Role InitiatingSide has no health check.`},
	fault.RouterInterfaceInitiates:    {code: "IncorrectRole.NotInitiatingSide"},
	fault.RouterInterfaceStatus:       {code: "IncorrectStatus"},
	fault.RouterInterfaceInTransition: {code: "IncorrectStatus"},
	fault.OppositeNotSet:              {code: "IncorrectOppositeInterfaceInfo.NotSet"},
	fault.OppositeInvalid:             {code: "IncorrectOppositeInterfaceInfo"},
	fault.OppositeRejects:             {code: "RejectedByOppositeInterface"},
	fault.RouterInterfaceHasRoutes:    {code: "DependencyViolation.RouterInterfaceReferedByRouteEntry"},
	fault.VPCHasClassicLinks:          {code: "DependencyViolation.Instance"},
	fault.VPCHasRouterInterfaces:      {code: "DependencyViolation.Instance"},
	fault.QuotaRouterInterface:        {code: "QuotaExceed.RouterInterface"},
	fault.QuotaRouterOfInterfaces:     {code: "LimitationExceed.InterfaceNumberOnRouter"},

	// VPN gateways and customer gateways
	fault.VPNGatewayNotFound:            {code: "InvalidVpnGatewayInstanceId.NotFound"},
	fault.VPNGatewayExists:              {code: "Resource.QuotaFull"},
	fault.VPNGatewayConfiguring:         {code: "VpnGateway.Configuring"},
	fault.VPNGatewayHasConnections:      {code: "DependencyViolation.VpnConnection", message: "VPNGateway"},
	fault.VPNGatewayPrepaid:             {code: "ForbiddenRelease"},
	fault.VPCHasVPNGateway:              {code: "DependencyViolation.Instance"},
	fault.CustomerGatewayNotFound:       {code: "InvalidCustomerGatewayInstanceId.NotFound"},
	fault.CustomerGatewayAddress:        {code: "InvalidIpAddress.WrongFormat"},
	fault.CustomerGatewayExists:         {code: "InvalidIpAddress.AlreadyExist"},
	fault.CustomerGatewayHasConnections: {code: "DependencyViolation.VpnConnection", message: "CustomerGateway"},
	fault.QuotaCustomerGateway:          {code: "Resource.QuotaFull"},

	// SSL-VPN
	fault.VPNNothingOn:            {http: 400, code: "InvalidParameter", message: `The specified parameter "EnableIpsec" is not valid: a VPN gateway has IPsec, SSL-VPN or both; one of EnableIpsec and EnableSsl is true.`},
	fault.VPNGatewayHasSSLServers: {http: 400, code: "DependencyViolation.SslVpnServer", message: "There are SslVpnServers on specified VPNGateway not deleted"},
	fault.SSLUnavailable:          {http: 400, code: "OperationUnsupported", message: "SSL-VPN cannot be had here: %s."},
	fault.SSLOff:                  {http: 400, code: "InvalidParameter", message: `The specified parameter "VpnGatewayId" is not valid: SSL-VPN is off at this VPN gateway.`},
	fault.SSLServerNotFound:       {http: 404, code: "InvalidSslVpnServerId.NotFound", message: "The specified SSL-VPN server does not exist."},
	fault.SSLCertificateNotFound:  {http: 404, code: "InvalidSslVpnClientCertId.NotFound", message: "The specified SSL-VPN client certificate does not exist."},
	fault.SSLCertificateMissing:   {http: 400, code: "MissingParameter", message: `The input parameter "SslVpnClientCertId" that is mandatory for processing this request is not supplied.`},
	fault.SSLPort:                 {http: 400, code: "InvalidParameter", message: `The specified parameter "Port" is not valid: %s.`},
	fault.SSLPool:                 {http: 400, code: "InvalidParameter", message: `The specified parameter "ClientIpPool" is not valid: %s.`},
	fault.SSLLocalSubnets:         {http: 400, code: "InvalidParameter", message: `The specified parameter "LocalSubnet" is not valid: %s.`},
	fault.SSLAuthorityExpired:     {http: 400, code: "OperationUnsupported", message: "No client certificate can be made: %s."},
	fault.SSLLogSpan:              {http: 400, code: "MissingParameter", message: `The input parameter "MinutePeriod" that is mandatory for processing this request is not supplied.`},
	fault.SSLClientNotConnected:   {http: 404, code: "InvalidSslVpnClient.NotFound", message: "The client is not connected."},
	// Of the rules of another cloud's actions; no action of this one comes to them.
	fault.VPNGatewayByUse:   {http: 400, code: "OperationUnsupported", message: "The VPN gateway is charged by use."},
	fault.VPNGatewayExpired: {http: 400, code: "OperationUnsupported", message: "The term of the VPN gateway has ended."},
	fault.VPNGatewaySSLOnly: {http: 400, code: "OperationUnsupported", message: "The VPN gateway has SSL-VPN alone."},
	fault.VPNRemoteInVPC:    {code: "InvalidParam.%s", fill: "RightSubnet", why: true},

	fault.QuotaSSLServer:      {code: "Resource.QuotaFull"},
	fault.QuotaSSLCertificate: {code: "Resource.QuotaFull"},
	fault.QuotaSSLRevocations: {code: "Resource.QuotaFull"},

	// common bandwidth packages
	fault.PackageNotFound:       {code: "InvalidBandwidthPackageId.NotFound"},
	fault.PackageBandwidth:      {http: 400, code: "InvalidParameter", message: `The specified parameter "Bandwidth" is not valid: %s.`},
	fault.PackageRatio:          {http: 400, code: "InvalidParameter", message: `The specified parameter "Ratio" is not valid: %s.`},
	fault.PackageElasticIP:      {code: "InvalidIpInstanceId.NotFound"},
	fault.PackageHasElasticIPs:  {code: "DependencyViolation.ip"},
	fault.InPackage:             {code: "IpInstanceId.AlreadyInBandwidthPackage"},
	fault.NotInPackage:          {http: 400, code: "OperationUnsupported.IpNotInCbwp", message: "The specified EIP is not in the bandwidth package."},
	fault.PackagePrepaid:        {code: "IpInstanceId.ChargeType.NotSupport"},
	fault.QuotaPackage:          {http: 400, code: "QuotaExceeded.CommonBandwidthPackage", message: "Common bandwidth package quota exceeded."},
	fault.QuotaPackageElasticIP: {code: "IpInstanceId.QuotaExceeded"},

	// NAT bandwidth packages
	fault.NATPackageNotFound:   {code: "InvalidBandwidthPackageId.NotFound", message: "not found in our record"},
	fault.NATPackageBandwidth:  {code: "InvalidBandwidthValueNotSupported"},
	fault.NATPackageIPCount:    {code: "InvalidIpCount.ValueNotSupported", message: "IpCount"},
	fault.NATPackageNoAddress:  {code: "InvalidRemovedIpAddresses.NotFound", message: "natPublicIp"},
	fault.NATPackageOtherIP:    {code: "invalidRemovedIpAddresses.NotFound"},
	fault.NATPackageEmpty:      {code: "InvalidIpCount.ValueNotSupported", message: "remove all"},
	fault.NATPackageUsedByDNAT: {code: "DependencyViolation.ForwardEntry"},
	fault.NATPackageUsedBySNAT: {code: "DependencyViolation.SnatEntry"},
	fault.QuotaNATPackageIPs:   {code: "QuotaExceeded.BandwidthPackageIps"},

	// physical connections and border routers
	fault.AccessPointFull:       {code: "InvalidAccessPointId.NotEnabled"},
	fault.LineNotFound:          {code: "InvalidPhysicalConnectionId.NotFound", message: "does not exist in our records"},
	fault.LineWrongState:        {code: "Forbidden.NotAllowedInState"},
	fault.LineUnchangeable:      {code: "InvalidStatus"},
	fault.LineRedundantFixed:    {code: "InvalidStatus"},
	fault.LineRedundantNotFound: {code: "InvalidRedundantPhysicalConnectionId.NotFound"},
	fault.LineRedundantState:    {code: "InvalidRedundantPhysicalConnectionStatus"},
	fault.LineHasRouters:        {code: "Forbidden.VbrAttached"},
	fault.LineHasOwnRouters:     {code: "Forbidden.VBRExists", message: "physical connection owner's"},
	fault.LineHasOthersRouters:  {code: "Forbidden.VBRExists", message: "vbr owner's"},
	fault.LinePortUnknown:       {http: 404, code: "InvalidPort.NotFound", message: "The access point has no such port."},
	fault.LinePortTaken:         {http: 400, code: "InvalidPort.Used", message: "The port is used."},
	fault.QuotaLine:             {code: "QuotaExceeded.pConnPerAP"},
	fault.QuotaLineNotEnabled:   {code: "QuotaExceeded.freePconnPerAP"},

	fault.BorderRouterNotFound:        {code: "InvalidVbrId.NotFound", message: "is not found"},
	fault.BorderRouterWrongState:      {code: "InvalidOperation.OperationNotAllowedInState"},
	fault.BorderRouterInTransition:    {code: "InvalidOperation.OperationNotAllowedInState"},
	fault.BorderRouterNotAllowed:      {code: "Forbidden.OperationNotAllowedByUser"},
	fault.BorderRouterUnavailable:     {http: 400, code: "OperationUnsupported", message: "The border router cannot be had here: %s."},
	fault.BorderRouterLineNotEnabled:  {code: "InvalidPhysicalConnectionId.NotEnabled"},
	fault.BorderRouterOwnerNotFound:   {code: "InvalidVbrOwnerId.NotFound"},
	fault.BorderRouterVLANUsed:        {code: "InvalidVlanId.Used"},
	fault.BorderRouterVLANReused:      {code: "OperationFailed.VlanIdAlreadyInUse"},
	fault.BorderRouterLocalMissing:    {code: "MissingParameter", message: "'LocalGatewayIp'"},
	fault.BorderRouterPeerMissing:     {code: "MissingParameter", message: "'PeerGatewayIp'"},
	fault.BorderRouterSubnetMissing:   {code: "MissingParameter", message: "'PeeringSubnetMask'"},
	fault.BorderRouterAddressMissing:  {code: "MissingParameter", message: "must not be null"},
	fault.BorderRouterAddressInvalid:  {code: "InvalidIP.Malformed"},
	fault.BorderRouterSubnetInvalid:   {code: "InvalidPeeringSubnetMask.Malformed"},
	fault.BorderRouterSubnetMismatch:  {code: "InvalidIp.NotSameSubnet"},
	fault.BorderRouterSubnetRouted:    {http: 400, code: "DependencyViolation.RouteEntry", message: "A route entry of the border router lies in the subnet."},
	fault.BorderRouterVLANNotYours:    {code: "Forbidden.VlanIdNotAllowedByCaller"},
	fault.BorderRouterCircuitNotYours: {code: "Forbidden.CircuitCodeNotAllowedByCaller", message: "CircuitCode parameter"},
	fault.BorderRouterLocalNotYours:   {code: "Forbidden.LocalGatewayIpNotAllowedByCaller"},
	fault.BorderRouterPeerNotYours:    {code: "Forbidden.PeerGatewayIpNotAllowedByCaller"},
	fault.BorderRouterSubnetNotYours:  {code: "Forbidden.PeeringSubnetMaskNotAllowedByCaller"},
	fault.BorderRouterNameNotYours:    {code: "Forbidden.NameNotAllowedByCaller"},
	fault.BorderRouterDescNotYours:    {code: "Forbidden.DescriptionNotAllowedByCaller"},
	fault.BorderRouterHasInterfaces:   {code: "InvalidOperation.RouterInterfaceNotDeleted"},
	fault.BorderRouterHasRoutes:       {http: 400, code: "DependencyViolation.RouteEntry", message: "The border router still has route entries."},
	fault.BorderRouteState:            {code: "InvalidVBRStatus"},
	fault.BorderRouteListed:           {code: "InvalidRouterType"},
	fault.QuotaBorderRouter:           {code: "QuotaExceeded.vbrPerConn"},
	fault.QuotaBorderRouterOfAccount:  {code: "QuotaExceeded.freevbr"},

	// global acceleration
	fault.AccelerationNotFound:       {code: "InvalidGlobalAccelerationInstanceId.NotFound"},
	fault.AccelerationService:        {code: "InvalidServiceLocation.Mismatch"},
	fault.AccelerationBandwidth:      {code: "InvalidBandwidth.ValueNotSupported"},
	fault.AccelerationStatus:         {code: "IncorrectGlobalAccelerationInstanceIdStatus"},
	fault.AccelerationInTransition:   {code: "IncorrectGlobalAccelerationInstanceIdStatus"},
	fault.BackendNotFound:            {code: "InvalidBackendServerId.NotFound"},
	fault.BackendRegionNotFound:      {code: "InvalidBackendServerRegionId.NotFound"},
	fault.BackendRegionOutside:       {code: "InvalidBackendServerRegionId.Mismatch"},
	fault.BackendRegionSame:          {code: "InvalidBackendServerRegionId.EqualRegionId"},
	fault.QuotaAcceleration:          {http: 400, code: "QuotaExceeded.GlobalAccelerationInstance", message: "Global acceleration instance quota exceeded."},
	fault.QuotaAccelerationsOfServer: {code: "CountLimitExceeded.AssociatedGlobalAccelerationInstanceIdOnBackendServer"},

	// tags
	fault.TagsMissing:         {http: 400, code: "MissingParameter", message: `The input parameter "Tag.1.Key" that is mandatory for processing this request is not supplied.`},
	fault.TagDuplicate:        {http: 400, code: "InvalidParameter", message: `The specified parameter "Tag" is not valid. Reason: tags are Tag.1 to Tag.20 without a gap, and no key stands twice.`},
	fault.TagQueryEmpty:       {http: 400, code: "MissingParameter", message: `The input parameter "ResourceId.1" that is mandatory for processing this request is not supplied.`},
	fault.QuotaTag:            {code: "Resource.QuotaFull"},
	fault.QuotaVPNConnection:  {code: "Resource.QuotaFull"},
	fault.QuotaVPNRoute:       {code: "Resource.QuotaFull"},
	fault.QuotaVPNPolicyRoute: {code: "QuotaExceeded.PolicyBasedRoute"},
}

// explainedBlocks are the VPN actions' answers about blocks of addresses: their
// tables of errors have no codes for them, so that the words are ours.
var explainedBlocks = map[fault.Reason]refusal{
	fault.RouteDestination: {http: 400, code: "InvalidCidrBlock", message: "Specified CIDR block is not valid: %s."},
}

// actionFaults are the answers of single actions that document another code
// for a reason than the rest does.
var actionFaults = map[string]map[fault.Reason]refusal{
	"CreatePhysicalConnection":           {fault.AccessPointNotFound: {code: "InvalidAccessPointId.NotFound"}},
	"CreateVirtualBorderRouter":          {fault.LineNotFound: {code: "InvalidPhysicalConnectionId.NotFound"}},
	"DeleteVirtualBorderRouter":          {fault.BorderRouterNotFound: {code: "InvalidVbrId.NotFound"}},
	"ModifyVirtualBorderRouterAttribute": {fault.BorderRouterAddressInvalid: {code: "InvalidIp.Malformed"}},
	"ram:UpdateUser": {
		fault.UserNameInvalid: {code: "InvalidParameter.NewUserName.InvalidChars"},
		fault.UserEmail:       {code: "InvalidParameter.NewEmail.Format"},
		fault.UserMobilePhone: {code: "InvalidParameter.NewMobilePhone.Format"},
	},
	"ram:UpdateAccessKey": {fault.AccessKeyNotFound: {code: "EntityNotExist.User.AccessKey"}},
	"ram:DeleteAccessKey": {fault.AccessKeyNotFound: {code: "EntityNotExist.User.AccessKey"}},
	"DescribeBandwidthPackagePublicIpMonitorData": {
		fault.TimePointInvalid: {http: 400, code: "InvalidParameter", message: `The specified parameter "StartTime" or "EndTime" is not valid.`},
		fault.SpanInvalid:      {http: 400, code: "InvalidParameter", message: `The specified parameter "EndTime" is not valid.`},
	},
	"QueryMetricList":          {fault.SpanInvalid: {http: 400, code: "InvalidParameter", message: `The specified parameter "EndTime" is not valid.`}},
	"DescribeVpnSslServerLogs": {fault.SpanInvalid: {http: 400, code: "InvalidParameter", message: `The specified parameter "To" is not valid.`}},
	"AssociateHaVip":           {fault.HaVipNotFound: {code: "InvalidHaVipId.NotFound"}},
	"UnassociateHaVip":         {fault.HaVipNotFound: {code: "InvalidHaVipId.NotFound"}},
	"ModifyHaVipAttribute":     {fault.HaVipNotFound: {code: "InvalidHaVipId.NotFound"}},
	"DeleteHaVip":              {fault.HaVipNotFound: {code: "InvalidHaVipId.NotFound"}},
	"CreateVpc":                {fault.CIDRMalformed: {code: "InvalidParameter", message: "CIDR block is not valid"}},
	"DescribeVpcs":             {fault.RegionNotFound: {code: "Forbidden.RegionNotFound"}},
	"DescribeVRouters":         {fault.RegionNotFound: {code: "Forbidden.RegionNotFound"}},
	"DescribeEipAddresses":     {fault.RegionNotFound: {code: "Forbidden.RegionNotFound"}},
	"DescribeVSwitches":        {fault.VPCNotFound: {code: "Forbidden.VpcNotFound"}},
	"DeleteRouterInterface":    {fault.RouterInterfaceNotFound: {code: "InvalidInstanceId.NotFound"}},
	"ModifyRouterInterfaceAttribute": {
		fault.InterfaceCheckInvalid: {code: "InvalidParam.ModifyRouterInterface"},
		fault.InterfaceCheckRole:    {code: "LinkRole.NotSupport"},
	},
	"CreateRouteEntry": {
		fault.HaVipNotFound:       {code: "InvalidHaViNpId.NotFound"},
		fault.RouteInTransition:   {code: "IncorretRouteEntryStatus"},
		fault.VSwitchInTransition: {code: "IncorretRouteEntryStatus"},
	},
	"DeleteRouteEntry": {
		fault.VSwitchInTransition: {code: "IncorrectRouteEntryStatus"},
	},
	"AssociateEipAddress": {
		fault.InstanceNotFound:   {code: "InvalidInstanId.NotFound"},
		fault.NATGatewayNotFound: {code: "InvalidInstanId.NotFound"},
	},
	"UnassociateEipAddress": {
		fault.NATGatewayNotFound: {code: "InvalidInstanceId.NotFound"},
	},
	"DescribeCustomerGateways": {
		// Of the older document, which alone knows the case.
		fault.CustomerGatewayNotFound: {code: "InvalidCustomerGatewayId.NotFound"},
	},
	"AssociateGlobalAccelerationInstance": {
		fault.AccelerationInTransition: {code: "TaskConflict.AssociateGlobalAccelerationInstance"},
	},
	"UntagResources": {
		fault.TagsMissing: {http: 400, code: "MissingParameter", message: `The input parameter "TagKey.1" that is mandatory for processing this request is not supplied.`},
	},
	"CreateBandwidthPackage": {
		fault.ZoneNotFound:             {code: "InvalidZoneId.NotFound", message: "not exists"},
		fault.NATGatewayNotFound:       {code: "NATGW_NOT_EXIST"},
		fault.TooManyBandwidthPackages: {code: "QuotaExceeded.BandwidthPackageCountOnNatGateway"},
		fault.NoFreeElasticIP:          {code: "ZONE_NO_AVAILABLE_IP"},
		fault.ParameterNotApplicable:   {http: 403, code: "Forbidden.BandwidthPackage", message: "This account may not make NAT bandwidth packages; bind elastic IPs to the NAT gateway instead."},
	},
	"DeleteBandwidthPackage": {
		fault.NATPackageUsedBySNAT: {code: "DependencyViolation.SnateEntry"},
	},
	"DeleteNatGateway": {
		// The documents' only code for something that hangs on the gateway.
		fault.GatewayHasDependents: {code: "DependencyViolation.BandwidthPackages"},
	},
	"CreateForwardEntry": {
		fault.NATGatewayNotFound: {code: "Invalid.natgwNotExist"},
	},
	"ModifyForwardEntry": {
		fault.NotOnGateway:           {code: "InvalidExternalIp.NotFound"},
		fault.UsedBySNAT:             {code: "Forbidden.ExternalIpUsedInSnatTable"},
		fault.InternalIPHasElasticIP: {code: "Forbidden.Already.Bounded"},
		fault.DuplicateExternal:      {code: "ForwardEntry.Duplicated"},
		fault.DuplicateInternal:      {code: "Forbidden.InternalIpAndInternalPortDuplicate"},
	},
	"DeleteForwardEntry": {
		fault.ForwardEntryInTransition: {code: "IncorrectForwardEntryStatus"},
	},
	"CreateSnatEntry": {
		fault.InternalIPHasElasticIP: {code: "Forbidden", message: "already bind eip"},
		fault.NotOnGateway:           {code: "InvalidSnatIp.NotFound"},
		fault.CIDRMalformed:          {code: "INVALID_PARAMETER"},
		fault.ParameterInvalid:       {code: "INVALID_PARAMETER"},
		fault.VSwitchHasHaVips:       {code: "Forbidden.SourceVSwitchId.IncludeHaVip"},
	},
	"ModifySnatEntry": {
		fault.NotOnGateway:          {code: "InvalidSnatIp.NotFound"},
		fault.SNATEntryInTransition: {code: "IncorretSnatEntryStatus"},
	},
	"CreateVpnConnection":          explainedBlocks,
	"ModifyVpnConnectionAttribute": explainedBlocks,
	"CreateVpnRouteEntry":          explainedBlocks,
	"CreateVpnPbrRouteEntry": {
		fault.QuotaVPNPolicyRoute: {code: "Resource.QuotaFull"},
		fault.RouteDestination:    explainedBlocks[fault.RouteDestination],
	},
	"DescribeVpnConnections": {
		fault.VPNGatewayNotFound:      {code: "InvalidVpnGatewayId.NotFound"},
		fault.CustomerGatewayNotFound: {code: "InvalidCustomerGatewayId.NotFound"},
	},
	"DeleteSnatEntry": {
		fault.SNATEntryInTransition: {code: "IncorretSnatEntryStatus"},
	},
}
