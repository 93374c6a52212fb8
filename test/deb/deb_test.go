package deb

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
)

// makePackage makes the package of a version, and returns its bytes.
func makePackage(t *testing.T, version, file string) []byte {
	t.Helper()
	c := exec.CommandContext(t.Context(), "../../scripts/deb.sh", file)
	c.Env = append(os.Environ(), "VERSION="+version)
	if out, err := c.CombinedOutput(); err != nil {
		t.Fatalf("deb.sh: %v\n%s", err, out)
	}
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return content
}

// network is what the machine is connected to: a router at 198.51.100.1, and behind it
// 192.0.2.99. The machine itself is 198.51.100.7.
const network = `
ip netns add internet
ip link add eth0 type veth peer name eth0 netns internet
ip -n internet address add 198.51.100.1/24 dev eth0
ip -n internet address add 192.0.2.99/32 dev lo
ip -n internet link set lo up
ip -n internet link set eth0 up
ip address add 198.51.100.7/24 dev eth0
ip link set eth0 up
ip route add default via 198.51.100.1`

// gateway makes the first gateway.
const gateway = `
vpc=$(sluicectl call CreateVpc --CidrBlock 10.0.0.0/16 --VpcName first --get VpcId)
vswitch=$(sluicectl call CreateVSwitch --VpcId $vpc --CidrBlock 10.0.1.0/24 --ZoneId cn-hangzhou-a --get VSwitchId)
gateway=$(sluicectl call CreateNatGateway --VpcId $vpc --get NatGatewayId)
eip=$(sluicectl call AllocateEipAddress --get AllocationId)
sluicectl call AssociateEipAddress --AllocationId $eip --InstanceType Nat --InstanceId $gateway
ip=$(sluicectl call DescribeEipAddresses --AllocationId $eip --get EipAddresses.EipAddress.0.IpAddress)
snat=$(sluicectl call DescribeNatGateways --NatGatewayId $gateway --get NatGateways.NatGateway.0.SnatTableIds.SnatTableId.0)
sluicectl call CreateSnatEntry --SnatTableId $snat --SourceVSwitchId $vswitch --SnatIp $ip
vpn=$(sluicectl call CreateVpnGateway --VpcId $vpc --Bandwidth 100 --EnableSsl true --SslConnections 5 --get VpnGatewayId)
peer=$(sluicectl call CreateCustomerGateway --IpAddress 192.0.2.99 --get CustomerGatewayId)
sluicectl call CreateVpnConnection --VpnGatewayId $vpn --CustomerGatewayId $peer --LocalSubnet 10.0.1.0/24 --RemoteSubnet 10.9.0.0/24 --IkeConfig '{"Psk":"secret-of-both"}'
echo vpc=$vpc vswitch=$vswitch >/root/ids
server=$(sluicectl call CreateSslVpnServer --VpnGatewayId $vpn --ClientIpPool 172.29.0.0/24 --LocalSubnet 10.0.0.0/16 --get SslVpnServerId)
certificate=$(sluicectl call CreateSslVpnClientCert --SslVpnServerId $server --get SslVpnClientCertId)
sluicectl vpn ssl client-config $certificate >/root/laptop.ovpn`

// host plugs a host into the VSwitch, as docs/operations.md says.
const host = `
. /root/ids
ip netns add host
ip link add veth-host type veth peer name eth0 netns host
ip link set veth-host netns sluice-$vpc
ip -n sluice-$vpc link set veth-host master $vswitch alias "port of $vswitch" up
ip -n host address add 10.0.1.10/24 dev eth0
ip -n host link set lo up
ip -n host link set eth0 up
ip -n host route add default via 10.0.1.253`

// openvpn says as whom the service's OpenVPN runs, by numbers of user and group, and whether
// its files may grow without end.
const openvpn = `for p in $(cat /sys/fs/cgroup/system.slice/sluiced.service/cgroup.procs); do
	[ "$(cat /proc/$p/comm)" = openvpn ] || continue
	echo $(grep -E '^[UG]id:' /proc/$p/status | cut -f3) $(grep -q '^Max file size *[0-9]' /proc/$p/limits && echo bounded)
done`

// described is all that clients know of it.
const described = `for a in Vpcs VSwitches NatGateways EipAddresses CustomerGateways VpnGateways; do sluicectl call Describe$a | grep -v RequestId; done; cat /etc/sluice/sluiced.yaml; sluicectl accesskey list`

// TestPackage: what is installed makes a gateway, which an upgrade does not interrupt, and
// of which removing leaves what was asked for alone, and purging nothing.
func TestPackage(t *testing.T) {
	if testing.Short() {
		t.Skip("makes and installs packages, which takes minutes")
	}
	if os.Geteuid() != 0 {
		t.Skip("a machine of its own needs root")
	}
	build, err := filepath.Abs("../../build")
	if err != nil {
		t.Fatal(err)
	}
	debian := tree(t, build)
	shared := t.TempDir()
	first := makePackage(t, "1.0.0~rc1", filepath.Join(shared, "1.deb"))
	if again := makePackage(t, "1.0.0~rc1", filepath.Join(shared, "again.deb")); !bytes.Equal(again, first) {
		t.Error("the same commit makes another package the second time")
	}
	makePackage(t, "1.0.0", filepath.Join(shared, "2.deb"))
	if err := os.CopyFS(filepath.Join(shared, "old"), os.DirFS("testdata/1")); err != nil {
		t.Fatal(err)
	}

	m := start(t, debian, shared)
	if got := m.run("dpkg-deb -f /shared/1.deb Recommends"); !regexp.MustCompile(`\bopenvpn\b`).MatchString(got) {
		t.Errorf("the package recommends %s, and not what runs SSL-VPN servers", got)
	}
	m.run(network)
	m.run("dpkg -i /shared/1.deb")
	m.run("systemd-analyze verify /usr/lib/systemd/system/sluiced.service")
	for path, want := range map[string]string{"/etc/sluice": "755 root", "/etc/sluice/sluiced.yaml": "644 root", "/var/lib/sluice": "700 root", "/usr/bin/sluiced": "755 root", "/usr/bin/sluicectl": "755 root"} {
		if got := m.run("stat -c '%a %U' " + path); got != want {
			t.Errorf("%s: %s, want %s", path, got, want)
		}
	}
	m.run("bash -n /usr/share/bash-completion/completions/sluicectl; zcat /usr/share/man/man5/sluiced.yaml.5.gz /usr/share/man/man8/sluiced.8.gz /usr/share/man/man8/sluicectl-call.8.gz | grep -c ^.TH | grep -qx 3")

	uplink(m)
	m.run("sluicectl init --yes --pool 198.51.100.16-198.51.100.31")
	if _, err := m.try("sluicectl init --yes --pool 198.51.100.16"); err == nil {
		t.Error("init overwrote the configuration that it had written")
	}
	m.run("sluicectl doctor")
	m.run("systemctl enable --now sluiced")
	m.run(gateway)
	m.await("sluicectl call DescribeNatGateways --get NatGateways.NatGateway.0.Status", "Available")
	m.run(host)
	m.await("ip netns exec host ping -q -c 1 -W 1 192.0.2.99 >/dev/null && echo passes", "passes")
	// The machine's own strongSwan is another service, and its OpenVPN.
	m.await("for p in $(cat /sys/fs/cgroup/system.slice/sluiced.service/cgroup.procs); do cat /proc/$p/comm; done | grep -E '^(charon|openvpn)' | cut -c1-6 | sort", "charon\nopenvp")
	// It has given up root, and its log is bounded by the limit that it was started with.
	m.await(openvpn, "65534 65534 bounded")
	m.run("ip netns exec internet openvpn --config /root/laptop.ovpn --connect-retry 1 2 --daemon --writepid /root/laptop.pid --log /root/laptop.log")
	client := func(when string) {
		t.Helper()
		m.await("ip netns exec internet ping -q -c 1 -W 1 -I tun0 10.0.1.10 >/dev/null && echo passes", "passes")
		if got := m.run("sluicectl vpn ssl clients | grep -c AES-256-GCM"); got != "1" {
			t.Errorf("%s %s clients", when, got)
		}
	}
	client("at first")
	session := m.run("sluicectl vpn ssl clients --json | grep since | tail -1")

	t.Log("upgrade")
	before := m.run(described)
	pinging := m.command("bash", "-c", "echo $$ >/shared/ping; exec ip netns exec host ping -q -i 0.05 192.0.2.99")
	var counted bytes.Buffer
	pinging.Stdout = &counted
	if err := pinging.Start(); err != nil {
		t.Fatal(err)
	}
	process := m.run("systemctl show -p MainPID --value sluiced")
	m.run("dpkg -i /shared/2.deb")
	if got := m.run("systemctl show -p MainPID --value sluiced"); got == process {
		t.Error("an upgrade did not restart sluiced")
	}
	if got := m.run("sluicectl version"); !strings.HasPrefix(got, "sluicectl 1.0.0 ") {
		t.Errorf("after the upgrade: %s", got)
	}
	m.run("sluicectl status | grep -q '^sluiced 1[.]0[.]0[: ]'")
	same := func(what string) {
		t.Helper()
		if after := m.run(described); after != before {
			t.Errorf("%s changed\n%s\nto\n%s", what, before, after)
		}
	}
	same("an upgrade")
	if got := m.run("ls /var/lib/sluice/backups | grep -c asked"); got != "1" {
		t.Errorf("%s copies of the store from before the upgrade", got)
	}

	t.Log("killed")
	m.run("kill -9 $(systemctl show -p MainPID --value sluiced)")
	m.await("systemctl show -p NRestarts --value sluiced", "1")
	m.await("systemctl is-active sluiced", "active")
	same("being killed")
	client("after a kill")
	if now := m.run("sluicectl vpn ssl clients --json | grep since | tail -1"); now != session {
		t.Errorf("the client's session was %s, is %s", session, now)
	}

	t.Log("upgrade to a version that refuses the configuration")
	m.run("echo 'no_such_setting: 1' >>/etc/sluice/sluiced.yaml")
	process = m.run("systemctl show -p MainPID --value sluiced")
	if out := m.run("dpkg -i /shared/1.deb"); !strings.Contains(out, "no_such_setting: unknown field") {
		t.Errorf("the package did not say what is wrong with the configuration:\n%s", out)
	}
	if got := m.run("systemctl show -p MainPID --value sluiced"); got != process {
		t.Error("sluiced was restarted with a configuration that it refuses")
	}
	m.run("dpkg -i /shared/2.deb")
	if out, err := m.try("systemctl restart sluiced"); err == nil {
		t.Errorf("started with a wrong configuration: %s", out)
	}
	if got := m.run("systemctl show -p ExecMainStatus -p Result sluiced"); got != "Result=exit-code\nExecMainStatus=78" {
		t.Errorf("a wrong configuration ended it with %s", got)
	}
	m.run("sed -i '$d' /etc/sluice/sluiced.yaml; systemctl restart sluiced")
	same("a wrong configuration")

	m.run("ip netns exec host ping -q -c 20 -i 0.05 192.0.2.99") // so that the other one has sent as many
	m.run("kill -INT $(cat /shared/ping)")
	if err := pinging.Wait(); err != nil {
		t.Errorf("ping: %v", err)
	}
	sent, received := count(t, counted.String())
	if sent < 20 || received < sent-1 { // the last answer may have been on its way
		t.Errorf("%d of %d packets came back meanwhile", received, sent)
	}
	t.Logf("%d packets of %d came back meanwhile", received, sent)
	if got := m.run("journalctl -q -u sluiced --no-pager | grep -E 'level=ERROR|SECCOMP|not permitted' || true"); got != "" {
		t.Errorf("under systemd it complains:\n%s", got)
	}

	m.run("kill $(cat /root/laptop.pid)")

	t.Log("remove")
	m.run("dpkg -r sluice")
	gone := func() {
		t.Helper()
		if got := m.run("ip netns list | cut -d' ' -f1 | sort | xargs"); got != "host internet" {
			t.Errorf("namespaces: %s", got)
		}
		if got := m.run("{ ls -A /sys/fs/bpf /run; ip -o link; cat $(systemctl show -p ControlGroup --value sluiced | sed 's|.*|/sys/fs/cgroup&/cgroup.procs|') 2>/dev/null; } | grep -iE 'sluice|^[0-9]+$' || true"); got != "" {
			t.Errorf("left in the kernel:\n%s", got)
		}
	}
	gone()
	m.run("test -e /etc/sluice/sluiced.yaml -a -e /var/lib/sluice/store.db")

	t.Log("back again, with the store of an older version")
	m.run("mv /var/lib/sluice /root/kept; install -d -m 700 /var/lib/sluice; install -m 600 /shared/old/* /var/lib/sluice/")
	m.run("dpkg -i /shared/2.deb")
	m.run("systemctl start sluiced || { journalctl -q -u sluiced --no-pager | tail -5; false; }")
	m.run("test -e /var/lib/sluice/store.db.schema-1.*")
	m.run("sluicectl accesskey list | grep LTAI")
	m.await("sluicectl status | grep -c ' kept '; ip netns list | grep -c sluice-", "1\n1")
	m.run("systemctl stop sluiced; sluiced --remove-networks; rm -r /var/lib/sluice; mv /root/kept /var/lib/sluice")

	t.Log("back again")
	m.run("systemctl start sluiced")
	m.await("sluicectl call DescribeNatGateways --get NatGateways.NatGateway.0.Status", "Available")
	m.run("ip netns del host")
	m.run(host)
	m.await("ip netns exec host ping -q -c 1 -W 1 192.0.2.99 >/dev/null && echo passes", "passes")

	t.Log("remove under a daemon that systemd did not start")
	m.run("systemctl stop sluiced")
	m.run("systemd-run --unit=by-hand -p Type=notify -p KillMode=process /usr/bin/sluiced")
	if out, err := m.try("dpkg -r sluice"); err == nil || !strings.Contains(out, "stop sluiced first") {
		t.Errorf("removed under a daemon that runs: %v\n%s", err, out)
	}
	m.run("test -x /usr/bin/sluiced; systemctl stop by-hand")

	t.Log("purge")
	m.run("dpkg -P sluice")
	gone()
	if got := m.run("find / -xdev -depth -iname '*sluice*' -not -path '/root/.config/*' -not -path '/proc/*'"); got != "" {
		t.Errorf("left after purging:\n%s", got)
	}
}

// uplink makes a bridge with the machine's device as its port, where the kernel has no
// macvlan, which init would take otherwise.
func uplink(m *machine) {
	if _, err := m.try("ip link add link eth0 name probe type macvlan && ip link del probe"); err == nil {
		return
	}
	m.run("ip link add br-public type bridge; ip link set br-public up; ip address flush dev eth0; ip link set eth0 master br-public; ip address add 198.51.100.7/24 dev br-public; ip route add default via 198.51.100.1")
}

// count reads ping's summary.
func count(t *testing.T, summary string) (sent, received int) {
	t.Helper()
	found := regexp.MustCompile(`(\d+) packets transmitted, (\d+) received`).FindStringSubmatch(summary)
	if found == nil {
		t.Fatalf("ping said %q", summary)
	}
	sent, _ = strconv.Atoi(found[1])
	received, _ = strconv.Atoi(found[2])
	return sent, received
}
