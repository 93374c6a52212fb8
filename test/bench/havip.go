package main

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"

	"github.com/vishvananda/netlink"

	"sluice/api/aliyun"
	"sluice/test/lab"
)

// haVipPause is that between two questions to a HaVip.
const haVipPause = 5 * time.Millisecond

// haVips are two hosts with keepalived that share a HaVip with an elastic IP.
type haVips struct {
	s     *site
	dir   string
	hosts [2]lab.Host
	conf  [2]string
	run   [2]*exec.Cmd
	conn  *net.UDPConn // from the Internet
	next  int
}

// haVipFailover measures how long a host of the Internet is not answered by a HaVip when its
// master's link is cut, and when its keepalived is killed.
func haVipFailover(ctx context.Context, r *run) error {
	if _, err := exec.LookPath("keepalived"); err != nil {
		r.say("leaving out HaVips: %v", err)
		return nil
	}
	rounds := 40
	if r.quick {
		rounds = 4
	}
	return r.withSite(ctx, "havip", nil, func(s *site) (err error) {
		h := &haVips{s: s, dir: filepath.Join(r.dir, "havip")}
		defer func() { err = errors.Join(err, h.close()) }()
		if err := h.build(ctx); err != nil {
			return err
		}
		r.say("taking a HaVip's master away %d times", rounds)
		var gaps []time.Duration
		for i := range rounds {
			gap, err := h.round(ctx, i%2 == 1)
			if err != nil {
				return fmt.Errorf("round %d: %w", i, err)
			}
			gaps = append(gaps, gap)
		}
		all := milliseconds(gaps)
		return r.report.add("havip_failover_s", quantile(all, 1)/1000, seconds,
			fmt.Sprintf("the longest of %d, from the damage to the first packet of an open flow that the other host answers: the master's link cut, and its keepalived killed, in turns; advert_int 0.3 s; median %.3g s", rounds, median(all)/1000))
	})
}

// build makes the hosts, the HaVip 10.0.0.100 and its elastic IP, and waits until the first
// host answers.
func (h *haVips) build(ctx context.Context) error {
	v, err := h.s.addNATVPC(ctx)
	if err != nil {
		return err
	}
	var made aliyun.CreateHaVipResponse
	if err := h.s.call(ctx, "CreateHaVip", &made, "VSwitchId", v.vswitch, "IpAddress", "10.0.0.100"); err != nil {
		return err
	}
	for i := range h.hosts {
		if h.hosts[i], err = h.s.lab.HostAdd(ctx, lab.HostOptions{Name: fmt.Sprintf("havip%d", i), VSwitch: v.vswitch}); err != nil {
			return err
		}
		if err := h.s.call(ctx, "AssociateHaVip", nil, "HaVipId", made.HaVipId, "InstanceId", h.hosts[i].InstanceID); err != nil {
			return err
		}
		if err := h.serve(i); err != nil {
			return err
		}
		h.conf[i] = filepath.Join(h.dir, fmt.Sprintf("keepalived%d.conf", i))
		text := fmt.Sprintf("global_defs {\n\trouter_id host%d\n\tvrrp_version 3\n}\nvrrp_instance web {\n\tstate BACKUP\n\tnopreempt\n\tinterface %s\n\tvirtual_router_id 51\n\tpriority %d\n\tadvert_int 0.3\n\tvirtual_ipaddress {\n\t\t10.0.0.100/16\n\t}\n}\n",
			i, lab.HostInterface, 150-i)
		if err := os.WriteFile(h.conf[i], []byte(text), 0o600); err != nil {
			return err
		}
		if err := h.start(i); err != nil {
			return err
		}
	}
	var eip aliyun.AllocateEipAddressResponse
	if err := h.s.call(ctx, "AllocateEipAddress", &eip); err != nil {
		return err
	}
	if err := h.s.call(ctx, "AssociateEipAddress", nil, "AllocationId", eip.AllocationId, "InstanceId", made.HaVipId, "InstanceType", "HaVip"); err != nil {
		return err
	}
	internet, err := h.s.lab.Host(lab.InternetHost)
	if err != nil {
		return err
	}
	err = lab.In(internet.Namespace, func() error {
		to := netip.AddrPortFrom(netip.MustParseAddr(eip.EipAddress), 7000)
		h.conn, err = net.DialUDP("udp4", nil, net.UDPAddrFromAddrPort(to))
		return err
	})
	if err != nil {
		return err
	}
	_, err = h.answered(ctx, -1)
	return err
}

// serve answers, at the HaVip, each datagram with the number of the host.
func (h *haVips) serve(i int) error {
	return lab.In(h.hosts[i].Namespace, func() error {
		if err := os.WriteFile("/proc/sys/net/ipv4/ip_nonlocal_bind", []byte("1"), 0); err != nil {
			return err
		}
		c, err := net.ListenUDP("udp4", &net.UDPAddr{IP: net.IPv4(10, 0, 0, 100), Port: 7000})
		if err != nil {
			return err
		}
		go func() {
			buf := make([]byte, 64)
			for {
				n, from, err := c.ReadFromUDPAddrPort(buf)
				if errors.Is(err, net.ErrClosed) {
					return
				}
				if err == nil {
					_, _ = c.WriteToUDPAddrPort(fmt.Appendf(nil, "%d %s", i, buf[:n]), from)
				}
			}
		}()
		return nil
	})
}

func (h *haVips) start(i int) error {
	// One that was killed has left its files, and keepalived believes them.
	for _, suffix := range []string{".pid", ".vrrp"} {
		if err := os.Remove(h.conf[i] + suffix); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	cmd := exec.Command("keepalived", "--dont-fork", "--vrrp", "--log-console", "--use-file", h.conf[i], "--pid", h.conf[i]+".pid", "--vrrp_pid", h.conf[i]+".vrrp")
	log, err := os.OpenFile(h.conf[i]+".log", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer log.Close() // keepalived has it
	cmd.Stdout, cmd.Stderr = log, log
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	h.run[i] = cmd
	return lab.In(h.hosts[i].Namespace, cmd.Start)
}

func (h *haVips) kill(i int) {
	if h.run[i] != nil {
		_ = syscall.Kill(-h.run[i].Process.Pid, syscall.SIGKILL)
		_ = h.run[i].Wait()
		h.run[i] = nil
	}
}

// answered asks until an answer to the latest question comes from another host than one, and
// returns which.
func (h *haVips) answered(ctx context.Context, than int) (by int, err error) {
	ctx, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	buf := make([]byte, 64)
	for ctx.Err() == nil {
		h.next++
		asked, answered := time.Now(), false
		_, _ = h.conn.Write(fmt.Appendf(nil, "q%d", h.next))
		_ = h.conn.SetReadDeadline(asked.Add(haVipPause))
		for {
			n, err := h.conn.Read(buf)
			if err != nil {
				break // the pause is over
			}
			var from int
			var question string
			if _, err := fmt.Sscanf(string(buf[:n]), "%d %s", &from, &question); err == nil && from != than && question == fmt.Sprintf("q%d", h.next) {
				by, answered = from, true
			}
		}
		if answered {
			return by, nil
		}
	}
	return 0, fmt.Errorf("no host but %d answers: %w", than, context.Cause(ctx))
}

// round takes the master away, and puts it back when the other one has taken over.
func (h *haVips) round(ctx context.Context, kill bool) (gap time.Duration, err error) {
	master := 0
	for range 600 { // while the one that was away before hears the master
		if master, err = h.answered(ctx, -1); err != nil {
			return 0, err
		}
	}
	began := time.Now()
	if kill {
		h.kill(master)
	} else if err := h.link(master, false); err != nil {
		return 0, err
	}
	if _, err := h.answered(ctx, master); err != nil {
		return 0, err
	}
	gap = time.Since(began)
	if kill {
		if err := h.forget(master); err != nil {
			return 0, err
		}
		return gap, h.start(master)
	}
	return gap, h.link(master, true)
}

func (h *haVips) link(i int, up bool) error {
	return lab.In(h.hosts[i].Namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		if !up {
			return netlink.LinkSetDown(link)
		}
		if err := netlink.LinkSetUp(link); err != nil {
			return err
		}
		return netlink.RouteReplace(&netlink.Route{LinkIndex: link.Attrs().Index, Gw: h.hosts[i].Gateway.AsSlice()})
	})
}

// forget takes the address from a host whose keepalived could not.
func (h *haVips) forget(i int) error {
	return lab.In(h.hosts[i].Namespace, func() error {
		link, err := netlink.LinkByName(lab.HostInterface)
		if err != nil {
			return err
		}
		return netlink.AddrDel(link, &netlink.Addr{IPNet: &net.IPNet{IP: net.IPv4(10, 0, 0, 100), Mask: net.CIDRMask(16, 32)}})
	})
}

func (h *haVips) close() error {
	for i := range h.run {
		h.kill(i)
	}
	if h.conn != nil {
		return h.conn.Close()
	}
	return nil
}
