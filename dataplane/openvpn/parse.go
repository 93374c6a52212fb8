package openvpn

import (
	"errors"
	"fmt"
	"net/netip"
	"strconv"
	"strings"
	"time"
)

// kind is that of a line of the management interface.
type kind int

const (
	data         kind = iota // of an answer of several lines
	notification             // comes by itself
	success                  // an answer of one line
	failure                  // likewise
	end                      // of an answer of several lines
)

// message is a line of the management interface.
type message struct {
	kind   kind
	source string // of a notification: INFO, LOG, STATE, CLIENT…
	text   string // without what says the kind
}

// parseMessage reads a line, which has no end of line.
func parseMessage(line string) message {
	if rest, ok := strings.CutPrefix(line, ">"); ok {
		source, text, _ := strings.Cut(rest, ":")
		return message{notification, source, text}
	}
	if rest, ok := strings.CutPrefix(line, "SUCCESS:"); ok {
		return message{kind: success, text: strings.TrimSpace(rest)}
	}
	if rest, ok := strings.CutPrefix(line, "ERROR:"); ok {
		return message{kind: failure, text: strings.TrimSpace(rest)}
	}
	if line == "END" {
		return message{kind: end}
	}
	return message{kind: data, text: line}
}

// client is one that OpenVPN has, whether it is through with logging in or not.
type client struct {
	name     string // its certificate's common name; UNDEF before there is one
	remote   netip.AddrPort
	address  netip.Addr // none before it is logged in
	id       uint64     // of this OpenVPN
	since    time.Time
	received uint64 // bytes of OpenVPN's packets from the client
	sent     uint64 // to it
	cipher   string
}

// connected says whether a client has logged in.
func (c *client) connected() bool { return c.address.IsValid() }

// parseStatus reads the answer to "status 3". Columns are found by their names: versions
// have more and more of them.
func parseStatus(lines []string) ([]client, error) {
	const table = "CLIENT_LIST"
	var columns []string
	var clients []client
	for _, line := range lines {
		fields := strings.Split(line, "\t")
		switch {
		case len(fields) > 2 && fields[0] == "HEADER" && fields[1] == table:
			columns = fields[2:]
		case fields[0] == table:
			c, err := parseClient(columns, fields[1:])
			if err != nil {
				return nil, fmt.Errorf("status line %q: %w", line, err)
			}
			clients = append(clients, c)
		}
	}
	if columns == nil {
		return nil, errors.New("status: has no list of clients")
	}
	return clients, nil
}

func parseClient(columns, fields []string) (client, error) {
	if len(columns) != len(fields) {
		return client{}, fmt.Errorf("has %d columns, not %d", len(fields), len(columns))
	}
	of := map[string]string{}
	for i, name := range columns {
		of[name] = fields[i]
	}
	c := client{name: of["Common Name"], cipher: of["Data Channel Cipher"]}
	var err error
	if c.remote, err = parseRemote(of["Real Address"]); err != nil {
		return client{}, err
	}
	if text := of["Virtual Address"]; text != "" {
		if c.address, err = netip.ParseAddr(text); err != nil {
			return client{}, err
		}
	}
	var since uint64
	for name, to := range map[string]*uint64{"Client ID": &c.id, "Bytes Received": &c.received, "Bytes Sent": &c.sent, "Connected Since (time_t)": &since} {
		if *to, err = strconv.ParseUint(of[name], 10, 64); err != nil {
			return client{}, fmt.Errorf("%s: %w", name, err)
		}
	}
	c.since = time.Unix(int64(since), 0)
	return c, nil
}

// parseRemote reads a transport address, before which later versions write the protocol.
func parseRemote(s string) (netip.AddrPort, error) {
	if protocol, rest, ok := strings.Cut(s, ":"); ok && (strings.HasPrefix(protocol, "udp") || strings.HasPrefix(protocol, "tcp")) {
		s = rest
	}
	return netip.ParseAddrPort(s)
}

// Bits of a line's flags in the log.
const fatal = 1 << 4

// logLine is a line that OpenVPN has logged.
type logLine struct {
	time  time.Time
	flags uint64
	text  string
}

// parseLog reads a line of the log, as machine-readable-output has it written: seconds,
// flags in hexadecimal, text. What is none, as some library may write, is not ok, and is
// text alone.
func parseLog(line string) (l logLine, ok bool) {
	l.text = line
	stamp, rest, found := strings.Cut(line, " ")
	if !found {
		return l, false
	}
	flags, text, found := strings.Cut(rest, " ")
	if !found {
		return l, false
	}
	seconds, micro, found := strings.Cut(stamp, ".")
	if !found || len(micro) != 6 {
		return l, false
	}
	s, err1 := strconv.ParseInt(seconds, 10, 64)
	u, err2 := strconv.ParseUint(micro, 10, 32)
	f, err3 := strconv.ParseUint(flags, 16, 64)
	if errors.Join(err1, err2, err3) != nil || s < 0 || s > 1<<40 {
		return l, false
	}
	return logLine{time: time.Unix(s, int64(u)*1000), flags: f, text: text}, true
}
