package resource

// KindAddressUse is the kind of AddressUse.
const KindAddressUse Kind = "address-use"

// AddressUse is what an account has done with public addresses in a region on a day, of what
// may be done a number of times a day. Its id is AddressUseID.
type AddressUse struct {
	Meta
	Day        string `json:"day"`                  // by the machine's clock, 2026-11-29
	Allocated  int    `json:"allocated,omitempty"`  // elastic IPs
	Reassigned int    `json:"reassigned,omitempty"` // ordinary public addresses that instances were given in the place of elastic IPs
}

// AddressUseID returns the id of what an account has done in a region.
func AddressUseID(account, region string) string { return account + "/" + region }

// Kind implements Resource.
func (*AddressUse) Kind() Kind { return KindAddressUse }

// Network implements Resource.
func (*AddressUse) Network() string { return "" }

// Clone implements Resource.
func (u *AddressUse) Clone() Resource { c := *u; return &c }
