package openvpn

import (
	"encoding/json"
	"fmt"
	"time"

	"gopkg.in/natefinch/lumberjack.v2"

	"sluice/dataplane"
)

// sessionsFile is where the sessions are that have ended, one JSON object a line.
const sessionsFile = "sessions.log"

// endedSession is a line of it.
type endedSession struct {
	Network     string    `json:"network"`
	Server      string    `json:"server"`
	Certificate string    `json:"certificate"`
	Remote      string    `json:"remote"`           // where the client was, as seen from here
	Address     string    `json:"address"`          // of the pool
	Cipher      string    `json:"cipher,omitempty"` // of the data channel; none if it was not seen
	From        time.Time `json:"from"`
	To          time.Time `json:"to"`
	Received    uint64    `json:"received"` // bytes from the client as of the last look, with what OpenVPN adds
	Sent        uint64    `json:"sent"`     // likewise, to the client
	Why         string    `json:"why,omitempty"`
}

// sessionFile is that file, with older ones beside it.
type sessionFile struct{ out *lumberjack.Logger }

func newSessionFile(path string) *sessionFile {
	return &sessionFile{&lumberjack.Logger{Filename: path, MaxSize: 10, MaxBackups: 10}}
}

func (f *sessionFile) add(network, server string, s *session, to time.Time, why string) error {
	e := endedSession{
		Network: network, Server: server, Certificate: s.Certificate, Remote: s.Remote.String(), Address: s.Address.String(), Cipher: s.Cipher,
		From: s.Since.UTC(), To: to.UTC(), Received: s.Inbound.Bytes, Sent: s.Outbound.Bytes, Why: why,
	}
	line, err := json.Marshal(e)
	if err != nil {
		return err
	}
	if _, err := f.out.Write(append(line, '\n')); err != nil {
		return fmt.Errorf("write %s: %w", f.out.Filename, err)
	}
	return nil
}

func (f *sessionFile) close() { _ = f.out.Close() }

// session is one of a client.
type session struct {
	dataplane.SSLSession
	ID  uint64 // OpenVPN's; 0 may be one
	Met bool   // it was in a status, and ID is set
}
