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
