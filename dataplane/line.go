package dataplane

import "time"

// Line is a leased line as a network sees it whose Switch is on it. What all networks on its
// device send and get together is held to its bandwidth.
type Line struct {
	Device    string // of the daemon's namespace, which stays there
	Bandwidth int    // Mbit/s of IP packets, each way; 0 for no limit
}

// LineStatus is how the device of a line is.
type LineStatus struct {
	Device   string
	Present  bool      // there is such a device
	Up       bool      // it is set up
	Carrier  bool      // its link is up
	Speed    int       // Mbit/s; 0 where it is not known
	Since    time.Time // when Present, Up or Carrier was seen to change last
	Networks []string  // ids of those that it carries, or that have not given it up yet, ascending
}

// LineTraffic is what has passed the device of a line since its bandwidth is held: to the line,
// and from it. Nothing is counted where it is not held.
type LineTraffic struct {
	Outbound, Inbound BandwidthCount
}
