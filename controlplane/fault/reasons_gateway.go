package fault

// VPN gateways and customer gateways.
const (
	VPNGatewayNotFound            Reason = "VPN gateway not found"
	VPNGatewayExists              Reason = "VPC already has a VPN gateway"
	VPNGatewayConfiguring         Reason = "VPN gateway in transition"
	VPNGatewayHasConnections      Reason = "VPN gateway has connections"
	VPNGatewayPrepaid             Reason = "VPN gateway is prepaid"
	VPCHasVPNGateway              Reason = "VPC has a VPN gateway"
	CustomerGatewayNotFound       Reason = "customer gateway not found"
	CustomerGatewayAddress        Reason = "customer gateway address not allowed"
	CustomerGatewayExists         Reason = "customer gateway with this address exists"
	CustomerGatewayHasConnections Reason = "customer gateway has connections"
	QuotaCustomerGateway          Reason = "customer gateway quota"
)

// Tags.
const (
	TagsMissing   Reason = "no tag given"
	TagDuplicate  Reason = "tag key given twice"
	TagQueryEmpty Reason = "neither resources nor tags given"
	QuotaTag      Reason = "tag quota"
)
