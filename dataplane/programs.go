package dataplane

// Programs says how the BPF programs of one of a network's links got there, and
// why not in another way: those that count, limit and speed up its sessions.
type Programs struct {
	Link string // a VSwitch's id, or UplinkName
	By   ProgramsBy
	Why  string // why not by XDP; empty where they are
}

// ProgramsBy is a way to attach BPF programs to a link.
type ProgramsBy string

// The ways, from the fastest.
const (
	ByXDP     ProgramsBy = "xdp"    // the shortcut runs in the driver, and for what it leaves in tcx or clsact
	ByTCX     ProgramsBy = "tcx"    // all of a link's: it is busy, or security groups hold there
	ByClsact  ProgramsBy = "clsact" // one of them, at least
	ByNothing ProgramsBy = "none"   // they are not attached
)
