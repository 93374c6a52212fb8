package resource

// KindCommonPackage is the kind of common bandwidth packages.
const KindCommonPackage Kind = "common-bandwidth-package"

// PackageCharge is what a common bandwidth package is charged by. It is shown; nothing
// is charged here.
type PackageCharge string

// What a common bandwidth package may be charged by.
const (
	ByBandwidth       PackageCharge = "bandwidth"
	By95thPercentile  PackageCharge = "95th-percentile"
	ByVolume          PackageCharge = "traffic"
	ByDominantTraffic PackageCharge = "dominant-traffic"
)

// CommonPackage is a bandwidth that elastic IPs of a region share (ElasticIP.Package).
type CommonPackage struct {
	Meta
	Name        string        `json:"name,omitempty"`
	Description string        `json:"description,omitempty"`
	Bandwidth   int           `json:"bandwidth"` // Mbit/s
	Charge      PackageCharge `json:"charge"`
	Ratio       int           `json:"ratio"` // percent of Bandwidth that are paid for at least; shown
}

// Kind implements Resource.
func (*CommonPackage) Kind() Kind { return KindCommonPackage }

// Network implements Resource. The networks that follow are those of its elastic IPs.
func (*CommonPackage) Network() string { return "" }

// Clone implements Resource.
func (p *CommonPackage) Clone() Resource { c := *p; return &c }

// KindNATPackage is the kind of NAT bandwidth packages.
const KindNATPackage Kind = "nat-bandwidth-package"

// NATPackage is a bandwidth that public addresses of a NAT gateway share. The addresses
// are a part of it (ElasticIP.NATPackage): they come and go with it, bound to its gateway.
type NATPackage struct {
	Meta
	VPC         string `json:"vpc"`
	Gateway     string `json:"gateway"`
	Name        string `json:"name,omitempty"`
	Description string `json:"description,omitempty"`
	Bandwidth   int    `json:"bandwidth"`           // Mbit/s
	ByTraffic   bool   `json:"byTraffic,omitempty"` // charged by traffic, else by bandwidth; nothing is charged here
	Zone        string `json:"zone,omitempty"`      // shown; empty: the region has none
}

// Kind implements Resource.
func (*NATPackage) Kind() Kind { return KindNATPackage }

// Network implements Resource.
func (p *NATPackage) Network() string { return p.VPC }

// Clone implements Resource.
func (p *NATPackage) Clone() Resource { c := *p; return &c }

// Part is implemented by resources of which some are a part of another: those have no
// actions of their own, and are found and listed by the other alone.
type Part interface {
	IsPart() bool
}

// IsPart implements Part.
func (e *ElasticIP) IsPart() bool { return e.NATPackage != "" || e.Ordinary }
