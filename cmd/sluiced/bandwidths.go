package main

import (
	"context"
	"log/slog"

	"sluice/config"
	"sluice/controlplane/monitor"
	"sluice/controlplane/state"
	"sluice/dataplane"
)

// notHeld is the meter of a machine that holds no elastic IP to its bandwidth: nothing passes
// what would count it.
type notHeld struct{ monitor.Meter }

// Bandwidths implements monitor.Meter.
func (notHeld) Bandwidths(context.Context) ([]dataplane.BandwidthTraffic, error) {
	return nil, monitor.ErrNotCounted
}

// meterOf returns what the minutes are counted by.
func meterOf(c *config.Config, m monitor.Meter) monitor.Meter {
	if c.Settings.Bandwidth.Held {
		return m
	}
	return notHeld{m}
}

// eipDefault is the bandwidth in Mbit/s of an elastic IP for which none was asked: what
// those have that were allocated when it held for nothing yet.
const eipDefault = 5

// tellBandwidths says in the log whether elastic IPs are held to their bandwidths, and how
// many to the default: a surprise to whoever has never thought about it.
func tellBandwidths(v *state.View, c *config.Config, log *slog.Logger) {
	if !c.Settings.Bandwidth.Held {
		log.Info("elastic IPs are not held to their bandwidths", "setting", "bandwidth.limits")
		return
	}
	bound, unasked := 0, 0
	for e := range v.ElasticIPs.All() {
		if e.Binding == nil {
			continue
		}
		bound++
		if e.Bandwidth == eipDefault && e.Package == "" && e.NATPackage == "" {
			unasked++
		}
	}
	if bound > 0 {
		log.Info("elastic IPs are held to their bandwidths", "bound", bound, "default", unasked, "setting", "bandwidth.limits")
	}
}
