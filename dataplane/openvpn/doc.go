// Package openvpn runs the SSL-VPN servers of networks: one OpenVPN (Debian's openvpn,
// 2.6) for each, in its network's namespace.
//
// It takes dataplane.SSLServers, and drives OpenVPN by its configuration file, two
// directories and its management interface, a Unix socket. It gives the live state of each
// server and what OpenVPN has logged. Who may send what to whom is not its concern.
//
// # What stays
//
// OpenVPN outlives the daemon and carries on, and the next Servers finds it by its
// configuration file. Nothing of it waits for the daemon: clients log in while there is
// none (none of the options management-hold, -signal, -client and -client-auth is used).
//
// The TUN device is somebody else's, and is persistent: OpenVPN opens it, and is started
// anew where it is another one. Routes and rules can name it before OpenVPN runs and after
// it has died; packets are lost meanwhile, and take no other way.
//
// # Who may log in
//
// A client has to know the server's tls-crypt key, and to show a certificate of its
// authority whose common name is a file in the directory of clients (client-config-dir,
// ccd-exclusive), and whose serial number is none in the directory of revoked ones
// (crl-verify dir). OpenVPN looks there at each login and each renegotiation, so that
// neither needs a restart. Who is connected and may not be is thrown out: files first, then
// its session. That is not done once but whenever the sessions are looked at, since a
// login that was under way may be through only afterwards.
//
// # What a restart is for
//
// The configuration file is compared with what it should be; if it differs OpenVPN is told
// to end, which tells clients to come back, and started anew. What clients are led to
// (Reach) is in the clients' files instead: a client that is connected has to come back to
// learn of it, and is told to, one by one.
//
// # Whom it runs as
//
// It begins as root, which binding the port and the TUN device need, and goes on as nobody
// in a root directory of its own (chroot): with its log, pool, port and device open, and
// the two directories, which it may read and not write. Keys are in the configuration
// file, which only root can read, and which is read once.
package openvpn
