package ipsec

import (
	"fmt"

	"sluice/dataplane"
)

// The least time between attempts to reach a peer that does not answer, how much
// longer each waits, what it waits at most (in seconds), and how many there are:
// after 34.8 s a peer is given up. With IKEv2 that is what dead peer detection waits,
// too.
//
// A peer whose NAT gave it another port is found again by what it sends (RFC 7296,
// section 2.23), the last of which may be its own dead peer detection, every 30 s as
// is usual. Only an SA that is still there can follow it; and it is there only if a
// message of ours is sent after that, and answered. So the last attempt is 31.8 s
// after the first.
const (
	retransmitTimeout = 2.0
	retransmitBase    = 1.4
	retransmitLimit   = 3
	retransmitTries   = 11
)

// settings returns charon's strongswan.conf. What charon's work here rests on is
// written down even where it is the default, since strongSwan changes defaults from
// one release to the next; what does not matter here is in the test of this.
func settings(dir string, path dataplane.VPNPath, w waits) string {
	ipsec := "kernel-netlink"
	if path == dataplane.VPNByLibipsec {
		ipsec = "kernel-libipsec kernel-netlink"
	}
	// Of plugins that have the same algorithm, charon uses the one that is loaded
	// first: those that use the CPU's instructions for it come before those that do
	// not. Level 1 has no key material; that begins at level 4. Packets (net, enc) would
	// be most of it.
	return fmt.Sprintf(`# Written by sluiced for one VPN gateway; changes are lost.
charon-systemd {
  load = nonce random aesni openssl aes des sha1 sha2 md5 gmp hmac kdf %[2]s socket-default vici
  load_modular = no
  threads = 16
  port = 500
  port_nat_t = 4500

  # Routes, rules and addresses are not charon's concern.
  install_routes = no
  install_virtual_ip = no
  routing_table = %[3]d
  routing_table_prio = %[3]d
  prefer_best_path = no

  # One IKE_SA a connection, also when a CHILD_SA is refused in it.
  reuse_ikesa = yes
  close_ike_on_child_failure = no
  inactivity_close_ike = no
  initiator_only = no
  delete_rekeyed = no
  delete_rekeyed_delay = 5
  make_before_break = yes
  retry_initiate_interval = 0
  ikesa_limit = 0
  init_limit_half_open = 0
  init_limit_job_load = 0

  retransmit_timeout = %.1[4]f
  retransmit_base = %.1[5]f
  retransmit_tries = %[6]d
  retransmit_limit = %[10]d
  retransmit_jitter = 0
  keep_alive = 20
  keep_alive_dpd_margin = 0
  half_open_timeout = 30

  # Who can begin, and what is taken from whom.
  dos_protection = yes
  cookie_threshold = 30
  cookie_threshold_ip = 3
  block_threshold = 5
  max_packet = 10000
  fragment_size = 1280
  # Both ends may begin with many pairs at once in one IKE_SA; of an exchange beyond
  # these charon forgets the state, and fails it.
  max_ikev1_exchanges = 64
  accept_unencrypted_mainmode_messages = no
  accept_private_algs = no
  prefer_configured_proposals = yes
  multiple_authentication = yes
  follow_redirects = no # the peer's address is given
  cisco_unity = no
  cisco_flexvpn = no
  send_vendor_id = no
  i_dont_care_about_security_and_use_aggressive_mode_psk = yes

  replay_window = 32
  reqid_base = 1
  ignore_acquire_ts = no

  plugins {
    vici { socket = unix://%[1]s/%[7]s }
    openssl {
      load_legacy = yes # DES
      fips_mode = 0
    }
    socket-default {
      set_source = yes
      set_sourceif = no
      use_ipv4 = yes
      use_ipv6 = yes
    }
    kernel-libipsec {
      allow_peer_ts = yes # no routes to the peer
      raw_esp = no # always in UDP
    }
    kernel-netlink {
      fwmark = %#[9]x # kernel-libipsec insists on routes: they are in a table that no packet asks
      roam_events = no
      process_rules = no
      install_routes_xfrmi = no
      policy_update = no
      port_bypass = no
      ignore_retransmit_errors = no
      # A connection that waits for traffic tries again for a packet after that time,
      # which is longer than an attempt.
      xfrm_acq_expires = 45
    }
  }
  syslog { daemon { default = -1 } auth { default = -1 } }
  journal { default = -1 }
  filelog {
    sluice {
      path = %[1]s/%[8]s
      append = yes
      flush_line = yes
      time_format = %%Y-%%m-%%dT%%H:%%M:%%S
      default = 1
      net = 0
      enc = 0
    }
  }
}
`, dir, ipsec, routingTable, w.retransmit, retransmitBase, w.tries, socketFile, logFile, uint32(noMark), retransmitLimit)
}
