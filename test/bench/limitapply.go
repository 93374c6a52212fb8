package main

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/mdlayher/netlink"
	"golang.org/x/sys/unix"

	"sluice/api/aliyun"
	"sluice/dataplane/netns"
	"sluice/test/lab"
)

// limitsApply measures how long after the call another bandwidth of an elastic IP is the
// kernel's, of a thousand that have one. The kernel tells of its traffic classes itself.
func limitsApply(ctx context.Context, r *run) error {
	limited, changes := 1000, 500
	if r.quick {
		limited, changes = 50, 20
	}
	r.say("bringing up a lab with %d elastic IPs that have a bandwidth", limited)
	vary := func(o *lab.Options) {
		o.ManyPublic = true
		o.ExtraConfig = strings.NewReplacer("elastic_ips: 200", "elastic_ips: 2000", "bandwidth: {limits: off}\n", "").Replace(o.ExtraConfig)
	}
	return r.withSite(ctx, "limits", vary, func(s *site) error { return changesLimits(ctx, r, s, limited, changes) })
}

func changesLimits(ctx context.Context, r *run, s *site, limited, changes int) (failed error) {
	v, err := s.addNATVPC(ctx)
	if err != nil {
		return err
	}
	ids := make([]string, limited)
	for i := range ids {
		var eip aliyun.AllocateEipAddressResponse
		if err := s.call(ctx, "AllocateEipAddress", &eip, "Bandwidth", "5"); err != nil {
			return err
		}
		ids[i] = eip.AllocationId
		if err := s.call(ctx, "AssociateEipAddress", nil, "AllocationId", eip.AllocationId, "InstanceId", v.gateway, "InstanceType", "Nat"); err != nil {
			return err
		}
	}
	if err := s.settled(ctx, v.vpc, v.gateway); err != nil {
		return err
	}
	internet, err := s.lab.Host(lab.InternetHost)
	if err != nil {
		return err
	}
	classes, err := classRates(internet.Namespace)
	if err != nil {
		return err
	}
	defer func() { failed = errors.Join(failed, classes.Close()) }()
	r.say("another bandwidth of one of them, %d times", changes)
	var took []time.Duration
	for i := range changes {
		// Above the 10 Mbit/s that all have inbound, and none that was the last one's: it
		// is the rate of two classes, one each way.
		mbit := 20 + i%100
		began := time.Now()
		if err := s.call(ctx, "ModifyEipAddressAttribute", nil, "AllocationId", ids[i*37%limited], "Bandwidth", fmt.Sprint(mbit)); err != nil {
			return err
		}
		if err := classes.await(uint32(mbit)*125_000, 2); err != nil {
			return fmt.Errorf("%d Mbit/s of %s: %w", mbit, ids[i*37%limited], err)
		}
		took = append(took, time.Since(began))
	}
	ms := milliseconds(took)
	return r.report.add("limits_1000_apply_ms", quantile(ms, 0.99), millis,
		fmt.Sprintf("p99 of %d, from ModifyEipAddressAttribute's call until the kernel has told of both traffic classes; %d limited elastic IPs; median %.3g ms", changes, limited, median(ms)))
}

// classWatch hears of traffic classes that are made or changed in a network namespace.
type classWatch struct{ *netlink.Conn }

func classRates(namespace string) (classWatch, error) {
	ns, err := netns.Open(namespace)
	if err != nil {
		return classWatch{}, err
	}
	defer ns.Close()
	c, err := netlink.Dial(unix.NETLINK_ROUTE, &netlink.Config{Groups: 1 << (unix.RTNLGRP_TC - 1), NetNS: int(ns.Handle())})
	return classWatch{c}, err
}

// await waits until n classes have been told of with that rate, in bytes a second.
func (w classWatch) await(rate uint32, n int) error {
	if err := w.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		return err
	}
	for n > 0 {
		messages, err := w.Receive()
		if err != nil {
			return err
		}
		for _, m := range messages {
			if m.Header.Type == unix.RTM_NEWTCLASS && htbRate(m.Data) == rate {
				n--
			}
		}
	}
	return nil
}

// htbRate returns the rate of an HTB class in a message about it, in bytes a second; 0 if
// it is none. The message begins with a struct tcmsg; struct tc_htb_opt with a struct
// tc_ratespec, whose rate is its last member (linux/pkt_sched.h).
func htbRate(message []byte) (rate uint32) {
	const tcmsg, tcaOptions, tcaHTBParms, rateAt = 20, 2, 1, 8
	if len(message) < tcmsg {
		return 0
	}
	a, err := netlink.NewAttributeDecoder(message[tcmsg:])
	if err != nil {
		return 0
	}
	for a.Next() {
		if a.Type() != tcaOptions {
			continue
		}
		a.Nested(func(options *netlink.AttributeDecoder) error {
			for options.Next() {
				if b := options.Bytes(); options.Type() == tcaHTBParms && len(b) >= rateAt+4 {
					rate = binary.NativeEndian.Uint32(b[rateAt:])
				}
			}
			return nil
		})
	}
	return rate
}
