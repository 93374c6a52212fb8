package fault

// Reasons that are about network interfaces and their private addresses.
const (
	InterfaceNotFound     Reason = "network interface not found"
	InterfaceInTransition Reason = "network interface in transition"
	InterfaceHasElasticIP Reason = "network interface has an elastic IP"
	InterfaceAttached     Reason = "network interface is attached to an instance"
	InterfaceNotAttached  Reason = "network interface is not attached to the instance"
	InterfacePrimary      Reason = "network interface is an instance's primary one"
	InterfaceOtherVPC     Reason = "network interface and instance are in different VPCs"
	InterfaceOtherZone    Reason = "network interface and instance are in different zones"
	InterfaceOtherVSwitch Reason = "network interfaces are in different VSwitches"
	InterfaceSame         Reason = "source and destination are the same"

	PrivateAddressMissing    Reason = "no private address named"
	PrivateAddressNotFound   Reason = "private address is not the network interface's"
	PrivateAddressPrimary    Reason = "private address is the network interface's primary one"
	PrivateAddressOutside    Reason = "private address outside the VSwitch"
	PrivateAddressReserved   Reason = "private address is kept by the system"
	PrivateAddressInUse      Reason = "private address in use"
	PrivateAddressTwice      Reason = "private address named twice"
	PrivateAddressAssociated Reason = "private address already has an elastic IP"
	TwoPrimaryAddresses      Reason = "more than one primary private address"

	// Of elastic IPs, where they are bound to addresses of interfaces, and of instances'
	// ordinary public addresses.
	OrdinaryNotPrimary Reason = "elastic IP is not that of an instance's primary address"
	OrdinaryMissing    Reason = "instance has no ordinary public address"
	InstanceKindWrong  Reason = "instance is of another kind"
	QuotaDayAllocated  Reason = "quota of elastic IPs allocated in a day exceeded"
	QuotaDayReassigned Reason = "quota of ordinary public addresses given again in a day exceeded"

	QuotaInterface          Reason = "quota of network interfaces exceeded"
	QuotaInstanceInterfaces Reason = "quota of network interfaces of an instance exceeded"
	QuotaInterfaceAddresses Reason = "quota of private addresses of a network interface exceeded"
)
