package fault

// VPN gateways and customer gateways.
const (
	VPNGatewayNotFound            Reason = "VPN gateway not found"
	VPNGatewayExists              Reason = "VPC already has a VPN gateway"
	VPNGatewayConfiguring         Reason = "VPN gateway in transition"
	VPNGatewayHasConnections      Reason = "VPN gateway has connections"
	VPNGatewayPrepaid             Reason = "VPN gateway is prepaid"
	VPNGatewayByUse               Reason = "VPN gateway is charged by use"
	VPNGatewayExpired             Reason = "prepaid term of the VPN gateway has ended"
	VPNGatewaySSLOnly             Reason = "VPN gateway has SSL-VPN alone"
	VPNRemoteInVPC                Reason = "remote subnet overlaps the VPC"
	VPCHasVPNGateway              Reason = "VPC has a VPN gateway"
	CustomerGatewayNotFound       Reason = "customer gateway not found"
	CustomerGatewayAddress        Reason = "customer gateway address not allowed"
	CustomerGatewayExists         Reason = "customer gateway with this address exists"
	CustomerGatewayHasConnections Reason = "customer gateway has connections"
	QuotaCustomerGateway          Reason = "customer gateway quota"
)

// SSL-VPN.
const (
	VPNNothingOn            Reason = "VPN gateway with neither IPsec nor SSL-VPN"
	VPNGatewayHasSSLServers Reason = "VPN gateway has SSL-VPN servers"
	SSLUnavailable          Reason = "dataplane can't run SSL-VPN servers"
	SSLOff                  Reason = "SSL-VPN is off at the VPN gateway"
	SSLServerNotFound       Reason = "SSL-VPN server not found"
	SSLCertificateNotFound  Reason = "SSL-VPN client certificate not found"
	SSLCertificateMissing   Reason = "SSL-VPN client certificate not named"
	SSLPort                 Reason = "port not allowed for an SSL-VPN server"
	SSLPool                 Reason = "client address pool not allowed"
	SSLLocalSubnets         Reason = "local subnets of an SSL-VPN server not allowed"
	SSLAuthorityExpired     Reason = "authority of the SSL-VPN server has expired"
	SSLLogSpan              Reason = "span of an SSL-VPN server's log not given"
	SSLClientNotConnected   Reason = "SSL-VPN client is not connected"
	QuotaSSLServer          Reason = "SSL-VPN server quota"
	QuotaSSLCertificate     Reason = "SSL-VPN client certificate quota"
	QuotaSSLRevocations     Reason = "SSL-VPN server has too many deleted certificates"
)

// Tags.
const (
	TagsMissing   Reason = "no tag given"
	TagDuplicate  Reason = "tag key given twice"
	TagQueryEmpty Reason = "neither resources nor tags given"
	QuotaTag      Reason = "tag quota"
)
