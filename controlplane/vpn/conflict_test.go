package vpn_test

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"

	"sluice/controlplane/fault"
	"sluice/controlplane/planetest"
	"sluice/controlplane/vpn"
	"sluice/dataplane"
)

// like returns a change of a new connection: its customer gateway, IKE settings
// and remote subnet.
func like(customer, remote string, ike vpn.IKESettings) func(*vpn.NewConnection) {
	return func(in *vpn.NewConnection) {
		in.CustomerGateway, in.Settings.RemoteSubnets, in.Settings.IKE = customer, blocks(remote), ike
	}
}

// Connections that IKE cannot tell apart have one key: the one that is there is
// taken over, and another one refused, on creation and on modification.
func TestOneKeyForAPair(t *testing.T) {
	for _, version := range []int{1, 2} {
		t.Run(fmt.Sprint("IKEv", version), func(t *testing.T) {
			w := newWorld(t)
			first := w.connected(like("cgw-1", "192.168.1.0/24", vpn.IKESettings{Version: &version}))
			second := w.connected(like("cgw-1", "192.168.2.0/24", vpn.IKESettings{Version: &version}))
			if a, b := w.show(first).PSK, w.show(second).PSK; a != b || a == "" {
				t.Error("two connections between the same identities have two random keys")
			}
			_, err := w.connect(like("cgw-1", "192.168.3.0/24", vpn.IKESettings{Version: &version, PSK: ptr("another")}))
			planetest.Refused(t, err, fault.VPNKeyConflict)
			var refused *fault.Error
			if !errors.As(err, &refused) || !strings.Contains(refused.Why, "connection vco-") || strings.Contains(refused.Why, string(w.show(first).PSK)) {
				t.Errorf("the client is told %q", refused.Why)
			}
			before := w.DB.View()
			planetest.Refused(t, w.modify(second, vpn.ConnectionSettings{IKE: vpn.IKESettings{PSK: ptr("another")}}), fault.VPNKeyConflict)
			if w.DB.View() != before {
				t.Error("a refused change was written")
			}
			// The same key as given is no change; what is not about keys is not refused.
			if err := w.modify(second, vpn.ConnectionSettings{IKE: vpn.IKESettings{PSK: ptr(string(w.show(first).PSK)), Proposal: vpn.ProposalSettings{Encryption: ptr(dataplane.AES256)}}}); err != nil {
				t.Error(err)
			}
			// Once the identities differ the keys may, with IKEv2.
			err = w.modify(second, vpn.ConnectionSettings{IKE: vpn.IKESettings{PSK: ptr("another"), RemoteID: ptr("branch")}})
			if version == 1 {
				planetest.Refused(t, err, fault.VPNKeyConflict)
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			planetest.Refused(t, w.modify(second, vpn.ConnectionSettings{IKE: vpn.IKESettings{RemoteID: ptr("198.51.100.1")}}), fault.VPNKeyConflict)
		})
	}
}

// What else IKE cannot tell apart.
func TestIdentityConflicts(t *testing.T) {
	key := func(k string) *string { return &k }
	for _, c := range []struct {
		name          string
		customer      [2]string
		first, second vpn.IKESettings
		want          fault.Reason // empty: accepted
	}{
		{name: "one identity, two sites, two keys", customer: [2]string{"cgw-1", "cgw-2"}, want: fault.VPNRemoteIDConflict,
			first: vpn.IKESettings{Version: ptr(2), PSK: key("a"), RemoteID: key("branch")}, second: vpn.IKESettings{Version: ptr(2), PSK: key("b"), RemoteID: key("branch")}},
		{name: "an @ and capitals do not make it another", customer: [2]string{"cgw-1", "cgw-2"}, want: fault.VPNRemoteIDConflict,
			first: vpn.IKESettings{Version: ptr(2), PSK: key("a"), RemoteID: key("branch")}, second: vpn.IKESettings{Version: ptr(2), PSK: key("b"), RemoteID: key("@Branch")}},
		{name: "one identity, two sites, IKEv1", customer: [2]string{"cgw-1", "cgw-2"}, want: fault.VPNRemoteIDConflict,
			first: vpn.IKESettings{PSK: key("a"), RemoteID: key("branch")}, second: vpn.IKESettings{PSK: key("a"), RemoteID: key("branch")}},
		{name: "one identity, two sites, one key, IKEv2", customer: [2]string{"cgw-1", "cgw-2"},
			first: vpn.IKESettings{Version: ptr(2), PSK: key("a"), RemoteID: key("branch")}, second: vpn.IKESettings{Version: ptr(2), PSK: key("a"), RemoteID: key("branch")}},
		{name: "one identity, two sites, two keys, another identity of ours", customer: [2]string{"cgw-1", "cgw-2"},
			first: vpn.IKESettings{PSK: key("a"), RemoteID: key("branch")}, second: vpn.IKESettings{PSK: key("b"), RemoteID: key("branch"), LocalID: key("gateway")}},
		{name: "two sites behind one NAT, IKEv2", customer: [2]string{"cgw-1", "cgw-1"},
			first: vpn.IKESettings{Version: ptr(2), PSK: key("a"), RemoteID: key("one")}, second: vpn.IKESettings{Version: ptr(2), PSK: key("b"), RemoteID: key("two")}},
		{name: "two sites behind one NAT, main mode", customer: [2]string{"cgw-1", "cgw-1"}, want: fault.VPNKeyConflict,
			first: vpn.IKESettings{PSK: key("a"), RemoteID: key("one")}, second: vpn.IKESettings{PSK: key("b"), RemoteID: key("two")}},
		{name: "two sites behind one NAT, main and aggressive mode", customer: [2]string{"cgw-1", "cgw-1"}, want: fault.VPNKeyConflict,
			first: vpn.IKESettings{PSK: key("a"), RemoteID: key("one")}, second: vpn.IKESettings{Aggressive: ptr(true), PSK: key("b"), RemoteID: key("two")}},
		{name: "two sites behind one NAT, aggressive mode", customer: [2]string{"cgw-1", "cgw-1"},
			first: vpn.IKESettings{Aggressive: ptr(true), PSK: key("a"), RemoteID: key("one")}, second: vpn.IKESettings{Aggressive: ptr(true), PSK: key("b"), RemoteID: key("two")}},
		{name: "two identities of ours, IKEv1", customer: [2]string{"cgw-1", "cgw-1"}, want: fault.VPNLocalIDConflict,
			first: vpn.IKESettings{PSK: key("a")}, second: vpn.IKESettings{PSK: key("a"), LocalID: key("gateway")}},
		{name: "two identities of ours, IKEv2", customer: [2]string{"cgw-1", "cgw-1"},
			first: vpn.IKESettings{Version: ptr(2), PSK: key("a")}, second: vpn.IKESettings{Version: ptr(2), PSK: key("b"), LocalID: key("gateway")}},
		{name: "identities the other way round", customer: [2]string{"cgw-1", "cgw-2"}, want: fault.VPNKeyConflict,
			first:  vpn.IKESettings{Version: ptr(2), PSK: key("a"), LocalID: key("x"), RemoteID: key("y")},
			second: vpn.IKESettings{Version: ptr(2), PSK: key("b"), LocalID: key("y"), RemoteID: key("x")}},
		{name: "one version and the other, two keys", customer: [2]string{"cgw-1", "cgw-1"}, want: fault.VPNKeyConflict,
			first: vpn.IKESettings{PSK: key("a")}, second: vpn.IKESettings{Version: ptr(2), PSK: key("b")}},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel() // each waits for its own store's disk
			w := newWorld(t)
			w.connected(like(c.customer[0], "192.168.1.0/24", c.first))
			_, err := w.connect(like(c.customer[1], "192.168.2.0/24", c.second))
			if c.want == "" {
				if err != nil {
					t.Error(err)
				}
				return
			}
			planetest.Refused(t, err, c.want)
			// So is a modification that comes to the same.
			apart := vpn.IKESettings{Version: ptr(2), PSK: key("c"), LocalID: key("apart"), RemoteID: key("far-apart")}
			id := w.connected(like(c.customer[1], "192.168.2.0/24", apart))
			change := c.second
			if change.Version == nil {
				change.Version = ptr(1)
			}
			if change.LocalID == nil {
				change.LocalID = key("203.0.113.45")
			}
			if change.RemoteID == nil {
				change.RemoteID = key(w.show(id).Peer.Address.String())
			}
			planetest.Refused(t, w.modify(id, vpn.ConnectionSettings{IKE: change}), c.want)
		})
	}
}

// Of calls at the same time that would give a pair two keys one gets through.
func TestKeysAtTheSameTime(t *testing.T) {
	w := newWorld(t)
	var wg sync.WaitGroup
	errs := make([]error, 8)
	for i := range errs {
		wg.Go(func() {
			_, errs[i] = w.connect(like("cgw-1", fmt.Sprintf("192.168.%d.0/24", i), vpn.IKESettings{Version: ptr(2), PSK: ptr(fmt.Sprint("key ", i))}))
		})
	}
	wg.Wait()
	made := 0
	for _, err := range errs {
		if err == nil {
			made++
			continue
		}
		planetest.Refused(t, err, fault.VPNKeyConflict)
	}
	if made != 1 {
		t.Errorf("%d connections between the same identities were made, each with a key of its own", made)
	}
}
