package tencent3

import (
	"net/netip"
	"strings"

	"sluice/controlplane/identity"
	"sluice/controlplane/networkinterface"
	"sluice/controlplane/planetest"
	"sluice/controlplane/resource"
)

// What a scene has of network interfaces and elastic IPs: <eni> has two addresses and is
// attached to nothing; <attached> has two and is at <host>; <second> has the elastic IP
// <bound>, and <attached>'s second address <bound eni>; <third> has an ordinary public address.
func init() {
	moreScene = append(moreScene, func(s *scene) {
		must := func(err error) {
			s.t.Helper()
			if err != nil {
				s.t.Fatal(err)
			}
		}
		make := func(c identity.Caller, vpc, subnet string, addresses ...string) string {
			s.t.Helper()
			in := networkinterface.NewInterface{Region: planetest.Region, VPC: vpc, VSwitch: subnet, Name: "nic"}
			for i, a := range addresses {
				in.Addresses = append(in.Addresses, networkinterface.NewAddress{Address: netip.MustParseAddr(a), Primary: i == 0})
			}
			n, err := s.Interfaces.Create(ctx, c, in)
			must(err)
			return n.ID
		}
		n := s.named
		n["<host>"] = s.host
		n["<second>"], n["<third>"] = s.Instance(s.subnet, "10.8.1.11", resource.Host), s.Instance(s.subnet, "10.8.1.12", resource.Host)
		n["<lb>"] = s.Instance(s.subnet, "10.8.1.13", resource.LoadBalancer)
		n["<eni>"] = make(planetest.Alice, s.vpc, s.subnet, "10.8.1.20", "10.8.1.21")
		n["<attached>"] = make(planetest.Alice, s.vpc, s.subnet, "10.8.1.30", "10.8.1.31")
		n["<elsewhere>"] = make(planetest.Alice, s.vpc, s.VSwitch(planetest.Alice, s.vpc, "10.8.3.0/24"), "10.8.3.20")
		must(s.Interfaces.Attach(ctx, planetest.Alice, planetest.Region, n["<attached>"], s.host))
		primary, ok := s.DB.View().PrimaryInterface(s.host)
		if !ok {
			s.t.Fatal("the host has no primary interface")
		}
		n["<primary>"] = primary.ID
		for _, name := range []string{"<eip>", "<bound>", "<bound eni>"} {
			n[name] = s.NewEIP(planetest.Alice).ID
		}
		s.Bind(planetest.Alice, n["<bound>"], resource.BoundToHost, n["<second>"])
		must(s.EIP.Associate(ctx, planetest.Alice, n["<bound eni>"], resource.Binding{Type: resource.BoundToInterface, ID: n["<attached>"], Address: netip.MustParseAddr("10.8.1.31")}))
		must(s.EIP.Give(ctx, n["<third>"], netip.Addr{}))
		n["<their eni>"] = make(planetest.Bob, s.theirs.VPC, s.theirSubnet, "10.8.1.20", "10.8.1.21")
		n["<their host>"], n["<their eip>"] = s.Instance(s.theirSubnet, "10.8.1.40", resource.Host), s.NewEIP(planetest.Bob).ID
	})
	moreGood = append(moreGood, func(s *scene, action string) map[string]string {
		n := s.named
		switch action {
		case "CreateNetworkInterface":
			return map[string]string{"VpcId": s.vpc, "SubnetId": s.subnet, "NetworkInterfaceName": "new", "PrivateIpAddresses.0.PrivateIpAddress": "10.8.1.50", "PrivateIpAddresses.0.Primary": "true"}
		case "DeleteNetworkInterface":
			return map[string]string{"NetworkInterfaceId": n["<eni>"]}
		case "DescribeNetworkInterfaces":
			return map[string]string{"NetworkInterfaceIds.0": n["<eni>"]}
		case "ModifyNetworkInterfaceAttribute":
			return map[string]string{"NetworkInterfaceId": n["<eni>"], "NetworkInterfaceName": "other"}
		case "AttachNetworkInterface":
			return map[string]string{"NetworkInterfaceId": n["<eni>"], "InstanceId": s.host}
		case "DetachNetworkInterface":
			return map[string]string{"NetworkInterfaceId": n["<attached>"], "InstanceId": s.host}
		case "MigrateNetworkInterface":
			return map[string]string{"NetworkInterfaceId": n["<attached>"], "SourceInstanceId": s.host, "DestinationInstanceId": n["<second>"]}
		case "AssignPrivateIpAddresses":
			return map[string]string{"NetworkInterfaceId": n["<eni>"], "SecondaryPrivateIpAddressCount": "2"}
		case "UnassignPrivateIpAddresses":
			return map[string]string{"NetworkInterfaceId": n["<eni>"], "PrivateIpAddresses.0.PrivateIpAddress": "10.8.1.21"}
		case "MigratePrivateIpAddress":
			return map[string]string{"SourceNetworkInterfaceId": n["<eni>"], "DestinationNetworkInterfaceId": n["<attached>"], "PrivateIpAddress": "10.8.1.21"}
		case "ModifyPrivateIpAddressesAttribute":
			return map[string]string{"NetworkInterfaceId": n["<eni>"], "PrivateIpAddresses.0.PrivateIpAddress": "10.8.1.21", "PrivateIpAddresses.0.Description": "text"}
		case "AssociateAddress":
			return map[string]string{"AddressId": n["<eip>"], "InstanceId": s.host}
		case "DisassociateAddress":
			return map[string]string{"AddressId": n["<bound>"], "ReallocateNormalPublicIp": "TRUE"}
		case "DescribeAddresses":
			return map[string]string{"AddressIds.0": n["<eip>"]}
		case "ModifyAddressAttribute":
			return map[string]string{"AddressId": n["<eip>"], "AddressName": "other"}
		case "ReleaseAddresses":
			return map[string]string{"AddressIds.0": n["<eip>"]}
		case "TransformAddress":
			return map[string]string{"InstanceId": n["<third>"]}
		}
		return nil // AllocateAddresses, DescribeAddressQuota
	})
	for _, name := range []string{"NetworkInterfaceId", "NetworkInterfaceIds.0", "SourceNetworkInterfaceId", "DestinationNetworkInterfaceId"} {
		moreTheirs[name] = func(s *scene) string { return s.named["<their eni>"] }
	}
	for _, name := range []string{"InstanceId", "SourceInstanceId", "DestinationInstanceId"} {
		moreTheirs[name] = func(s *scene) string { return s.named["<their host>"] }
	}
	for _, name := range []string{"AddressId", "AddressIds.0"} {
		moreTheirs[name] = func(s *scene) string { return s.named["<their eip>"] }
	}

	eni := func(action string) []provoked {
		return []provoked{
			{action, "InvalidParameterValue.Malformed", nil, []string{"NetworkInterfaceId", "eni"}},
			{action, "ResourceNotFound", nil, []string{"NetworkInterfaceId", "eni-none"}},
			{action, "ResourceNotFound", nil, []string{"Region", planetest.Elsewhere}},
		}
	}
	for _, action := range []string{"DeleteNetworkInterface", "ModifyNetworkInterfaceAttribute", "AttachNetworkInterface", "DetachNetworkInterface", "MigrateNetworkInterface",
		"AssignPrivateIpAddresses", "UnassignPrivateIpAddresses", "ModifyPrivateIpAddressesAttribute"} {
		matrix = append(matrix, eni(action)...)
	}
	second := "PrivateIpAddresses.1.PrivateIpAddress"
	stalled := func(s *scene) {
		s.Dataplane(planetest.Stalls)
		if err := s.Interfaces.Attach(ctx, planetest.Alice, planetest.Region, s.named["<eni>"], s.host); err != nil {
			s.t.Fatal(err)
		}
	}
	matrix = append(matrix, []provoked{
		{"CreateNetworkInterface", "InvalidParameterValue.LimitExceeded", quota("addresses_per_network_interface"), []string{"SecondaryPrivateIpAddressCount", "1"}},
		{"CreateNetworkInterface", "InvalidParameterValue.Malformed", nil, []string{"SubnetId", "subnet"}},
		{"CreateNetworkInterface", "InvalidParameterValue.Range", nil, []string{second, "10.8.2.50"}},
		{"CreateNetworkInterface", "InvalidParameterValue.Range", nil, []string{"SecondaryPrivateIpAddressCount", "-1"}},
		{"CreateNetworkInterface", "InvalidParameterValue.Reserved", nil, []string{second, "10.8.1.253"}},
		{"CreateNetworkInterface", "ResourceInUse", nil, []string{second, "10.8.1.10"}},
		{"CreateNetworkInterface", "InvalidParameterValue.Duplicate", nil, []string{second, "10.8.1.50"}},
		{"CreateNetworkInterface", "InvalidParameterValue", nil, []string{second, "10.8.1.51", "PrivateIpAddresses.1.Primary", "true"}},
		{"CreateNetworkInterface", "MissingParameter", nil, []string{"PrivateIpAddresses.0.PrivateIpAddress", ""}},
		{"CreateNetworkInterface", "UnsupportedOperation", nil, []string{"PrivateIpAddresses.0.AddressId", "<eip>"}},
		{"CreateNetworkInterface", "InvalidParameterValue", nil, []string{"NetworkInterfaceName", strings.Repeat("名", 21)}},
		{"CreateNetworkInterface", "LimitExceeded", quota("network_interfaces"), nil},
		{"CreateNetworkInterface", "ResourceNotFound", nil, []string{"VpcId", "vpc-none"}},
		{"CreateNetworkInterface", "ResourceNotFound", func(s *scene) { s.named["<other>"] = s.VPC(planetest.Alice, "10.9.0.0/16").VPC }, []string{"VpcId", "<other>"}},

		{"DeleteNetworkInterface", "ResourceInUse", nil, []string{"NetworkInterfaceId", "<attached>"}},
		{"DeleteNetworkInterface", "UnsupportedOperation", nil, []string{"NetworkInterfaceId", "<primary>"}},
		{"DeleteNetworkInterface", "ResourceUnavailable", func(s *scene) {
			s.Dataplane(planetest.Stalls)
			if err := s.Interfaces.Detach(ctx, planetest.Alice, planetest.Region, s.named["<attached>"], s.host); err != nil {
				s.t.Fatal(err)
			}
			if err := s.EIP.Disassociate(ctx, planetest.Alice, planetest.Region, s.named["<bound eni>"], false); err != nil {
				s.t.Fatal(err)
			}
		}, []string{"NetworkInterfaceId", "<attached>"}},

		{"DescribeNetworkInterfaces", "InvalidParameter.Coexist", nil, []string{"Filters.0.Name", "vpc-id", "Filters.0.Values.0", "x"}},
		{"DescribeNetworkInterfaces", "InvalidParameterValue.Malformed", nil, []string{"NetworkInterfaceIds.0", "?"}},
		{"DescribeNetworkInterfaces", "ResourceNotFound", nil, []string{"NetworkInterfaceIds.1", "eni-none"}},

		{"AttachNetworkInterface", "ResourceNotFound", nil, []string{"InstanceId", "<lb>"}},
		{"AttachNetworkInterface", "ResourceNotFound", nil, []string{"InstanceId", "Web_1.rack-2"}}, // as operators may name them
		{"AttachNetworkInterface", "InvalidParameterValue.Malformed", nil, []string{"InstanceId", "-web"}},
		{"TransformAddress", "InvalidInstanceId.NotFound", nil, []string{"InstanceId", "i-web-1"}},
		{"AttachNetworkInterface", "ResourceInUse", nil, []string{"NetworkInterfaceId", "<attached>"}},
		{"AttachNetworkInterface", "UnsupportedOperation.VpcMismatch", func(s *scene) {
			other := s.VPC(planetest.Alice, "10.9.0.0/16").VPC
			s.named["<far>"] = s.Instance(s.VSwitch(planetest.Alice, other, "10.9.1.0/24"), "", resource.Host)
		}, []string{"InstanceId", "<far>"}},
		{"AttachNetworkInterface", "UnsupportedOperation", func(s *scene) { s.InstanceState(s.host, resource.Starting) }, nil},
		{"AttachNetworkInterface", "LimitExceeded", func(s *scene) { s.Settings.Quotas["network_interfaces_per_instance"] = 2 }, nil},
		{"AttachNetworkInterface", "ResourceUnavailable", func(s *scene) {
			s.Dataplane(planetest.Stalls)
			if err := s.Interfaces.Detach(ctx, planetest.Alice, planetest.Region, s.named["<attached>"], s.host); err != nil {
				s.t.Fatal(err)
			}
		}, []string{"NetworkInterfaceId", "<attached>"}},
		{"DetachNetworkInterface", "UnsupportedOperation", nil, []string{"NetworkInterfaceId", "<primary>"}},
		{"DetachNetworkInterface", "UnsupportedOperation", nil, []string{"InstanceId", "<second>"}},
		{"MigrateNetworkInterface", "UnsupportedOperation", nil, []string{"NetworkInterfaceId", "<primary>"}},
		{"MigrateNetworkInterface", "InvalidParameterValue.Duplicate", nil, []string{"DestinationInstanceId", "<host>"}},
		{"MigrateNetworkInterface", "ResourceNotFound", nil, []string{"DestinationInstanceId", "i-none"}},

		{"AssignPrivateIpAddresses", "ResourceInsufficient", func(s *scene) {
			subnet := s.VSwitch(planetest.Alice, s.vpc, "10.8.4.0/28")
			n, err := s.Interfaces.Create(ctx, planetest.Alice, networkinterface.NewInterface{Region: planetest.Region, VPC: s.vpc, VSwitch: subnet})
			if err != nil {
				s.t.Fatal(err)
			}
			s.named["<narrow>"] = n.ID
		}, []string{"NetworkInterfaceId", "<narrow>", "SecondaryPrivateIpAddressCount", "20"}},
		{"AssignPrivateIpAddresses", "MissingParameter", nil, []string{"SecondaryPrivateIpAddressCount", ""}},
		{"AssignPrivateIpAddresses", "LimitExceeded", nil, []string{"SecondaryPrivateIpAddressCount", "29"}},
		{"AssignPrivateIpAddresses", "UnsupportedOperation", nil, []string{"PrivateIpAddresses.0.PrivateIpAddress", "10.8.1.60", "PrivateIpAddresses.0.Primary", "true"}},
		{"UnassignPrivateIpAddresses", "UnsupportedOperation", nil, []string{"PrivateIpAddresses.0.PrivateIpAddress", "10.8.1.20"}},
		{"UnassignPrivateIpAddresses", "ResourceNotFound", nil, []string{"PrivateIpAddresses.0.PrivateIpAddress", "10.8.1.31"}},
		{"UnassignPrivateIpAddresses", "InvalidParameterValue.Duplicate", nil, []string{second, "10.8.1.21"}},
		{"UnassignPrivateIpAddresses", "MissingParameter", nil, []string{"PrivateIpAddresses.0.PrivateIpAddress", ""}},
		{"MigratePrivateIpAddress", "UnauthorizedOperation.AttachmentNotFound", nil, []string{"PrivateIpAddress", "10.8.1.99"}},
		{"MigratePrivateIpAddress", "UnauthorizedOperation.PrimaryIp", nil, []string{"PrivateIpAddress", "10.8.1.20"}},
		{"MigratePrivateIpAddress", "UnsupportedOperation", nil, []string{"DestinationNetworkInterfaceId", "<elsewhere>"}},
		{"MigratePrivateIpAddress", "ResourceNotFound", nil, []string{"DestinationNetworkInterfaceId", "eni-none"}},
		{"MigratePrivateIpAddress", "InvalidParameterValue.Duplicate", nil, []string{"DestinationNetworkInterfaceId", "<eni>"}},
		{"ModifyPrivateIpAddressesAttribute", "UnsupportedOperation.InvalidState", stalled, nil},
		{"ModifyPrivateIpAddressesAttribute", "UnsupportedOperation", nil, []string{"PrivateIpAddresses.0.IsWanIpBlocked", "true"}},
		{"ModifyPrivateIpAddressesAttribute", "ResourceNotFound", nil, []string{"PrivateIpAddresses.0.PrivateIpAddress", "10.8.1.99"}},
		{"ModifyNetworkInterfaceAttribute", "ResourceNotFound", nil, []string{"SecurityGroupIds.0", "sg-none"}},

		{"AllocateAddresses", "AddressQuotaLimitExceeded", quota("elastic_ips"), nil},
		{"AllocateAddresses", "AddressQuotaLimitExceeded.DailyAllocate", quota("elastic_ips_allocated_per_day"), []string{"AddressCount", "2"}},
		{"AllocateAddresses", "InvalidParameterValue.Range", nil, []string{"AddressCount", "0"}},
		{"AllocateAddresses", "ResourceInsufficient", nil, []string{"Region", planetest.Unserved}},
		{"AssociateAddress", "InvalidAddressId.NotFound", nil, []string{"AddressId", "eip-none"}},
		{"AssociateAddress", "InvalidAddressIdStatus.NotPermit", nil, []string{"AddressId", "<bound>"}},
		{"AssociateAddress", "InvalidInstance.NotSupported", func(s *scene) { s.InstanceState(s.host, resource.Starting) }, nil},
		{"AssociateAddress", "InvalidInstanceId.AlreadyBindEip", nil, []string{"InstanceId", "<second>"}},
		{"AssociateAddress", "InvalidInstanceId.NotFound", nil, []string{"InstanceId", "i-none"}},
		{"AssociateAddress", "InvalidNetworkInterfaceId.NotFound", nil, []string{"InstanceId", "", "NetworkInterfaceId", "eni-none", "PrivateIpAddress", "10.8.1.20"}},
		{"AssociateAddress", "InvalidNetworkInterfaceId.NotFound", nil, []string{"InstanceId", "", "NetworkInterfaceId", "<eni>", "PrivateIpAddress", "10.8.1.31"}},
		{"AssociateAddress", "InvalidParameterConflict", nil, []string{"NetworkInterfaceId", "<eni>", "PrivateIpAddress", "10.8.1.20"}},
		{"AssociateAddress", "InvalidPrivateIpAddress.AlreadyBindEip", nil, []string{"InstanceId", "", "NetworkInterfaceId", "<attached>", "PrivateIpAddress", "10.8.1.31"}},
		{"AssociateAddress", "MissingParameter", nil, []string{"InstanceId", "", "NetworkInterfaceId", "<eni>"}},
		{"AssociateAddress", "MissingParameter", nil, []string{"InstanceId", "", "PrivateIpAddress", "10.8.1.20"}},
		{"AssociateAddress", "MissingResourceId", nil, []string{"InstanceId", ""}},
		{"DescribeAddresses", "InvalidParameter", nil, []string{"Filters.0.Name", "address-name", "Filters.0.Values.0", "x"}},
		{"DescribeAddresses", "InvalidParameter", nil, []string{"AddressIds.0", "", "Filters.0.Name", "address-ip", "Filters.0.Values.0", "x"}},
		{"AllocateAddresses", "InvalidParameterValue", nil, []string{"AddressType", "AnycastEIP"}},
		{"DisassociateAddress", "InvalidAddressId.NotFound", nil, []string{"AddressId", "eip-none"}},
		{"DisassociateAddress", "InvalidAddressIdStatus.NotPermit", nil, []string{"AddressId", "<eip>"}},
		{"DisassociateAddress", "InvalidParameter", nil, []string{"AddressId", "<bound eni>"}},
		{"DisassociateAddress", "LimitExceeded", func(s *scene) { s.Settings.Quotas["public_addresses_reassigned_per_day"] = 0 }, nil},
		{"ModifyAddressAttribute", "InvalidAddressId.NotFound", nil, []string{"AddressId", "eip-none"}},
		{"ModifyAddressAttribute", "InvalidParameterValue", nil, []string{"AddressName", "a\x07"}},
		{"ModifyAddressAttribute", "InvalidParameterValue.TooLong", nil, []string{"AddressName", strings.Repeat("名", 21)}},
		{"ReleaseAddresses", "InvalidAddressId.NotFound", nil, []string{"AddressIds.1", "eip-none"}},
		{"ReleaseAddresses", "InvalidAddressState", nil, []string{"AddressIds.1", "<bound>"}},
		{"ReleaseAddresses", "InvalidParameterValue.Duplicate", nil, []string{"AddressIds.1", "<eip>"}},
		{"ReleaseAddresses", "MissingParameter", nil, []string{"AddressIds.0", ""}},
		{"TransformAddress", "AddressQuotaLimitExceeded", quota("elastic_ips"), nil},
		{"TransformAddress", "AddressQuotaLimitExceeded.DailyAllocate", func(s *scene) { s.Settings.Quotas["elastic_ips_allocated_per_day"] = 0 }, nil},
		{"TransformAddress", "InvalidInstance.NotSupported", nil, []string{"InstanceId", "<second>"}},
		{"TransformAddress", "InvalidInstance.NotSupported", nil, []string{"InstanceId", "<lb>"}},
		{"TransformAddress", "InvalidInstanceId.NotFound", nil, []string{"InstanceId", "i-none"}},
	}...)
	for _, action := range []string{"AssociateAddress", "DisassociateAddress"} {
		explained[action+" InvalidAddressId.Blocked"] = "nobody blocks elastic IPs here"
	}
	explained["AssociateAddress InvalidAddressIdState.InArrears"] = "nothing is charged here"
	explained["DisassociateAddress InvalidInstance.NotSupported"] = "what an elastic IP could be bound to, it can be unbound from"
	explained["DisassociateAddress InvalidInstanceId.NotFound"] = "an instance stays in the inventory while an elastic IP is bound to it"
	explained["DescribeAddressQuota InternalServerError"] = "what fails inside is InternalError, of every action"
}
